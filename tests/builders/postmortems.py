"""Incidents whose postmortems are kept as golden files."""

from typing import Any, NamedTuple

from opsloop.api.evalcase import EvalCase, EvalCaseStatus
from opsloop.api.incident import Incident, IncidentSpec, IncidentStatus
from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release
from opsloop.core.postmortem.document import Document, document
from opsloop.core.postmortem.render import render
from opsloop.core.postmortem.subject import PostmortemSubject
from tests.builders.evalcases import BAD, GOOD, at, case, proven, release, revision, ticket

FIX = "f1xf1xf1xf1xf1x4".replace("x", "e")
BURN = {
    "long": "1m", "short": "5s", "factor": 14.4, "burn_long": 16.2, "burn_short": 20.4,
    "error_ratio": 0.204, "bad": 96, "total": 592, "objective": 0.99,
}  # fmt: skip


class Episode(NamedTuple):
    """An Incident with what belongs to it, as the API server holds them."""

    incident: Incident
    release: Release | None
    case: EvalCase | None

    @property
    def subject(self) -> PostmortemSubject:
        return PostmortemSubject.of(*self)

    @property
    def document(self) -> Document:
        return document(*self)

    @property
    def markdown(self) -> str:
        return render(self.document, "md")


def incident(title: str = "answers burns its error budget 20 times too fast", **status: Any) -> Incident:
    spec = {
        "release": "answers",
        "service": "answers",
        "title": title,
        "signal": {"kind": "burn", "at": at(12), "severity": "sev1", "burn": BURN},
    }
    return made(spec, status)


def made(spec: dict[str, Any], status: dict[str, Any]) -> Incident:
    return Incident(
        metadata=ObjectMeta(name="answers-1", namespace="shop"),
        spec=IncidentSpec.model_validate(spec),
        status=IncidentStatus.model_validate(status),
    )


def _entry(
    key: str, seconds: float, kind: str, actor: str, message: str, *evidence: tuple[str, str, str]
) -> dict[str, Any]:
    return {
        "key": key, "at": at(seconds), "type": kind, "actor": actor, "message": message,
        "evidence": [{"name": n, "value": v, "source": s} for n, v, s in evidence],
    }  # fmt: skip


TIMELINE = [
    _entry("onset", 2.25, "Onset", "prometheus", "the error ratio rose above the budget", ("burn", "3.1", "1m of answers")),
    _entry("detected", 12.4, "Detected", "opsloop", "burn rate 20.4 over 5s and 16.2 over 1m, above 14.4", ("bad", "96 of 592", "SLI of answers")),
    _entry("paged", 12.9, "Paged", "opsloop", "one page, sev1"),
    _entry("alerts", 18, "Alerts", "alertmanager", "38 alerts joined this incident"),
    _entry("rollback-1", 22.1, "Rollback", "runbook/bad-release", "v2 is rolled back to v1", ("from", BAD, "Deployment answers")),
    _entry("ticket-T-5", 30, "Ticket", "intake", "T-5 was linked", ("score", "0.92", "words and time")),
    _entry("mitigated", 58.7, "Mitigated", "opsloop", "the SLI is back within its objective"),
    _entry("resolved", 73.9, "Resolved", "opsloop", "it held for 15s"),
]  # fmt: skip


def _revisions() -> list[Any]:
    return [
        revision(GOOD, 1, "v1", proven_at=at(-600), live_since=at(-3600)),
        revision(
            BAD, 2, "v2", "Drifted", manager="kubectl-set", shipped_without_canary=True, live_since=at(0.5),
            blocked={"reason": "RolledBack", "at": at(22.1)},
        ),
        revision(
            "3ebad3ebad3ebad3", 3, "v3", "Canaried",
            blocked={"reason": "EvalFailed", "message": "answers-1-regression failed 1 of 1: wanted \"After 14 days.\", got \"In June.\"",
                     "at": at(120), "incident": "answers-1"},
        ),
        revision(FIX, 4, "v4", "Canaried", live_since=at(180)),
    ]  # fmt: skip


