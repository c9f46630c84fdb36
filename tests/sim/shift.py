"""The shift: one story of a shop that ships bad versions, played second by second to opsloop in fake time."""

from collections.abc import Awaitable, Callable
from typing import Any

from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.api.reported import TicketExample
from opsloop.core import conditions
from opsloop.core.reported import Alert, Ticket
from opsloop.entry.settings import Settings
from opsloop.names import CANARY, GATE, WARM
from opsloop.shell.ports import DEPLOYMENTS, EVALCASES, INCIDENTS, RELEASES, Object
from tests.builders.objects import V1, release_spec
from tests.sim.operator import SETTINGS, OperatorProcess
from tests.sim.shop import NS, Shop, version_of

CASE = "answers-1-regression"


def release_object() -> Object:
    """The drill's Release, with every wait a few seconds long."""
    by_version = 'version=~"{{version}}"'
    slo = release_spec()["slo"] | {
        "sli": {"good": f"good{{{by_version}}}[{{{{window}}}}]", "total": f"total{{{by_version}}}[{{{{window}}}}]"},
        "tiers": [{"long": "10s", "short": "2s", "factor": 14.4, "severity": "sev1"}],
        "resolveAfter": "3s",
        "bakeTime": "4s",
    }
    strategy = {
        "canary": {
            "steps": [{"weight": 20}, {"weight": 50}, {"weight": 100}],
            "analysis": {"window": "2s", "minEvents": 5},
        }
    }
    evals = {"port": 8080, "ask": {"path": "/ask?q={{asked}}"}, "quarantine": "auto"}
    spec = release_spec(slo=slo, strategy=strategy, evals=evals, dependsOn=[])
    return {"kind": "Release", "metadata": {"name": "answers", "namespace": NS}, "spec": spec}


def runbook_object() -> Object:
    spec = {
        "match": {"causes": ["bad_release"]},
        "steps": [{"type": "rollback", "timeout": "2m"}],
        "safety": {"mode": "auto"},
        "serviceAccountName": "runbook",
    }
    return {"kind": "Runbook", "metadata": {"name": "bad-release", "namespace": NS}, "spec": spec}


