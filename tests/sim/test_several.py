"""Several objectives of one Release through the whole operator: availability is fine and latency is not, and so on."""

from collections import Counter
from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.core import conditions
from opsloop.shell.ports import Object
from opsloop.simulator.prometheus.store import milliseconds
from tests.sim.shift import Shift, release_object, resolved, runbook_object, seconds
from tests.sim.shop import RPS, version_of
from tests.sim.test_pods_tell import SLI, ScrapedShop

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

LATENCY = {
    "name": "latency",
    "objective": 0.99,
    "sli": {"latency": {"histogram": "http_request_duration_seconds", "threshold": 0.5}},
}
BOUNDS = ("0.1", "0.5", "+Inf")


class TimedShop(ScrapedShop):
    """Each pod also has a histogram; `slow` is the share of each version's requests that take a second."""

    def __init__(self, release: Object, runbook: Object | None) -> None:
        self.slow: dict[str, float] = {}
        self.hidden = False  # the counter of requests is not scraped; the histogram is
        self.durations: Counter[tuple[str, str]] = Counter()  # (pod, bound) → requests that took at most so long
        super().__init__(release, runbook)

    def _serve(self, seconds: float) -> None:
        pods = self.in_traffic()
        for pod in pods:
            total = round(RPS * seconds / len(pods))
            slow = round(total * self.slow.get(version_of(pod), 0.0))
            for bound in BOUNDS:
                self.durations[pod["metadata"]["name"], bound] += total if bound == "+Inf" else total - slow
        super()._serve(seconds)

    def _scrape(self, alive: set[str]) -> None:
        if not self.hidden:
            super()._scrape(alive)
        at, name = milliseconds(self.clock.now()), "http_request_duration_seconds"
        for (pod, bound), count in self.durations.items():
            if pod not in alive:
                continue
            labels = {"job": "answers", "pod": pod, "namespace": "shop"}
            self.samples.append({**labels, "__name__": f"{name}_bucket", "le": bound}, at, float(count))
            if bound == "+Inf":
                self.samples.append({**labels, "__name__": f"{name}_count"}, at, float(count))


async def adopted() -> Shift:
    item = release_object()
    item["spec"]["slo"] |= {"name": "availability", "sli": SLI, "also": [LATENCY]}
    item["spec"].pop("evals")
    shift = Shift(shop=TimedShop(item, runbook_object()))
    await shift.adopt()
    return shift


def shop(shift: Shift) -> TimedShop:
    assert isinstance(shift.shop, TimedShop)
    return shift.shop


def incident(shift: Shift) -> Incident:
    found = shift.incident()
    assert found is not None
    return found


def standing(shift: Shift) -> dict[str, str]:
    return {one.name: one.band for one in shift.release().status.objectives}


def condition(shift: Shift, name: str) -> tuple[str, str, str]:
    found = conditions.get(shift.release().status.conditions, name)
    return (found.status, found.reason, found.message) if found else ("", "", "")


async def end(shift: Shift) -> None:
    telemetry: Any = shift.shop.telemetry
    assert telemetry.unsupported == []
    await shift.operator.stop()


async def test_a_version_that_is_slow_and_makes_no_errors_is_rolled_back_and_the_incident_says_latency() -> None:
    shift = await adopted()
    assert standing(shift) == {"availability": "ok", "latency": "ok"}
    shop(shift).slow["v4"] = 0.6
    shift.shop.set_image("v4")
    await shift.until("sev1", lambda: shift.incident() is not None and incident(shift).status.severity == "sev1")
    assert standing(shift) == {"availability": "ok", "latency": "fast"}
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"])
    await shift.until("resolved", lambda: resolved(shift))
    status = incident(shift).status
    assert status.burn is not None
    assert (status.burn.slo, status.burn.wrong, status.also_burned) == ("latency", "slower than 0.5 s", [])
    assert status.title.startswith("answers: latency: ") and "slower than 0.5 s" in status.title
    (page, *_) = shift.operator.pager.pages
    assert "latency" in page["title"]
    assert [(p.type, p.state, [h.slo for h in p.harmed]) for p in status.plays] == [("rollback", "Helped", ["latency"])]
    assert status.plays[0].message == "latency is back since then"
    assert status.cause is not None and (status.cause.kind, status.cause.version) == ("bad_release", "v4")
    assert [r.version for r in shift.release().status.revisions if r.blocked] == ["v4"]
    assert standing(shift) == {"availability": "ok", "latency": "ok"}
    (stored,) = [c for c in shift.shop.objects("configmaps") if c["metadata"]["name"] == status.postmortem]
    assert "was slower than 0.5 s" in stored["data"]["postmortem.md"]
    await end(shift)


