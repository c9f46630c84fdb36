"""Runbooks left alone: webhook, Job and rollback one after the other; a neighbour who tries; a pager that is down; a Stop; a kill.

The shop without its alerts; of its services only `answers` is a Release. The pager is a receiver of the chart's notifications.
"""

from __future__ import annotations

from typing import Any

import yaml

from e2e.drill import prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.harness.session import make_namespace, remove_namespaces, wait_removed
from e2e.stories import tenants
from e2e.stories.checks import pages
from e2e.stories.shifts import story_shift
from e2e.stories.tenants import acting, call, ended, plays, team

LEFT_OUT = ("alertmanager",)
ON_CALL = "on-call@example.com"
LOG = "42 carts are cleared"
STEPS = ["webhook", "job", "rollback"]
CALLED = ["/count", "/flip", "/moved", "/ok"]  # at the end: each allowed address once, and no other


def runbooks(api: Client, name: str, seed: int) -> None:
    """All of it; what the neighbour tries goes on while the shop opens."""
    shift = story_shift(api, name, seed)
    _open(shift)
    tenants.what_it_may_not_write(shift)
    _pager_is_back(shift)
    shift.progress.wait("v1 to be proven", 90, lambda: prepare.proven(shift, ["answers"]))
    _stopped(shift)
    tenants.what_it_tried(shift)  # a minute after its alerts: until then their cause may be found
    shift.progress.wait("webhook, Job and rollback to end", 120, lambda: ended(shift, "answers-1", len(STEPS)))
    _carried_out(shift)
    _approved(shift)
    _limit_survives(shift)
    tenants.no_key_is_told(shift)
    prepare.clear(shift)
    remove_namespaces(api, [tenants.name_of(shift)])


def _open(shift: Shift) -> None:
    """The shop, the neighbour and the operator; the receiver of pages is away."""
    other = tenants.name_of(shift)
    remove_namespaces(shift.api, [other])
    prepare.make_empty(shift)
    wait_removed(shift.api, shift.progress, [other])
    make_namespace(shift.api, other)
    prepare.apply_crds(shift.api)
    shop = [
        one for one in yaml.safe_load_all(prepare.manifests(shift)) if one and one["metadata"]["name"] not in LEFT_OUT
    ]
    for one in shop:
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", "receiver"):
            one["spec"]["replicas"] = 0
    shift.api.kubectl("apply", "-f", "-", text=yaml.safe_dump_all([*shop, *tenants.hooks(shift.namespace)]))
    prepare.install_operator(
        shift,
        watchNamespaces=[shift.namespace, other],
        pager={},
        notifications={
            "receivers": {"oncall": {"format": "json", "url": f"http://receiver.{shift.namespace}.svc:8080/page"}},
            "default": ["oncall"],
        },
        runbooks={"jobs": True, "webhooks": tenants.allowed(shift)},
    )
    tenants.move_in(shift)
    for namespace in (shift.namespace, other):
        _on_call(shift, namespace)
    shift.progress.wait("shoppers to be served", 60, lambda: _served(shift))
    shift.apply([_release(shift), *_own_runbook(shift)])


def _served(shift: Shift) -> tuple[object, str]:
    sli = shift.sli()
    return sli.startswith("SLI 1.0"), sli


def _release(shift: Shift) -> Object:
    (item,) = [one for one in shift.objects("releases.yaml") if one["metadata"]["name"] == "answers"]
    item["spec"] |= {"dependsOn": []}
    item["spec"]["slo"]["bakeTime"] = "10s"
    del item["spec"]["evals"]
    return item