def closed_loop() -> Episode:
    """The drill: v2 by hand, rolled back, case captured, v3 rejected, v4 promoted."""
    mended = release(
        version="v4",
        revisions=_revisions(),
        rollback={
            "incident": "answers-1", "attempt": 1, "from_digest": BAD, "to_digest": GOOD, "state": "Done", "at": at(22.1), "done_at": at(29),
        },
        promotion={"digest": FIX, "version": "v4", "at": at(200), "cases": ["answers-1-regression"]},
    )  # fmt: skip
    ended = incident(
        title="answers: wrong answers",
        phase="Resolved", severity="sev1", onset_at=at(2.25), detected_at=at(12.4), mitigated_at=at(58.7), resolved_at=at(73.9),
        burn=BURN, affected=["web"],
        cause={
            "kind": "bad_release", "release": "answers", "revision": BAD, "version": "v2", "reason": "NewRevision", "confidence": 0.95,
            "evidence": [
                {"name": "error ratio of v2", "value": "20.4 %", "source": "SLI by version"},
                {"name": "error ratio of v1", "value": "0 %", "source": "SLI by version"},
                {"name": "live since", "value": "1.8 s before onset", "source": "Release answers"},
            ],
        },
        page={"state": "Sent", "severity": "sev1", "dedup_key": "k", "decided_at": at(12.4), "sent_at": at(12.9)},
        alerts={"count": 38, "firing": 0, "by_service": {"web": 18, "answers": 20}},
        tickets=[ticket()], blocked=[BAD], timeline=TIMELINE,
        fix={"digest": FIX, "version": "v4", "at": at(200), "case_passed": True},
        eval_case="answers-1-regression",
    )  # fmt: skip
    noted = ended.spec.model_copy(update={"notes": IncidentSpec.model_validate({
        "service": "x", "title": "x", "signal": ended.spec.signal,
        "notes": [{"at": at(90), "author": "Priya", "text": "The topic merge had been reviewed.\nIts test data had one question per topic."}],
        "links": ["https://wiki.example/returns"],
    }).notes, "links": ["https://wiki.example/returns"], "owner": "search team"})  # fmt: skip
    return Episode(ended.model_copy(update={"spec": noted}), mended, case(status=proven()))


def still_open() -> Episode:
    """Just detected: no cause, no rollback, nothing captured."""
    fresh = incident(
        phase="Open", severity="sev1", detected_at=at(12.4), burn=BURN, timeline=TIMELINE[1:2],
        page={"state": "Decided", "severity": "sev1", "dedup_key": "k", "decided_at": at(12.4), "reason": "Unavailable"},
    )  # fmt: skip
    return Episode(fresh, release(version="v1", revisions=_revisions()[:1]), None)


def hostile() -> Episode:
    """No Release, no SLO; every text tries to break out."""
    nasty = "| x | <script>alert(1)</script> ![i](http://evil) `code`\n# Heading\u202e*bold*"
    spec = {
        "service": "cart|`rm`",
        "title": nasty,
        "signal": {"kind": "ticket", "at": at(0), "severity": "sev3", "message": nasty},
        "notes": [
            {"author": "Mallory", "text": "# not a heading\n- not a list\n1. not a list either\n> nor this\n\n" + nasty}
        ],
        "links": ["javascript:alert(1)", "https://ok.example/a b>"],
        "previous": "cart-1",
    }
    status = {
        "phase": "Mitigated", "severity": "sev3", "onset_at": at(-86400), "detected_at": at(0), "mitigated_at": at(3600),
        "tickets": [ticket(id="T|1", subject=nasty, example=None)],
        "timeline": [
            _entry("a", -86400, "Onset", "x|y", nasty, ("a|b", nasty, "c`d")),
            _entry("b", 0, "Detected", "intake", "a ticket"),
        ],
        "cause": {"kind": "unknown"}, "folded": 3,
    }  # fmt: skip
    return Episode(made(spec, status), None, None)


def fix_open() -> Episode:
    """Users first, promoted past its eval cases, an unproven rollback, a play that did not help, a case that cannot be proven."""
    shipped = release(
        version="v1",
        revisions=[
            revision(GOOD, 1, "v1", live_since=at(-9000)),
            revision(BAD, 2, "v2", "Canaried", live_since=at(-3600), blocked={"reason": "RolledBack", "at": at(600)}),
        ],
        rollback={
            "incident": "answers-1", "attempt": 1, "from_digest": BAD, "to_digest": GOOD, "state": "Written", "at": at(600),
        },
        promotion={"digest": BAD, "version": "v2", "at": at(-3600), "cases": ["greeting", "opening-hours"]},
    )  # fmt: skip
    held = incident(
        phase="Mitigated", severity="sev1", onset_at=at(-3000), detected_at=at(12.4), mitigated_at=at(700), burn=BURN, reopened=1,
        cause={"kind": "bad_release", "release": "answers", "revision": BAD, "version": "v2", "confidence": 0.7},
        tickets=[ticket(id="T-1", received_at=at(-120)), ticket()], blocked=[BAD], timeline=TIMELINE[:2],
        plays=[
            {"runbook": "restart-first", "step": 0, "type": "restart", "state": "DidNotHelp", "requested_at": at(20), "message": "the SLI stayed bad"},
            {"runbook": "bad-release", "step": 0, "type": "rollback", "state": "Helped", "requested_at": at(600)},
        ],
        conditions=[],
    )  # fmt: skip
    unproven = EvalCaseStatus(observed_generation=1, proven="False", reason="PassesOnBad")
    return Episode(held, shipped, case(status=unproven))


EPISODES = {"fix-open": fix_open, "closed-loop": closed_loop, "still-open": still_open, "hostile": hostile}