async def test_a_canary_that_is_slow_and_makes_no_errors_is_rejected_by_name() -> None:
    shift = await adopted()
    shop(shift).slow["v4"] = 0.6
    shift.shop.ship("v4")
    await shift.until("v4 is rejected", lambda: shift.target() == ("v4", "Rejected"))
    target = shift.release().status.target
    assert target is not None
    assert (target.reason, target.message.split(": ")[0]) == ("AnalysisFailed", "latency")
    assert shift.wrote() == [] and shift.incident() is None
    await end(shift)


async def test_a_canary_that_errs_is_rejected_for_availability() -> None:
    shift = await adopted()
    shift.shop.ship("v3")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    target = shift.release().status.target
    assert target is not None and target.message.startswith("availability: ")
    await end(shift)


async def test_a_healthy_release_of_two_objectives_is_promoted_and_becomes_last_good() -> None:
    shift = await adopted()
    shop(shift).slow |= {"v1": 0.002, "v4": 0.002}
    shift.shop.ship("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("v4 is last-good", lambda: shift.release().status.last_good == shift.release().status.live)
    assert shift.incident() is None and shift.operator.pager.pages == []
    await end(shift)


async def test_while_availability_cannot_be_read_latency_still_pages_and_is_rolled_back() -> None:
    shift = await adopted()
    shop(shift).hidden = True
    await shift.until("availability is unknown", lambda: standing(shift)["availability"] == "unknown", most=400)
    assert condition(shift, "TelemetryKnown")[0] == "False"
    assert condition(shift, "TelemetryKnown")[2].startswith("availability: ")
    shop(shift).slow["v4"] = 0.6
    shift.shop.set_image("v4")
    await shift.until("sev1", lambda: shift.incident() is not None and incident(shift).status.severity == "sev1")
    assert "latency" in incident(shift).status.title
    assert condition(shift, "TelemetryKnown")[0] == "False", "the one that burns does not make the other one known"
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"])
    await shift.until("it helped", lambda: incident(shift).status.plays[-1].state == "Helped")
    await seconds(shift, 20)
    assert not resolved(shift), "nobody can say that availability is well"
    shop(shift).hidden = False
    await shift.until("resolved", lambda: resolved(shift), most=400)
    await end(shift)


async def test_while_one_cannot_be_read_a_canary_waits_and_is_told_which() -> None:
    shift = await adopted()
    shop(shift).hidden = True
    await shift.until("availability is unknown", lambda: standing(shift)["availability"] == "unknown", most=400)
    shift.shop.ship("v4")
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    await seconds(shift, 40)
    assert shift.target() == ("v4", "Stepping")
    status, reason, message = condition(shift, "Held")
    assert (status, reason, message.split(":")[0]) == ("True", "TelemetryUnknown", "availability")
    await end(shift)


async def test_a_rollback_that_mends_availability_and_breaks_latency_is_not_back() -> None:
    """v1 is slow from the moment at which it is live again: its cache is cold for good."""
    shift = await adopted()
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"])
    shop(shift).slow["v1"] = 0.5
    await shift.until(
        "it is known what the rollback did", lambda: incident(shift).status.plays[-1].ended_at is not None
    )
    rollback = next(p for p in incident(shift).status.plays if p.type == "rollback")
    assert (rollback.state, [h.slo for h in rollback.harmed]) == ("Helped", ["availability"])
    await seconds(shift, 30)
    status = incident(shift).status
    assert status.phase not in ("Mitigated", "Resolved")
    assert [burn.slo for burn in status.also_burned] == ["latency"]
    assert [entry.type for entry in status.timeline if entry.key == "burn-latency"] == ["AlsoBurns"]
    shop(shift).slow["v1"] = 0.0
    await shift.until("resolved", lambda: resolved(shift))
    await end(shift)
