"""podinfo: a Deployment that nobody here wrote, from adoption to a rollback, with two structured SLIs and no label for a version.

The reader of docs/tutorial.md does it: its files are applied and its commands run as they stand there; between them is looked
whether the page says the truth.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import yaml

from e2e.cluster import paths
from e2e.demo import render
from e2e.drill.prepare import apply_crds, clear, install_operator, make_empty, wait_available
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.page import Page
from e2e.harness.progress import StageFailed
from e2e.stories.shifts import story_shift

HOME = paths.REPO / "e2e" / "podinfo"
TUTORIAL, THIS = paths.REPO / "docs" / "tutorial.md", "e2e/stories/podinfo.py"
NAME, INCIDENT = "podinfo", "podinfo-1"
OBJECTIVES = {"availability", "latency"}
MONITORING = ("prometheus.yaml", "receiver.yaml")  # the demo's: they know nothing of what they scrape and receive
GOOD, BAD, BAD_AGAIN = (f"opsloop/podinfo:{tag}" for tag in ("good", "bad", "bad-again"))
PAGING_SECONDS = 60.0  # from the moment that users first meet a bad release to sev1, on the reference machine


def podinfo(api: Client, name: str, seed: int) -> None:
    """Adoption, a good release as a canary, a bad one by hand (sev1, rollback, resolved), a bad one as a canary (rejected)."""
    shift = story_shift(api, name, seed)
    open_shop(shift)
    page = Page(TUTORIAL, THIS, {"shop": shift.namespace}, api.pace.seconds(420))
    adopt(shift, page)
    _ship_a_good_one(shift, page)
    _push_a_bad_one(shift, page)
    _ship_a_bad_one(shift, page)
    page.close()
    clear(shift)


def open_shop(shift: Shift) -> None:
    """podinfo with its visitors and Prometheus, before anybody thought of opsloop."""
    make_empty(shift)
    apply_crds(shift.api)
    shift.api.kubectl("apply", "-f", "-", text=_monitoring(shift))
    shift.api.kubectl("-n", shift.namespace, "apply", "-f", "-", text=_workloads(shift))
    for deployment in ("prometheus", "receiver", NAME, "visitors"):
        wait_available(shift.api, shift.progress, shift.namespace, deployment, 120)
    shift.progress.wait("visitors to be served", 60, lambda: _served(shift))
    shift.progress.say("podinfo runs and is visited; nothing of opsloop is there yet")


def _monitoring(shift: Shift) -> str:
    text = "\n---\n".join((render.MANIFESTS / name).read_text() for name in MONITORING)
    rules = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "alert-rules", "namespace": render.NAMESPACE},
    }
    whole = f"{text}\n---\n{yaml.safe_dump(rules)}"
    return whole.replace(render.NAMESPACE, shift.namespace).replace(render.OPERATOR_NAMESPACE, shift.ops)


def _workloads(shift: Shift) -> str:
    program = {"visitors.py": (HOME / "visitors.py").read_text()}
    objects: list[Object] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "visitors"}, "data": program}
    ]
    for path in sorted((HOME / "manifests").glob("*.yaml")):
        objects += [o for o in yaml.safe_load_all(path.read_text()) if o]
    visitors = next(o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"] == "visitors")
    rate = next(e for e in visitors["spec"]["template"]["spec"]["containers"][0]["env"] if e["name"] == "RATE")
    rate["value"] = f"{float(rate['value']) * shift.api.pace.load:.1f}"
    return yaml.safe_dump_all(objects)


def adopt(shift: Shift, page: Page | None = None) -> None:
    """A Release and a Runbook over what runs: nothing moves, the live revision is proven."""
    before = _live(shift)
    install_operator(shift)
    began = time.monotonic()
    if page:
        page.run("adopt")
    else:
        _apply(shift, "runbook.yaml")
        _apply(shift, "release.yaml")
    shift.progress.wait("podinfo to be adopted and proven last-good", 120, lambda: _proven(shift))
    shift.progress.say(f"adopted and last-good after {time.monotonic() - began:.0f} s")
    if _live(shift) != before:
        raise StageFailed("the adoption changed the Deployment's template")
    telemetry = _condition(shift, "TelemetryKnown")
    if telemetry.get("status") != "True":
        raise StageFailed(f"the SLI is not read: {telemetry}")
    bands = {one["name"]: one["band"] for one in shift.status(NAME).get("objectives", [])}
    if set(bands) != OBJECTIVES or "unknown" in bands.values():
        raise StageFailed(f"objectives {bands}, where each of {sorted(OBJECTIVES)} must be read")


@contextmanager
def _reading(page: Page, name: str) -> Iterator[None]:
    """The reader runs a block of the page meanwhile; at the end it has to have ended well."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(page.run, name)
        yield
        running.result()


