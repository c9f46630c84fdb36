"""One shift as the gate sees it, recorded-like: v2 breaks `answers`, is rolled back to v1, v3 is refused, v4 is promoted.

Everything is true here, so that each test says with one change what was not.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.gate.evidence import (
    CaseRun,
    Filings,
    FiredAlert,
    LiveAnswer,
    PageSeen,
    Replay,
    ReplicaSetSeen,
    SentTicket,
    Served,
    ShiftEvidence,
    SliPoint,
    SliSeries,
    TierBurn,
    WorkloadSeen,
)
from opsloop.core.gate.storm import fingerprint
from opsloop.core.release.revisions import digest
from opsloop.core.reported import Alert, Ledger
from opsloop.core.slo.tiers import tiers_of

NS, INCIDENT = "shop", "answers-1"
START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def template(version: str) -> dict[str, Any]:
    """Pod template of `answers` as the API server returns it."""
    container = {"name": "answers", "image": f"helpdesk:{version}", "ports": [{"containerPort": 8080}]}
    return {"metadata": {"labels": {"app": "answers"}}, "spec": {"containers": [container]}}


V1, V2, V3, V4 = (digest(template(version)) for version in ("v1", "v2", "v3", "v4"))
WRONG, RIGHT = "You can send anything back within 21 days.", "You can send anything back within 90 days."
SLO = {
    "objective": 0.99,
    "sli": {
        "good": 'sum(increase(shop_answers_total{service="answers",verdict="good",version=~"{{version}}"}[{{window}}]))',
        "total": 'sum(increase(shop_answers_total{service="answers",version=~"{{version}}"}[{{window}}]))',
    },
    "tiers": [
        {"long": "1m", "short": "5s", "factor": 14.4, "severity": "sev1"},
        {"long": "6m", "short": "30s", "factor": 6, "severity": "sev2"},
    ],
    "resolveAfter": "15s",
}


def at(seconds: float) -> datetime:
    """An instant of the shift; 0 is the onset."""
    return START + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    """The same for an object."""
    return at(seconds).isoformat().replace("+00:00", "Z")


DETECTED, MITIGATED, RESOLVED, PROMOTED, NOW = 15, 45, 65, 200, 260


def release(name: str = "answers", depends_on: tuple[str, ...] = ("catalog",), **status: Any) -> Release:
    return Release.model_validate(
        {
            "metadata": {"name": name, "namespace": NS},
            "spec": {
                "workloadRef": {"name": name},
                "version": "v4",
                "images": {name: "helpdesk:v4"},
                "slo": SLO,
                "dependsOn": list(depends_on),
                "evals": {"port": 8080, "quarantine": "auto"},
            },
            "status": status,
        }
    )


def revision(digest: str, number: int, version: str, blocked: str = "", live: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {
        "digest": digest, "number": number, "version": version, "reason": "Adopted", "firstSeen": stamp(0)
    }  # fmt: skip
    if live:
        found["liveSince"] = stamp(0)
    if blocked:
        found["blocked"] = {"reason": blocked, "incident": INCIDENT, "at": stamp(50)}
    return found


def answers(**changes: Any) -> Release:
    status = {
        "revisions": [
            revision(V1, 1, "v1"),
            revision(V2, 2, "v2", "RolledBack"),
            revision(V3, 3, "v3", "EvalFailed", live=False),
            revision(V4, 4, "v4"),
        ],
        "promotion": {"digest": V4, "version": "v4", "at": stamp(PROMOTED)},
    }
    return release("answers", **{**status, **changes})


RELEASES = (answers(), release("web", ("answers",)), release("catalog", ()))


def incident(name: str = INCIDENT, root: str = "answers", created: float = DETECTED, **status: Any) -> Incident:
    told = {
        "phase": "Resolved",
        "severity": "sev1",
        "onsetAt": stamp(0),
        "detectedAt": stamp(DETECTED),
        "mitigatedAt": stamp(MITIGATED),
        "resolvedAt": stamp(RESOLVED),
        "cause": {"kind": "bad_release", "release": "answers", "revision": V2, "version": "v2"},
        "rollback": {"release": "answers", "fromDigest": V2, "toDigest": V1, "attempt": 1, "at": stamp(20)},
        "blocked": [V2],
        "page": {"state": "Sent", "severity": "sev1", "dedupKey": f"{NS}/{name}", "decidedAt": stamp(DETECTED)},
        "evalCase": "answers-1-regression",
    }
    return Incident.model_validate(
        {
            "metadata": {"name": name, "namespace": NS, "creationTimestamp": stamp(created)},
            "spec": {
                "release": root,
                "service": root,
                "title": "answers burns its budget",
                "signal": {"kind": "burn", "at": stamp(created), "severity": "sev1"},
            },
            "status": {**told, **status},
        }
    )


def case(**spec: Any) -> EvalCase:
    told = {
        "release": "answers",
        "request": {"path": "/ask?q=returns", "port": 8080},
        "expect": {"field": "answer", "contains": RIGHT},
        "mustPass": True,
        "origin": {"kind": "regression", "incident": INCIDENT, "ticket": "HD-1"},
        "proof": {"bad": V2, "good": V1},
    }
    return EvalCase.model_validate(
        {"metadata": {"name": "answers-1-regression", "namespace": NS}, "spec": {**told, **spec}}
    )


def labels(name: str, service: str, number: int = 0) -> dict[str, str]:
    return {"alertname": name, "service": service, "namespace": NS, "pod": f"{service}-{number}", "severity": "warning"}


OURS = tuple(labels("PodWrongAnswers", s, n) for s in ("answers", "web") for n in range(20))
CATALOG = {"alertname": "CatalogIndexStale", "service": "catalog", "namespace": NS, "severity": "info"}


def alert(of: Mapping[str, str]) -> Alert:
    return Alert(fingerprint(of), "resolved", at(10), of, {}, at(12))


def series_of(
    window: float, start: float, end: float, bad: Mapping[tuple[float, float], float], step: float = 1
) -> SliSeries:
    """30 events a second; `bad` says which share was bad between which seconds, as the window shows it."""
    points = []
    for index in range(int((end - start) / step) + 1):
        second, total = start + index * step, 30 * window
        share = max((share for (a, b), share in bad.items() if a <= second <= b), default=0.0)
        points.append(SliPoint(at(second), share * total, total))
    return SliSeries(timedelta(seconds=window), step, tuple(points), "the SLI")


HARM = {(1.0, 44.0): 0.2}


def sli(harm: Mapping[tuple[float, float], float] = HARM) -> SliSeries:
    return series_of(5, -35, NOW, harm)


def burns(share: float = 0.2, severity: str = "sev1", second: float = DETECTED) -> tuple[TierBurn, ...]:
    tiers = [tier for tier in tiers_of(Slo.model_validate(SLO)) if tier.severity == severity]
    span = (second - 5, second + 5)
    long, short = (series_of(window, *span, {span: share}) for window in (60, 5))
    return tuple(TierBurn(tier, long, short, at(second)) for tier in tiers)


def linked(id_: str = "HD-1", **changes: Any) -> dict[str, Any]:
    ticket = {
        "id": id_,
        "subject": "The help contradicts your own page",
        "category": "wrong-answer",
        "severity": "sev2",
        "route": "answers-team",
        "score": 0.9,
        "receivedAt": stamp(30),
        "example": {"asked": "How do returns work?", "got": WRONG, "expected": RIGHT},
    }
    return {**ticket, **changes}


def filings(
    alerts: tuple[Mapping[str, str], ...] = OURS,
    tickets: tuple[dict[str, Any], ...] = (linked(),),
    queue: tuple[str, ...] = ("HD-2", "HD-3"),
    inbox: int = 0,
) -> Filings:
    mine = Ledger(tuple(alert(a) for a in alerts), tickets)
    return Filings(
        {INCIDENT: mine, "catalog-1": Ledger((alert(CATALOG),))}, tuple(SentTicket(q, q) for q in queue), inbox
    )


def workload(live: str = V4, ready: int = 4, made: float = PROMOTED) -> WorkloadSeen:
    sets = (
        ReplicaSetSeen("answers-a", V1, at(-3600), 0, 0),
        ReplicaSetSeen("answers-b", V2, at(-5), 0, 0),
        ReplicaSetSeen("answers-d", V4, at(made), 4, ready),
    )
    shown = sets if live != V1 else (ReplicaSetSeen("answers-a", V1, at(-3600), 4, ready), *sets[1:2])
    return WorkloadSeen("answers", live, 4, ready, shown)


BAD_RUN = CaseRun(V2, False, f"wanted {RIGHT!r}, got {WRONG!r}", f'{{"answer": "{WRONG}"}}')
GOOD_RUN = CaseRun(V1, True, "", f'{{"answer": "{RIGHT}"}}')


def page(key: str = f"{NS}/{INCIDENT}", of: str = INCIDENT, severity: str = "sev1", second: float = 16) -> PageSeen:
    return PageSeen(key, of, severity, at(second))


def shift(**changes: Any) -> ShiftEvidence:
    """The whole of a good shift, with changes."""
    evidence: dict[str, Any] = {
        "now": at(NOW),
        "namespace": NS,
        "incident": incident(),
        "incidents": (incident(), incident("catalog-1", "catalog", 20, severity="sev4")),
        "releases": RELEASES,
        "alerts": tuple(FiredAlert(each) for each in (*OURS, CATALOG)),
        "active_alerts": (),
        "rules": ("ServiceErrorRatioHigh",),
        "filings": filings(),
        "sent": None,
        "burns": burns(),
        "pages": (page(),),
        "sli": sli(),
        "since_mitigated": SliPoint(at(NOW), 3, 6450),
        "workload": workload(),
        "case": case(),
        "replay": Replay(BAD_RUN, GOOD_RUN),
        "live": tuple(LiveAnswer(f"answers-d-{n}", True, "") for n in range(4)),
        "served": (Served("v3", 0.0, "sum(max_over_time(...))"),),
    }
    return ShiftEvidence(**{**evidence, **changes})