def _own_runbook(shift: Shift) -> list[Object]:
    job: dict[str, Any] = {
        "image": "opsloop/opsloop:dev",
        "command": ["python3", "-c", f"import os; print('uid', os.getuid(), '{LOG}')"],
        "deadline": "1m",
    }
    steps = [
        call(f"http://hooks.{shift.namespace}.svc:8080/ok"),
        {"type": "job", "job": job, "verify": "none"},
        {"type": "rollback", "timeout": "2m"},
    ]
    rights = [
        tenants.rule("apps", "deployments", "patch", name="answers"),
        tenants.rule("batch", "jobs", "create"),
        tenants.rule("opsloop.dev", "webhooks", "create"),
    ]
    return [tenants.runbook("bad-release", *steps, causes="bad_release"), *tenants.account("runbook", *rights)]


def _on_call(shift: Shift, namespace: str) -> None:
    """The chart's role for who is on call, bound to a person in this namespace."""
    role = f"--clusterrole=opsloop-{shift.ops}-on-call"
    shift.api.kubectl("-n", namespace, "create", "rolebinding", "on-call", role, f"--user={ON_CALL}")


def _pager_is_back(shift: Shift) -> None:
    """Who waits for a page is told while nobody takes it; then it is delivered."""
    own = team(shift)

    def undelivered() -> tuple[object, str]:
        said = acting(own, "probe-1", "Paged")
        metrics = str(shift.api.service(shift.ops, "opsloop-metrics:8081", "/metrics"))
        counted = [line for line in metrics.splitlines() if line.startswith("opsloop_pages_undelivered{")]
        events = [e for e in own.api.items("events", own.namespace) if e.get("reason") == "PageUndelivered"]
        told = said.get("reason") == "Undelivered" and events and any(float(line.split()[-1]) > 0 for line in counted)
        return told, f"{said}, {counted}, {len(events)} Events PageUndelivered"

    shift.progress.wait("Incident, Event and metric to tell of pages that nobody takes", 60, undelivered)
    shift.progress.say(f"   pager down: {acting(own, 'probe-1', 'Paged')['message'][:150]}")
    shift.api.kubectl("-n", shift.namespace, "scale", "deployment", "receiver", "--replicas=1")

    def delivered() -> tuple[object, str]:
        said = acting(own, "probe-1", "Paged")
        return said.get("reason") == "Delivered", str(said)

    shift.progress.wait("the page to be delivered now that the pager is back", 90, delivered)
    keys = [one["dedup_key"] for one in pages(shift) if one["page"].get("incident") == "probe-1"]
    if len(set(keys)) != 1:
        raise StageFailed(f"probe-1 should be one thread at the pager, it is {keys}")


def _approved(shift: Shift) -> None:
    """The on-call approves each step of `flip`; between the two its name leads to the metadata of a cloud."""
    own = team(shift)
    pods = shift.api.items("pods", shift.namespace, "app=hooks")
    for number, address in ((1, pods[0]["status"]["podIP"]), (2, tenants.METADATA)):
        tenants.lead_to(shift, address)
        shift.progress.wait(f"step {number} of flip to wait for its approval", 60, lambda n=number: _waits(own, n))  # type: ignore[misc]
        approval = f"opsloop.dev/approve=webhook-{number}"
        own.api.kubectl(
            "-n", own.namespace, "annotate", "--overwrite", "incident", "flip-1", approval, f"--as={ON_CALL}"
        )
        shift.progress.wait(f"step {number} of flip to end", 60, lambda n=number: ended(own, "flip-1", n))  # type: ignore[misc]
    first, second = plays(own, "flip-1")[:2]
    if first["state"] != "Done" or (second["state"], second["reason"]) != ("Refused", "AddressNotAllowed"):
        raise StageFailed(f"the first call should be answered and the second refused: {first}, {second}")
    shift.progress.say(f"   approved by the on-call: {first['state']}; its name changed: {second['message'][:150]}")


def _waits(own: Shift, number: int) -> tuple[object, str]:
    said = acting(own, "flip-1")
    return f"webhook-{number} waits for an approval" in said.get("message", ""), str(said)


