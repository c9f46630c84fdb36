"""Incidents at some point of their life, with the facts around them, for tables of situations."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from opsloop.api.incident import Incident, IncidentSpec, IncidentStatus, Signal, TimelineEntry
from opsloop.api.play import Play
from opsloop.api.release import Release, ReleaseStatus
from opsloop.api.revision import Blocked
from opsloop.api.runbook import Grant, Runbook
from opsloop.core import conditions
from opsloop.core.actions import Action, StorePostmortem
from opsloop.core.decision import Decision
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import decide as incident
from opsloop.core.readings import Readings, TierVerdict
from opsloop.core.reported import Alert
from tests.builders.objects import BURN, T0, TIER, V1, V2, at, incident_facts, readings, release, runbook, value, view
from tests.builders.objects import incident as new
from tests.builders.rollouts import ADOPTED, BAD, record, target

NOW = at(100)
BAD_CAUSE = {"kind": "bad_release", "release": "answers", "revision": V2, "version": "v2", "confidence": 0.95}
BLOCKED_BAD = BAD.model_copy(update={"blocked": Blocked(reason="RolledBack", incident="answers-1", at=at(90))})
OLD_VERDICT = at(95)


def service(live: str = V2, known: Any = (ADOPTED, BAD), meta: dict[str, Any] | None = None, **status: Any) -> Release:
    """The root: v2 was pushed by hand a moment ago, unless said otherwise."""
    held = ReleaseStatus(live=live, revisions=list(known), target=target("Promoted", "v1"), **status)
    return release(status=held, meta=meta, dependsOn=[])


def burnt(phase: str = "Open", name: str = "answers-1", meta: dict[str, Any] | None = None, **status: Any) -> Incident:
    """Opened by a burn at T0, its page sent, v2 blamed."""
    base: dict[str, Any] = {
        "phase": phase,
        "severity": "sev1",
        "detectedAt": at(0),
        "burn": BURN,
        "cause": BAD_CAUSE,
        "onsetAt": at(-5),
    }
    sent = {"state": "Sent", "severity": "sev1", "dedupKey": f"uid-{name}", "decidedAt": at(0), "sentAt": at(1)}
    over = {"resolvedAt": at(50), "mitigatedAt": at(40), "backSince": at(40)} if phase == "Resolved" else {}
    mitigated = {"mitigatedAt": at(90), "backSince": at(90)} if phase == "Mitigated" else {}
    return new(name, {**base, "page": sent, **over, **mitigated, **status}, **(meta or {}))


def alerts_only(severity: str = "sev3", **status: Any) -> Incident:
    """Opened by alerts at T0, no burn."""
    item = new("answers-1", {"detectedAt": at(0), "severity": severity, **status})
    signal = Signal.model_validate({"kind": "alerts", "at": T0, "severity": severity})
    spec = IncidentSpec(release="answers", service="answers", title="t", signal=signal)
    return item.model_copy(update={"spec": spec})


def alert(status: str, number: int = 1) -> Alert:
    """A warning about answers that started at T0 + 1 s."""
    labels = {"alertname": "Down", "service": "answers", "severity": "warning"}
    return Alert(f"f{number}", status, at(1), labels, {}, at(2))  # type: ignore[arg-type]


def entry(type_: str, second: float) -> dict[str, Any]:
    """An entry of the timeline as it is stored."""
    key = f"{type_}-{second:.0f}"
    return TimelineEntry(key=key, at=at(second), type=type_, actor="opsloop", message="x").dump()


def play(
    state: str = "Running",
    type_: str = "rollback",
    attempt: int = 1,
    step: int = 0,
    book: str = "bad-release",
    **more: Any,
) -> Play:
    base = {
        "runbook": book,
        "step": step,
        "type": type_,
        "attempt": attempt,
        "state": state,
        "requested_at": at(60),
        "started_at": at(61),
    }
    return Play.model_validate({**base, **more})


ORDERED: dict[str, Any] = {"release": "answers", "fromDigest": V2, "toDigest": V1, "attempt": 1, "at": at(61)}
ROLLED_BACK: dict[str, Any] = {"plays": [play("Helped")], "rollback": ORDERED}


def book(granted: bool | None = None, attempt: int = 1, step: int = 0, reason: str = "x", **spec: Any) -> Runbook:
    """With this answer to the play."""
    item = runbook()
    item = item.model_copy(update={"spec": item.spec.model_validate({**item.spec.dump(), **spec})})
    if granted is None:
        return item
    grant = Grant(
        incident="answers-1",
        release="answers",
        step=step,
        attempt=attempt,
        granted=granted,
        reason=reason,
        message="m",
        at=at(99),
    )
    return item.model_copy(update={"status": item.status.model_copy(update={"grants": [grant]})})


def sli(ratio: float | None, when: datetime = NOW, **more: Any) -> Readings:
    split = {V1: value(0.0), V2: value(0.8)}
    return readings(ratio, when, by_revision=split, **more)


def aftermath(when: datetime = NOW) -> Readings:
    """The short windows are back within the objective while the long window of a ticket tier is still full of harm."""
    ticket = TIER.model_copy(update={"severity": "sev3", "factor": 1.0})
    firing = TierVerdict(ticket, True, value(0.05), value(0.05), 5.0, 5.0)
    healthy = readings(0.0, when)
    assert healthy.verdict is not None
    return replace(healthy, verdict=replace(healthy.verdict, firing=firing, band="slow"))


def facts(item: Incident, root: Release | None = None, seen: Readings | None = None, **more: Any) -> IncidentFacts:
    """Users suffer, unless said otherwise."""
    held = view(root or service(), seen or sli(0.5, onset=at(-5)))
    return incident_facts(item, held, **{"runbooks": (book(),), **more})


def decide(seen: IncidentFacts) -> Decision:
    return incident.decide(seen, NOW)


def after(seen: IncidentFacts) -> IncidentStatus:
    status = decide(seen).status
    return status if isinstance(status, IncidentStatus) else seen.incident.status


def acts(seen: IncidentFacts, *kinds: type[Action]) -> list[Any]:
    return [a for a in decide(seen).actions if isinstance(a, kinds)]


def condition_of(status: IncidentStatus, type_: str) -> tuple[str, str]:
    found = conditions.get(status.conditions, type_)
    return (found.status, found.reason) if found else ("", "")


def written(seen: IncidentFacts) -> str | None:
    """Digest of the postmortem that the decision stores."""
    stored = acts(seen, StorePostmortem)
    return stored[0].digest if stored else None


def plays(seen: IncidentFacts) -> list[tuple[str, int, str, str]]:
    return [(p.type, p.attempt, p.state, p.reason) for p in after(seen).plays]


def timeline_keys(status: IncidentStatus) -> list[str]:
    return [e.key for e in status.timeline]


DONE = record("Done", done_at=at(80))