def _ship_a_good_one(shift: Shift, page: Page) -> None:
    began = time.monotonic()
    with _reading(page, "good"):
        shift.progress.wait("the good release to be promoted", 240, lambda: _target(shift, "good", "Promoted"))
    shift.progress.say(
        f"a good release is promoted after {time.monotonic() - began:.0f} s; weights seen: {shift.weights}"
    )
    if not {25, 50} <= set(shift.weights):
        raise StageFailed(f"promoted without its steps: {shift.weights}")
    shift.progress.wait("the good release to be proven last-good", 120, lambda: _proven(shift))


def _push_a_bad_one(shift: Shift, page: Page) -> None:
    """What somebody does by hand: a third of all requests fail, a ninth with a 5xx."""
    pushed = time.time()
    good = shift.status(NAME)["live"]
    page.run("by-hand")
    shift.progress.say("a bad release is pushed by hand (kubectl set image)")
    met = _first_bad(shift, pushed)
    status = _incident_at(shift, "sev1")
    detected = datetime.fromisoformat(status["detectedAt"]).timestamp()
    paged = _first_page(shift)
    shift.progress.say(
        f"sev1 {detected - met:.1f} s after users first met it ({detected - pushed:.1f} s after the push); "
        f"paged {paged - met:.1f} s after"
    )
    if detected - met > shift.api.pace.seconds(PAGING_SECONDS):
        raise StageFailed(f"sev1 only {detected - met:.0f} s after users met it")
    shift.progress.wait("the good release to be put back", 120, lambda: (live_image(shift) == GOOD, live_image(shift)))
    shift.progress.say(f"rolled back {time.time() - met:.1f} s after users first met it")
    shift.progress.wait("the Incident to be resolved", 180, lambda: _incident(shift, "phase", "Resolved"))
    shift.progress.say(f"resolved {time.time() - met:.1f} s after users first met it")
    page.run("rolled-back")
    wait_available(shift.api, shift.progress, shift.namespace, NAME, 120)
    blocked = [r["images"][NAME] for r in shift.status(NAME)["revisions"] if r.get("blocked")]
    incident = shift.incident(INCIDENT)
    cause, burned = incident["cause"], [incident["burn"], *incident.get("alsoBurned", [])]
    if [burn["slo"] for burn in burned] != ["availability"]:
        raise StageFailed(f"requests fail and none is slow, but what burned is {burned}")
    if blocked != [BAD] or cause["kind"] != "bad_release" or shift.status(NAME)["live"] != good:
        raise StageFailed(f"blocked {blocked}, cause {cause}, live {shift.status(NAME)['live']} instead of {good}")


def _ship_a_bad_one(shift: Shift, page: Page) -> None:
    """The same fault by Release: the canary is rejected, live stays."""
    live, began = shift.status(NAME)["live"], time.monotonic()
    with _reading(page, "rejected"):
        shift.progress.wait("the bad release to be rejected", 240, lambda: _target(shift, "bad-again", "Rejected"))
    target = shift.status(NAME)["target"]
    shift.progress.say(
        f"rejected after {time.monotonic() - began:.0f} s at weight {target.get('weight')}: {target['reason']}, "
        f"{target['message'][:160]}"
    )
    served = _count(shift, f'sum(http_requests_total{{pod=~"{NAME}-canary-.*",status="500"}})')
    shift.progress.say(f"users met {served} errors of the canary")
    incidents = sorted(i["metadata"]["name"] for i in shift.incidents() if not i.get("status", {}).get("mergedInto"))
    if shift.status(NAME)["live"] != live or incidents != [INCIDENT]:
        raise StageFailed(f"live {shift.status(NAME)['live']} instead of {live}; Incidents {incidents}")
    page.run("read")