def _limit_survives(shift: Shift) -> None:
    """The second step of `limit` waits for an hour; a new process keeps to that, and to what was called."""
    own = team(shift)

    def waits() -> tuple[object, str]:
        said = acting(own, "limit-1")
        return said.get("reason") == "TooManyThisHour", f"{said}, {plays(own, 'limit-1')}"

    shift.progress.wait("the second call of limit to be delayed", 60, waits)
    before = acting(own, "limit-1")["message"]
    pod = shift.operator_pod()
    shift.kill_operator("with a play that a limit delays")
    shift.progress.wait("another process", 60, lambda: (shift.operator_pod() not in ("", pod), "the old one"))
    prepare.wait_available(shift.api, shift.progress, shift.ops, "opsloop", 90)
    acknowledge = ("annotate", "incident", "limit-1", "opsloop.dev/acknowledge=true", f"--as={ON_CALL}")
    own.api.kubectl("-n", own.namespace, *acknowledge)

    def looked() -> tuple[object, str]:
        types = [entry["type"] for entry in own.incident("limit-1").get("timeline", [])]
        return "Acknowledged" in types, f"{types}"

    shift.progress.wait("the new process to look at limit-1", 60, looked)
    called = _called(shift)
    if not waits()[0] or acting(own, "limit-1")["message"] != before or sorted(called) != CALLED:
        raise StageFailed(f"the limit did not outlive the process: {waits()[1]}, called were {called}")
    shift.progress.say(f"   the limit outlived the process: {before[:150]}")


def _stopped(shift: Shift) -> None:
    """The on-call stops opsloop, v2 is pushed: people are called and nothing is done, until the Stop is taken away."""
    stop = {
        "apiVersion": tenants.API,
        "kind": "Stop",
        "metadata": {"name": "now"},
        "spec": {"reason": "the site is on fire"},
    }
    command = ("-n", shift.namespace, f"--as={ON_CALL}")
    shift.api.kubectl(*command, "create", "-f", "-", text=yaml.safe_dump(stop))
    shift.set_image("v2")
    shift.progress.say("   the on-call has stopped opsloop; v2 is pushed")

    def told() -> tuple[object, str]:
        said = acting(shift, "answers-1")
        paged = acting(shift, "answers-1", "Paged")
        return (said.get("reason"), paged.get("reason")) == ("Stopped", "Delivered"), f"{said}, {paged}, {shift.sli()}"

    shift.progress.wait("a person to be called, and that opsloop is stopped", 90, told)
    if plays(shift, "answers-1") or not shift.live_image().endswith(":v2") or _called(shift).count("/ok"):
        raise StageFailed(f"stopped, and yet: {plays(shift, 'answers-1')}, live {shift.live_image()}, {_called(shift)}")
    shift.api.kubectl(*command, "delete", "stop", "now")
    shift.progress.say("   nothing was done meanwhile; the Stop is taken away")


def _called(shift: Shift) -> list[str]:
    """Paths that were called at the hooks."""
    answer = shift.api.service(shift.namespace, "hooks:8080", "/")
    if not isinstance(answer, list):
        raise StageFailed(f"the hooks do not say what was called: {answer}")
    return [str(path) for path in answer]


def _carried_out(shift: Shift) -> None:
    """Each step in its order, once, and the log of the Job in the timeline."""
    found = [(p["type"], p["state"], p.get("reason")) for p in plays(shift, "answers-1")][: len(STEPS)]
    if found != [("webhook", "Done", "InPlace"), ("job", "Done", "InPlace"), ("rollback", "Helped", "SliBack")]:
        raise StageFailed(f"answers-1: {plays(shift, 'answers-1')}")
    told = [e["message"] for e in shift.incident()["timeline"] if e["type"] == "JobLog"]
    if not any(LOG in text and "uid 65534" in text for text in told):
        raise StageFailed(f"the Job's log is not in the timeline: {told}")
    if _called(shift).count("/ok") != 1:
        raise StageFailed(f"the webhook should have been called once: {_called(shift)}")
    if not shift.live_image().endswith(":v1"):
        raise StageFailed(f"live is {shift.live_image()}")
    shift.progress.say(f"   {', '.join(STEPS)} one after the other, each once; {told[0]}")