class Shift:
    """Plays the story; `log` holds the second of each transition. A test may also play parts of it, or a story of its own."""

    def __init__(
        self, lag: bool = False, runbook: bool = True, settings: Settings = SETTINGS, shop: Shop | None = None
    ) -> None:
        self.shop = shop or Shop(release_object(), runbook_object() if runbook else None)
        self.operator = OperatorProcess(self.shop, lag, settings)
        self.log: list[tuple[int, str]] = []
        self.second = 0
        self.shop.cluster.on_store = self._assert_laws
        self.live = "v1"

    def _assert_laws(self, stored: Object) -> None:
        """Asserts at every single store that no gate is open beyond the decided number of pods; follows the live version."""
        if stored["kind"] == "Pod" and WARM in stored["metadata"].get("labels", {}):
            warm = self.release().status.warm if self._find(RELEASES, "answers") else None
            opened = self.shop.open_warm()
            if GATE in str(stored.get("status", {}).get("conditions", "")) and self._opening(stored):
                assert warm is not None and warm.state == "Serving"
                assert len(opened) <= warm.pods, f"{len(opened)} warm pods in traffic, {warm.pods} decided"
        elif stored["kind"] == "Pod" and GATE in str(stored.get("status", {}).get("conditions", "")):
            target = (self.release().status.target if self._find(RELEASES, "answers") else None) or None
            opened = self.shop.open_canaries()
            if self._opening(stored):
                assert target is not None and target.state == "Stepping"
                assert len(opened) <= target.pods, f"{len(opened)} gates open, {target.pods} decided"
                assert {version_of(p) for p in opened} <= {target.version}
        if stored["kind"] == "Deployment" and stored["metadata"]["name"] == "answers":
            self.live = version_of(stored["spec"]["template"])

    def _opening(self, pod: Object) -> bool:
        gate = next(c for c in pod["status"]["conditions"] if c["type"] == GATE)
        return gate["status"] == "True" and not any(
            c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"]
        )

    # stored objects

    def _find(self, resource: Any, name: str) -> Object | None:
        return self.shop.cluster.find(resource, NS, name)

    def release(self) -> Release:
        return Release.model_validate(self._find(RELEASES, "answers"))

    def release_object(self) -> Object:
        stored = self._find(RELEASES, "answers")
        assert stored is not None
        return stored

    def incident(self) -> Incident | None:
        stored = self._find(INCIDENTS, "answers-1")
        return Incident.model_validate(stored) if stored else None

    def _is(self, condition: str) -> bool:
        incident = self.incident()
        return incident is not None and conditions.is_true(incident.status.conditions, condition)

    # the story

    async def until(self, event: str, holds: Callable[[], bool], most: int = 90) -> None:
        for _ in range(most):
            await self.one_second()
            if holds():
                self.log.append((self.second, event))
                return
        raise AssertionError(f"not within {most} s: {event}\n{self.transcript()}\n{self._state()}")

    async def one_second(self) -> None:
        self.second += 1
        await self.operator.second()

    async def play(self, stop: bool = True) -> None:
        try:
            await self.adopt()
            await self.mitigate()
            await self.learn()
            await self.ship()
        finally:
            if stop:
                await self.operator.stop()

    async def adopt(self) -> None:
        await self.until("v1 is adopted", lambda: self.release().status.live == V1)
        await self.until("v1 is last-good", lambda: bool(self.release().status.revisions[0].proven_at))

    async def mitigate(self) -> None:
        self.shop.set_image("v2")
        self.log.append((self.second, "v2 is pushed by hand"))
        await self.until("an Incident is open", lambda: self.incident() is not None)
        self._storm()
        await self.until("one page", lambda: bool(self.operator.pager.pages))
        await self.until("v1 is written back", lambda: self.live == "v1")
        await self.until("resolved", lambda: (i := self.incident()) is not None and i.status.phase == "Resolved")

    def _storm(self) -> None:
        now = self.shop.clock.now()
        labels = {"service": "answers", "severity": "critical"}
        alerts = [
            Alert(f"f{n}", "firing", now, {"alertname": "PodWrongAnswers", "pod": f"p{n}", **labels}, {}, now)
            for n in range(20)
        ]
        example = TicketExample(asked="how long can I return boots?", got="7 days", expected="30 days")
        text = "The answers service gives wrong answers right now: it says 7 days."
        ticket = Ticket("T-1", "Wrong answers about returns", text, "mail", "user", now, now, example)
        self.shop.report("storm", tuple(alerts), (ticket,))

    async def learn(self) -> None:
        await self.until("a case is captured", lambda: self._find(EVALCASES, CASE) is not None)
        await self.until("the case is proven", lambda: self._is("RegressionCaptured"))

    async def ship(self) -> None:
        self.shop.ship("v3")
        self.log.append((self.second, "v3 is shipped"))
        await self.until("v3 is rejected in the dark", lambda: self.target() == ("v3", "Rejected"))
        self.shop.ship("v4")
        self.log.append((self.second, "v4 is shipped"))
        for weight in (20, 50):
            await self.until(f"v4 at {weight}", lambda w=weight: self.release().status.weight.wanted >= w)  # type: ignore[misc]
        await self.until("v4 is promoted", lambda: self.target() == ("v4", "Promoted"))
        await self.until("the loop is closed", lambda: self._is("LoopClosed"))
        await self.until("all is quiet", self.quiet)

    def target(self) -> tuple[str, str]:
        target = self.release().status.target
        return (target.version, target.state) if target else ("", "")

    def quiet(self) -> bool:
        canary = [p for p in self.shop.objects("pods") if CANARY in p["metadata"].get("labels", {})]
        left = self.shop.quarantined() + canary + self.shop.open_warm()
        return not left and self._find(DEPLOYMENTS, "answers-canary") is None

    def _state(self) -> str:
        release, incident = self.release().status, self.incident()
        lines = [f"{c.type}={c.status} {c.reason}: {c.message}" for c in release.conditions]
        lines += [f"{p.type}-{p.attempt} {p.state} {p.reason}" for p in incident.status.plays] if incident else []
        lines += (
            [f"{c.type}={c.status} {c.reason}: {c.message}" for c in incident.status.conditions] if incident else []
        )
        return "\n".join([str(release.target), str(release.rollback), *lines])

    def transcript(self) -> str:
        return "\n".join(f"{second:4} s  {event}" for second, event in self.log)

    # the end, the same whatever happened on the way

    def end(self) -> dict[str, Any]:
        release, incident = self.release().status, self.incident()
        assert incident is not None
        status = incident.status
        return {
            "live": (self.live, release.version, release.phase),
            "blocked": sorted(r.version for r in release.revisions if r.blocked),
            "by hand": sorted(r.version for r in release.revisions if r.shipped_without_canary),
            "incidents": [i["metadata"]["name"] for i in self.shop.objects("incidents")],
            "plays": [(p.type, p.attempt, p.state) for p in status.plays],
            "reopened": status.reopened,
            "alerts": status.alerts.count,
            "tickets": [t.id for t in status.tickets],
            "cause": (status.cause.kind, status.cause.version) if status.cause else None,
            "conditions": {c.type: c.status for c in status.conditions if c.type != "Acting"},
            "fix": (status.fix.version, status.fix.case_passed) if status.fix else None,
            "page": status.page.state if status.page else None,
            "inbox": [c for c in self.shop.objects("configmaps") if "inbox" in c["metadata"]["name"]],
            "templates": self.wrote(),
            "pods": sorted(version_of(p) for p in self.shop.objects("pods")),
            "served by v3": "v3" in self.shop.served,
            "paged": len({p["dedup_key"] for p in self.operator.pager.pages}),
        }

    def wrote(self) -> list[str]:
        """Versions that opsloop wrote to the live Deployment, in order."""
        return [version_of(w.body[-1]["value"]) for w in self.shop.cluster.written("json_patch", "deployments")]


def story(play: Callable[[Shift], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """A test that starts with v1 adopted and last-good. A fixture would not run in fake time."""

    async def test() -> None:
        shift = Shift()
        try:
            await shift.adopt()
            await play(shift)
        finally:
            await shift.operator.stop()

    test.__name__ = play.__name__
    return test


def resolved(shift: Shift) -> bool:
    incident = shift.incident()
    return incident is not None and incident.status.phase == "Resolved"


async def seconds(shift: Shift, count: int) -> None:
    for _ in range(count):
        await shift.one_second()
