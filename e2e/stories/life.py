"""The life of an Incident, by alerts alone: people and the pager, a storm within the bounds of the status, a restart, a merge.

There is no shop: Releases without an SLO, a paging service, and a sender of alerts. `checkout` is what people work on, `cart` has
the storm, `web` and `search` turn out to fail because of `db`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from e2e.cluster import paths
from e2e.drill import prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object, environment
from e2e.harness.progress import StageFailed
from e2e.stories.checks import pages
from e2e.stories.shifts import story_shift
from opsloop.core.incident.bounds import LIMIT, size

SENDER = "senders"
SERVICES = ("checkout", "cart", "web", "search", "db")
STORM, BODY = 6000, 500  # alerts on cart, and in one body
CROWD, NOTES = 100, 50  # services, and notes, on cart: more than its status can tell
WHO = "payments on call"
FIRST = {"checkout-1", "cart-1", "web-1", "search-1"}


def life(api: Client, name: str, seed: int) -> None:
    """All of it, in two minutes."""
    shift = story_shift(api, name, seed)
    _open(shift)
    began = datetime.now(UTC) - timedelta(seconds=30)
    first = [alert(service, f"{service}-{n}", began) for service in ("checkout", "web", "search") for n in range(3)]
    send(shift, [first, [alert("cart", "cart-0", began)]])
    shift.progress.wait("an Incident for each service", 60, lambda: _opened(shift))
    if thread := pages(shift):
        raise StageFailed(f"warnings paged somebody: {thread}")
    _page_and_people(shift, began)
    send(shift, [[_ended(alert) for alert in (*first[:3], _critical(began))]])
    _storm(shift, began)
    _past_the_bound(shift, began)
    shift.kill_operator("with a storm on its books")
    send(shift, [[alert("cart", "cart-after", began)]])
    shift.progress.wait("the new process to count on", 90, lambda: _counted(shift, STORM + CROWD + 2))
    if (names := {i["metadata"]["name"] for i in shift.incidents()}) != FIRST:
        raise StageFailed(f"the restart left {sorted(names)}, not {sorted(FIRST)}")
    shift.progress.say("   after the restart the Incidents have their names, and one more alert found its own")
    _merge(shift, began)
    shift.progress.wait("checkout-1 to be Resolved", 120, lambda: _phase(shift, "checkout-1", "Resolved"))
    _check_thread(shift, ["trigger", "acknowledge", "resolve"])
    prepare.clear(shift)


def _open(shift: Shift) -> None:
    prepare.make_empty(shift)
    prepare.apply_crds(shift.api)
    shift.apply([*prepare.alert_sender(shift.namespace, SENDER), *(_release(service, []) for service in SERVICES)])
    receiver = [
        one for one in yaml.safe_load_all(prepare.manifests(shift)) if one and one["metadata"]["name"] == "receiver"
    ]
    shift.api.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(receiver))
    prepare.install_operator(shift)
    prepare.wait_available(shift.api, shift.progress, shift.namespace, "receiver", 60)


def _release(name: str, needs: list[str]) -> Object:
    spec = {"workloadRef": {"name": name}, "version": "v1", "images": {"app": f"{name}:v1"}, "dependsOn": needs}
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": name}, "spec": spec}


# what is sent


def alert(service: str, pod: str, began: datetime, **labels: str) -> Object:
    """Firing since `began`; of the storm each name and text is as long and as hard to write as the intake takes it."""
    said = {"alertname": "Errors", "service": service, "severity": "warning", "pod": pod, **labels}
    return {
        "status": "firing",
        "fingerprint": hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16],
        "startsAt": began.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "labels": said,
        "annotations": {"summary": f"{pod} fails", "description": "<&> " * 100},
    }


def _critical(began: datetime) -> Object:
    return alert("checkout", "checkout-critical", began, severity="critical")


def _ended(alert: Object) -> Object:
    return {**alert, "status": "resolved", "endsAt": datetime.now(UTC).isoformat()}


def send(shift: Shift, bodies: Iterable[list[Object]]) -> None:
    """Each body until it is stored, as Alertmanager sends it."""
    token = shift.api.kubectl(
        "-n", shift.namespace, "create", "token", SENDER, "--audience", "opsloop", "--duration", "1h"
    ).strip()
    left = [json.dumps({"version": "4", "receiver": "opsloop", "status": "firing", "alerts": one}) for one in bodies]

    def send() -> tuple[object, str]:
        try:
            with shift.api.port_forward(shift.ops, "svc/opsloop-intake", 8080) as base:
                while left:
                    request = urllib.request.Request(
                        f"{base}/v1/namespaces/{shift.namespace}/alerts",
                        data=left[0].encode(),
                        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                    )
                    with urllib.request.urlopen(request, timeout=shift.api.pace.seconds(30)) as answer:
                        answer.read()
                    left.pop(0)
        except urllib.error.HTTPError as error:
            return False, f"{error.code} {error.read().decode()[:200]}"
        except (OSError, RuntimeError) as error:
            return False, str(error)
        return True, ""

    shift.progress.wait("the intake to store the alerts", 90, send, every=1)


# what is seen


def _opened(shift: Shift) -> tuple[object, str]:
    names = {i["metadata"]["name"] for i in shift.incidents() if (i.get("status") or {}).get("alerts")}
    return names == FIRST, f"{sorted(names)}"


def _phase(shift: Shift, name: str, phase: str) -> tuple[object, str]:
    found = shift.incident(name).get("phase")
    return found == phase, f"phase {found}"


def _counted(shift: Shift, wanted: int) -> tuple[object, str]:
    count = shift.incident("cart-1").get("alerts", {}).get("count", 0)
    return count == wanted, f"cart-1 counts {count} of {wanted} alerts"


def _page_and_people(shift: Shift, began: datetime) -> None:
    """A critical alert makes the sev3 page; somebody takes it, is assigned and writes a note, by the commands."""
    before = shift.incident("checkout-1")["severity"]
    send(shift, [[_critical(began)]])
    shift.progress.wait("a page for checkout-1", 30, lambda: (_actions(shift) == ["trigger"], f"{_actions(shift)}"))
    for command in (["ack"], ["assign", WHO], ["note", "the card provider is down; <b>we</b> wait for it"]):
        say = [command[0], "-n", shift.namespace, "--kubeconfig", str(paths.KUBECONFIG), "checkout-1", *command[1:]]
        done = subprocess.run(
            [str(paths.REPO / ".venv" / "bin" / "opsloop"), *say],
            capture_output=True, text=True, env=environment(), timeout=shift.api.pace.seconds(60), check=False,
        )  # fmt: skip
        if done.returncode:
            raise StageFailed(f"opsloop {' '.join(say)}: {done.returncode} {done.stderr}")
        shift.progress.say(f"   opsloop {command[0]}: {done.stdout.strip()}")
    shift.progress.wait("people's words in the status", 30, lambda: _told(shift))
    shift.progress.say(f"   checkout-1 went from {before} to {shift.incident('checkout-1')['severity']}")


def _told(shift: Shift) -> tuple[object, str]:
    status = shift.incident("checkout-1")
    types = {entry["type"] for entry in status.get("timeline", [])}
    done = {"Acknowledged", "Assigned", "Note"} <= types and status.get("assignee") == WHO
    acknowledged = _actions(shift)[-1:] == ["acknowledge"]
    return (
        done and acknowledged,
        f"timeline {sorted(types)}, assignee {status.get('assignee')!r}, pager {_actions(shift)}",
    )


def _thread(shift: Shift) -> list[dict[str, Any]]:
    return [one for one in pages(shift) if one["page"].get("incident") == "checkout-1"]


def _actions(shift: Shift) -> list[str]:
    """What the paging service was told to do, repeats left out."""
    found = {one["page"].get("message_id", n): str(one["page"]["action"]) for n, one in enumerate(_thread(shift))}
    return list(found.values())


def _check_thread(shift: Shift, wanted: list[str]) -> None:
    shift.progress.wait("the page to be resolved", 30, lambda: (_actions(shift) == wanted, f"{_actions(shift)}"))
    keys = {one["dedup_key"] for one in _thread(shift)}
    others = {one["page"].get("incident") for one in pages(shift)} - {"checkout-1"}
    if len(keys) != 1 or others:
        raise StageFailed(f"there should be one thread, of checkout-1: {keys}, and {others}")
    shift.progress.say(f"   one thread at the pager: {', '.join(wanted)}")


def _storm(shift: Shift, began: datetime) -> None:
    """Every alert counted, and the status within its bound all the while."""
    long = "<&>" * 20
    alerts = [alert("cart", f"cart-{n}-{long}", began, shard=f"{n}{long}") for n in range(STORM)]
    send(shift, [alerts[first : first + BODY] for first in range(0, STORM, BODY)])
    largest = 0

    def look() -> tuple[object, str]:
        nonlocal largest
        largest = max(largest, *(size(i.get("status") or {}) for i in shift.incidents()))
        return _counted(shift, STORM + 1)

    shift.progress.wait("the storm to be counted", 90, look)
    if largest > LIMIT:
        raise StageFailed(f"a status has {largest} bytes, more than {LIMIT}")
    shift.progress.say(f"   {STORM} alerts on cart-1 are counted; no status had more than {largest} bytes of {LIMIT}")


def _past_the_bound(shift: Shift, began: datetime) -> None:
    """More services and notes than the status has room for, each of them hard to write: the API server takes it, and it says what it left out."""
    crowd = [alert("cart", f"cart-of-{n}", began, service_name=f"{n}-{'<&>' * 40}") for n in range(CROWD)]
    send(shift, [crowd])
    notes = [{"author": "<&>" * 40, "text": f"{n} {'<&>' * 330}"} for n in range(NOTES)]
    patch = json.dumps({"spec": {"notes": notes}})
    shift.api.kubectl(
        "-n", shift.namespace, "patch", "incident", "cart-1", "--type=merge", "--patch-file=/dev/stdin", text=patch
    )

    def look() -> tuple[object, str]:
        status = shift.incident("cart-1")
        told, dropped = sum(e["type"] == "Note" for e in status.get("timeline", [])), status.get("dropped", {})
        count, large = status.get("alerts", {}).get("count"), size(status)
        if large > LIMIT:
            raise StageFailed(f"the status of cart-1 has {large} bytes, more than {LIMIT}")
        whole = told == NOTES and count == STORM + CROWD + 1 and dropped.get("alerts.byService", 0) > 0
        return whole and large, f"{told} notes, {count} alerts, dropped {dropped}, {large} bytes"

    large = shift.progress.wait("a status that says what it has no room for", 60, look)
    shift.progress.say(
        f"   {CROWD} services and {NOTES} notes more: {large} bytes of {LIMIT}, left out {shift.incident('cart-1')['dropped']}"
    )


def _merge(shift: Shift, began: datetime) -> None:
    """It is told that web and search need db, and db fails: what was two Incidents is one."""
    shift.apply([_release("web", ["db"]), _release("search", ["db"])])
    send(shift, [[alert("db", "db-0", began)]])

    def look() -> tuple[object, str]:
        into = {
            i["metadata"]["name"]: (i.get("status") or {}).get("mergedInto", "")
            for i in shift.incidents()
            if i["spec"]["service"] not in ("cart", "checkout")
        }
        kept = [name for name, other in into.items() if not other]
        merged = len(kept) == 1 and all(other in ("", kept[0]) for other in into.values())
        count = shift.incident(kept[0]).get("alerts", {}).get("count") if kept else 0
        return merged and count == 7, f"merged into: {into}; {kept} counts {count} of 7"

    shift.progress.wait("web's, search's and db's alerts to be in one Incident", 60, look)
    shift.progress.say("   web, search and db are one Incident, and the others are merged into it")
