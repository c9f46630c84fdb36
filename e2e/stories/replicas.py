"""Two replicas: senders that keep their connections meet no refusal while both are replaced by a rolling restart, nor while the
holder of the Lease is killed, and nothing is lost."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import yaml

from e2e.cluster import paths
from e2e.drill.prepare import alert_sender, apply_crds, clear, install_operator, make_empty
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories.checks import has_ledger, ledger_of
from e2e.stories.shifts import story_shift

PROGRAM = paths.REPO / "e2e" / "replicas" / "senders.py"
SENDERS = "senders"
SERVICE_SENDERS = 4  # each with a connection of its own: the Service gives them to both replicas
ALERTS, RATE = 60, 5.0  # of each sender; alerts a second
RESTARTED = (
    "restarted"  # the pod with the senders that see the rolling restart; they send until it is over, one alert a second
)


def replicas(api: Client, name: str, seed: int) -> None:
    """A rolling restart; then alerts to each replica and through the Service, and the holder is killed in the middle of them."""
    shift = story_shift(api, name, seed)
    _open(shift)
    early = _rolling_restart(shift)
    pods = {p["metadata"]["name"]: p["status"]["podIP"] for p in _pods(shift)}
    holder = _holder(shift)
    targets = {name: f"http://{ip}:8080" for name, ip in pods.items()}
    targets |= _through_the_service(shift, "service")
    _send(shift, SENDERS, targets, ALERTS, RATE)
    half = len(early) + len(targets) * ALERTS // 2
    shift.progress.wait("half of the alerts to be filed", 120, lambda: _filed(shift, half))
    api.kubectl("-n", shift.ops, "delete", "pod", holder, "--grace-period=0", "--force")
    shift.progress.say(f"the holder of the Lease, {holder}, is killed")
    seen = _answers(shift, SENDERS)
    accepted = early | {f"{t}-{n}" for t in targets for n in range(seen[t].get("202", 0))}
    _check_answers(shift, seen, holder)
    shift.progress.wait("every accepted alert to be filed", 90, lambda: _filed(shift, len(accepted)))
    _check_ledgers(shift, accepted)
    clear(shift)


def _open(shift: Shift) -> None:
    """A namespace with nothing but the senders' account, and opsloop with two replicas."""
    make_empty(shift)
    apply_crds(shift.api)
    shift.apply(alert_sender(shift.namespace, SENDERS))
    install_operator(shift, replicas=2)
    shift.progress.wait("one of two replicas to hold the Lease", 60, lambda: (_holder(shift), "nobody holds it"))


def _pods(shift: Shift) -> list[Object]:
    pods = shift.api.items("pods", shift.ops, "app.kubernetes.io/name=opsloop")
    return [p for p in pods if "deletionTimestamp" not in p["metadata"]]


def _holder(shift: Shift) -> str:
    """The pod that holds the Lease; "" = nobody."""
    lease = shift.api.json(f"/apis/coordination.k8s.io/v1/namespaces/{shift.ops}/leases/opsloop") or {}
    return str((lease.get("spec") or {}).get("holderIdentity") or "").rpartition("_")[0]


def _through_the_service(shift: Shift, name: str) -> dict[str, str]:
    return {f"{name}-{n}": f"http://opsloop-intake.{shift.ops}.svc:8080" for n in range(SERVICE_SENDERS)}


def _rolling_restart(shift: Shift) -> set[str]:
    """Both pods are replaced while senders keep their connections; what they were promised. None is refused or left without an answer."""
    targets = _through_the_service(shift, RESTARTED)
    _send(shift, RESTARTED, targets, 10_000, 1.0)
    shift.progress.wait("the senders to send", 60, lambda: _filed(shift, SERVICE_SENDERS))
    before = {p["metadata"]["uid"] for p in _pods(shift)}
    shift.api.kubectl("-n", shift.ops, "rollout", "restart", "deployment/opsloop")

    def look() -> tuple[object, str]:
        pods = shift.api.items(
            "pods", shift.ops, "app.kubernetes.io/name=opsloop"
        )  # those that are about to end as well
        left = [p["metadata"]["name"] for p in pods if p["metadata"]["uid"] in before]
        return not left and len(pods) == 2, f"of before: {left}, {len(pods)} pods"

    shift.progress.wait("both pods to be replaced", 180, look)
    shift.api.kubectl("-n", shift.namespace, "exec", RESTARTED, "--", "touch", "/tmp/stop")
    seen = _answers(shift, RESTARTED)
    for name, counts in seen.items():
        if set(counts) != {"202"}:
            raise StageFailed(f"{name} met more than 202 in a rolling restart: {dict(counts)}")
    number = sum(counts["202"] for counts in seen.values())
    shift.progress.say(
        f"   a rolling restart of both pods: {number} alerts on {SERVICE_SENDERS} kept connections, each got its 202"
    )
    return {f"{name}-{n}" for name, counts in seen.items() for n in range(counts["202"])}