# what is written and looked at


def _objects(name: str) -> list[Object]:
    return [o for o in yaml.safe_load_all((HOME / "opsloop" / name).read_text()) if o]


def _apply(shift: Shift, name: str) -> None:
    shift.apply(_objects(name))


def _live(shift: Shift) -> Any:
    return (shift.api.get("deployments", shift.namespace, NAME) or {})["spec"]["template"]


def live_image(shift: Shift) -> str:
    """Image that the live Deployment asks for."""
    return str(_live(shift)["spec"]["containers"][0]["image"])


def _condition(shift: Shift, kind: str) -> Object:
    found: list[Object] = shift.status(NAME).get("conditions", [])
    return next((c for c in found if c["type"] == kind), {})


def _proven(shift: Shift) -> tuple[object, str]:
    status = shift.status(NAME)
    live: Object = next((r for r in status.get("revisions", []) if r["digest"] == status.get("live")), {})
    known = _condition(shift, "TelemetryKnown")
    return live.get(
        "provenAt"
    ), f"phase {status.get('phase')}, TelemetryKnown {known.get('status')} {known.get('message')}"


def _target(shift: Shift, version: str, state: str) -> tuple[object, str]:
    status = shift.status(NAME)
    target, weight = status.get("target") or {}, (status.get("weight") or {}).get("wanted", 0)
    own = target.get("version") == version
    if own and weight and weight not in shift.weights:
        shift.weights.append(weight)
    held = _condition(shift, "Held")
    seen = (
        f"{target.get('version')} {target.get('state')} weight {weight}: {target.get('message')}; {held.get('message')}"
    )
    return own and target.get("state") == state, seen


def _incident(shift: Shift, field: str, value: str) -> tuple[object, str]:
    status = shift.incident(INCIDENT)
    return status.get(field) == value and status, f"{status.get('phase', 'no Incident')} {status.get('severity', '')}"


def _incident_at(shift: Shift, severity: str) -> Object:
    status = shift.progress.wait(
        f"an Incident at {severity}", 180, lambda: _incident(shift, "severity", severity), every=0.5
    )
    assert isinstance(status, dict)
    return status


def _served(shift: Shift) -> tuple[object, str]:
    vector = shift.api.instant(shift.namespace, 'sum(increase(http_requests_total{service="podinfo"}[10s]))')
    count = float(vector[0]["value"][1]) if vector else 0.0
    return count > 20, f"{count:.0f} requests in 10 s"


def _count(shift: Shift, query: str) -> int:
    vector = shift.api.instant(shift.namespace, query)
    return round(float(vector[0]["value"][1])) if vector else 0


def _first_bad(shift: Shift, since: float) -> float:
    """When Prometheus first counted a 5xx of podinfo, in Unix seconds: users have met the bad release."""
    query = 'sum(http_requests_total{service="podinfo",status="500"})'

    def look() -> tuple[object, str]:
        series = shift.api.span(shift.namespace, query, since, time.time(), 1)
        points = [float(at) for one in series for at, value in one["values"] if float(value) > 0]
        return points and points[0], "no request failed yet"

    found = shift.progress.wait("users to meet the bad release", 120, look, every=0.5)
    assert isinstance(found, float)
    return found


def _first_page(shift: Shift) -> float:
    """When the paging service got the first page of the Incident, in Unix seconds."""

    def look() -> tuple[object, str]:
        answer = shift.api.service(shift.namespace, "receiver:8080", "/pages")
        pages = answer["pages"] if isinstance(answer, dict) else []
        own = [p["receivedAt"] for p in pages if p["page"].get("incident") == INCIDENT]
        return own and own[0], f"{len(pages)} pages"

    received = shift.progress.wait("the page", 60, look)
    assert isinstance(received, str)
    return datetime.fromisoformat(received).timestamp()
