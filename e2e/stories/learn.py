"""podinfo, which answers no questions: a bad version that was pushed by hand is told from the good one by recorded requests and by a
line of the log, and the next version with the same fault is rejected before it serves anybody. No user wrote a ticket.
"""

from __future__ import annotations

import json
import time

from e2e.drill.prepare import clear, install_operator
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories import podinfo
from e2e.stories.commands import Person
from e2e.stories.shifts import story_shift

REQUESTS = "podinfo-requests"
LOG = """10.0.0.9 - - [05/Jan/2026:09:00:00 +0000] "GET /version HTTP/1.1" 200 61
10.0.0.9 - - [05/Jan/2026:09:00:01 +0000] "GET / HTTP/1.1" 200 390
10.0.0.9 - - [05/Jan/2026:09:00:02 +0000] "POST /cache/a HTTP/1.1" 202 0
"""
COLOUR = "#34577c"  # podinfo's own
WRONG = [{"name": "PODINFO_UI_COLOR", "value": "#bad000"}]
SLOW = [  # what users suffer from: each answer takes longer than the second of the SLO
    {"name": "PODINFO_RANDOM_DELAY", "value": "true"},
    {"name": "PODINFO_RANDOM_DELAY_UNIT", "value": "ms"},
    {"name": "PODINFO_RANDOM_DELAY_MIN", "value": "1100"},
    {"name": "PODINFO_RANDOM_DELAY_MAX", "value": "1400"},
]
ERRORS_OFF = [{"name": "PODINFO_RANDOM_ERROR", "value": "false"}]


def learn(api: Client, name: str, seed: int) -> None:
    """A slow version with wrong content is rolled back; what differs becomes a case, and the same content never reaches a user again."""
    shift = story_shift(api, name, seed)
    podinfo.open_shop(shift)
    _adopt(shift)
    _push(shift)
    _recorded(shift)
    _captured(shift)
    _ship_the_same_fault(shift)
    clear(shift)


def _release(version: str, image: str, env: list[Object]) -> Object:
    """podinfo's Release with short windows, and requests that its team recorded."""
    (release,) = podinfo._objects("release.yaml")
    spec = release["spec"]
    spec |= {"version": version, "images": {podinfo.NAME: image}}
    spec["evals"] = {"port": 9898, "quarantine": "auto", "recorded": {"configMap": REQUESTS}}
    spec["slo"]["tiers"] = [{"long": "20s", "short": "5s", "factor": 14.4, "severity": "sev1"}]
    spec["slo"] |= {"resolveAfter": "5s", "bakeTime": "10s"}
    if env:
        spec["templatePatch"] = {"spec": {"containers": [{"name": podinfo.NAME, "env": env}]}}
    return release


def _adopt(shift: Shift) -> None:
    install_operator(shift)
    podinfo._apply(shift, "runbook.yaml")
    log = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": REQUESTS}, "data": {"access.log": LOG}}
    live = podinfo.live_image(shift)
    shift.apply([log, _release(live.rpartition(":")[2], live, [])])
    shift.progress.wait("podinfo to be adopted and proven last-good", 120, lambda: podinfo._proven(shift))
    shift.progress.say("adopted and last-good; requests are recorded")


def _push(shift: Shift) -> None:
    """By hand, past every canary: another image with the fault in its environment."""
    good, began = podinfo.live_image(shift), time.monotonic()
    container = {"name": podinfo.NAME, "image": podinfo.GOOD, "env": [*SLOW, *WRONG]}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
    shift.api.kubectl("-n", shift.namespace, "patch", f"deployment/{podinfo.NAME}", "-p", patch)
    shift.progress.say("a slow version with wrong content is pushed by hand")
    podinfo._incident_at(shift, "sev1")
    shift.progress.say(f"sev1 {time.monotonic() - began:.0f} s after the push")

    def back() -> tuple[object, str]:
        live = podinfo.live_image(shift)
        return live == good, live

    shift.progress.wait("the good version to be put back", 120, back)
    shift.progress.say(f"rolled back {time.monotonic() - began:.0f} s after the push")


def _case(shift: Shift, way: str) -> Object:
    """The Incident's case by this way, once it is proven."""
    name, seen = f"{podinfo.INCIDENT}-regression-{way}", dict[str, Object]()

    def look() -> tuple[object, str]:
        seen["case"] = found = shift.api.get("evalcases", shift.namespace, name) or {}
        incident = shift.incident(podinfo.INCIDENT)
        proof = found.get("status", {})
        said = f"case {proof.get('proven')} {proof.get('reason')}; Incident {incident.get('phase')}, {incident.get('comparison')}"
        return proof.get("proven") == "True", said

    shift.progress.wait(f"the case by {way} to be proven", 180, look)
    return seen["case"]


def _recorded(shift: Shift) -> None:
    began = time.monotonic()
    spec = _case(shift, "recorded")["spec"]
    checks = [(c["path"], c["equals"]) for c in spec["expect"].get("json", [])]
    shift.progress.say(
        f"a case by recorded is proven {time.monotonic() - began:.0f} s later: {spec['request']['path']} {checks}"
    )
    timeline = shift.incident(podinfo.INCIDENT)["timeline"]
    told = next(e["message"] for e in timeline if e["message"].startswith("EvalCase") and "recorded" in e["message"])
    shift.progress.say(told)
    if spec["origin"]["by"] != "recorded" or spec["request"]["path"] != "/" or checks != [("$.color", COLOUR)]:
        raise StageFailed(f"the content that is wrong is $.color of /; the case is {spec}")


def _captured(shift: Shift) -> None:
    """The same by a line that a person found in the log, with what would have been right."""
    line = '10.0.0.9 - - [05/Jan/2026:09:14:00 +0000] "GET /?lang=de&token=s3cr3t HTTP/1.1" 200 390 "-" "curl/8"'
    code, printed = Person(shift).run(["capture", podinfo.INCIDENT, line, "--json", f"$.color={COLOUR}"])
    for said in printed.splitlines():
        shift.progress.say(f"  {said}")
    if code or "left out: query parameter token" not in printed:
        raise StageFailed(f"opsloop capture ended with {code}: {printed}")
    case = _case(shift, "capture")
    if "s3cr3t" in json.dumps(case):
        raise StageFailed("a credential of the log is in the EvalCase")
    shift.progress.say("the case by capture is proven")


def _ship_the_same_fault(shift: Shift) -> None:
    """Not slow this time, so that no SLO could tell: only the case can."""
    began = time.monotonic()
    shift.apply([_release("again", podinfo.BAD_AGAIN, [*ERRORS_OFF, *WRONG])])
    shift.progress.wait("the same fault to be rejected", 180, lambda: podinfo._target(shift, "again", "Rejected"))
    target = shift.status(podinfo.NAME)["target"]
    shift.progress.say(
        f"rejected after {time.monotonic() - began:.0f} s: {target['reason']}, {target['message'][:200]}"
    )
    served = podinfo._count(shift, f'sum(http_requests_total{{pod=~"{podinfo.NAME}-canary-.*",path="root"}})')
    if (
        target["reason"] != "EvalFailed"
        or f"{podinfo.INCIDENT}-regression" not in target["message"]
        or target.get("reachedAt")
    ):
        raise StageFailed(f"it was to be rejected in the dark by the Incident's case: {target}; it served {served}")