def _send(shift: Shift, name: str, targets: dict[str, str], alerts: int, rate: float) -> None:
    """A pod of this name whose senders begin."""
    urls = {name: f"{base}/v1/namespaces/{shift.namespace}/alerts" for name, base in targets.items()}
    values = {"TARGETS": json.dumps(urls), "TOKEN_FILE": "/token/token", "ALERTS": str(alerts), "RATE": str(rate)}
    token = {"serviceAccountToken": {"audience": "opsloop", "path": "token"}}
    container = {
        "name": name,
        "image": "opsloop/opsloop:dev",
        "command": ["python", "/program/senders.py"],
        "env": [{"name": name, "value": value} for name, value in values.items()],
        "volumeMounts": [{"name": "program", "mountPath": "/program"}, {"name": "token", "mountPath": "/token"}],
    }
    spec = {
        "serviceAccountName": SENDERS,
        "restartPolicy": "Never",
        "securityContext": {"fsGroup": 65532},
        "containers": [container],
        "volumes": [
            {"name": "program", "configMap": {"name": name}},
            {"name": "token", "projected": {"sources": [token]}},
        ],
    }
    meta = {"name": name, "namespace": shift.namespace}
    program = {"senders.py": PROGRAM.read_text()}
    shift.apply(
        [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": program},
            {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
        ]
    )
    shift.progress.say(f"{len(targets)} senders: {', '.join(targets)}")


def _answers(shift: Shift, name: str) -> dict[str, Counter[str]]:
    """What each sender was answered, when all have ended."""

    def look() -> tuple[object, str]:
        pod = shift.api.get("pods", shift.namespace, name) or {}
        phase = str((pod.get("status") or {}).get("phase"))
        return phase in ("Succeeded", "Failed"), phase

    shift.progress.wait("the senders to end", 240, look)
    last = shift.api.kubectl("-n", shift.namespace, "logs", name, "--tail=1").strip()
    content: dict[str, dict[str, int]] = json.loads(last)
    return {sender: Counter(counts) for sender, counts in content.items()}


def _check_answers(shift: Shift, seen: dict[str, Counter[str]], holder: str) -> None:
    """No refusal anywhere; network errors only where the killed pod was; everything accepted but on the killed pod."""
    for name, counts in seen.items():
        shift.progress.say(f"   {name}: {dict(counts)}")
        refused = {status: count for status, count in counts.items() if status not in ("202", "network")}
        if refused:
            raise StageFailed(f"{name} was refused: {refused}")
        if name != holder and counts["202"] != ALERTS:
            raise StageFailed(f"{name}: {counts['202']} of {ALERTS} alerts were accepted")
        if name != holder and not name.startswith("service-") and counts["network"]:
            raise StageFailed(f"{name} is not the killed one, but did not answer {counts['network']} times")


def _ledgers(shift: Shift) -> dict[str, list[dict[str, Any]]]:
    names = [i["metadata"]["name"] for i in shift.incidents()]
    return {name: ledger_of(shift, name) for name in sorted(names) if has_ledger(shift, name)}


def _filed(shift: Shift, wanted: int) -> tuple[object, str]:
    found = {alert["fp"] for alerts in _ledgers(shift).values() for alert in alerts}
    return len(found) >= wanted, f"{len(found)} of {wanted} filed"


def _check_ledgers(shift: Shift, accepted: set[str]) -> None:
    """Every accepted alert is in one ledger, once, and the Incidents' counts say so."""
    ledgers = _ledgers(shift)
    filed = Counter(alert["fp"] for alerts in ledgers.values() for alert in alerts)
    lost, twice = accepted - filed.keys(), {fp for fp, count in filed.items() if count > 1}
    counts = {
        i["metadata"]["name"]: (i.get("status") or {}).get("alerts", {}).get("count", 0) for i in shift.incidents()
    }
    unheard = {fp for fp in filed if fp not in accepted}  # stored, and the answer died with the pod
    if lost or twice:
        raise StageFailed(f"{len(lost)} of {len(accepted)} accepted alerts are lost, {len(twice)} are filed twice")
    shift.progress.wait("the Incidents to count them", 30, lambda: _counted(shift, len(filed)))
    shift.progress.say(
        f"{len(accepted)} accepted, all filed once in {yaml.safe_dump(counts, default_flow_style=True).strip()};"
        f" {len(unheard)} more were stored by the pod that died before it answered"
    )


def _counted(shift: Shift, wanted: int) -> tuple[object, str]:
    statuses = [i.get("status") or {} for i in shift.incidents()]
    counted = sum(s.get("alerts", {}).get("count", 0) for s in statuses if not s.get("mergedInto"))
    return counted == wanted, f"{counted} of {wanted} counted"
