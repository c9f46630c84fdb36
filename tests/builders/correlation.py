"""Builders for correlation tests: the shop's releases web → answers → catalog, alerts on them, Incidents."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.api.slo import Tier
from opsloop.core.alerts.ledger import counts, merge
from opsloop.core.facts import ReleaseView
from opsloop.core.readings import Readings, TierVerdict, Unknown, Value, Verdict
from opsloop.core.reported import Alert, Ledger, Ticket

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
NS = "shop"
FAST = Tier.model_validate({"long": "1m", "short": "5s", "factor": 14.4, "severity": "sev1"})
SLOW = Tier.model_validate({"long": "6m", "short": "30s", "factor": 6, "severity": "sev2"})
Health = Literal["healthy", "burning", "fired", "fired-slow", "slow", "unknown", "unread", "no-slo"]


def at(seconds: float) -> datetime:
    """NOW plus seconds."""
    return NOW + timedelta(seconds=seconds)


def verdict(health: Health, moment: datetime = NOW) -> Verdict | None:
    if health in ("unread", "no-slo"):
        return None
    bad = Value(bad=20, total=100)
    fired = {"fired": FAST, "fired-slow": SLOW}.get(health)
    firing = TierVerdict(fired, True, bad, bad, 20.0, 20.0) if fired else None
    bands: dict[str, Any] = {"healthy": "ok", "unknown": "unknown", "slow": "slow", "burning": "slow", "fired": "fast"}
    unread = Unknown("NoSeries")
    quiet = TierVerdict(FAST, None if health == "unknown" else False, unread, unread, None, None)
    return Verdict(
        at=moment,
        objective=0.99,
        tiers=(firing or quiet,),
        band=bands.get(health, "fast"),
        firing=firing,
        back=None if health == "unknown" else health == "healthy",
        reason="Test",
        burning=health in ("burning", "fired", "fired-slow"),
    )


def view(name: str, health: Health = "healthy", needs: tuple[str, ...] = (), **more: Any) -> ReleaseView:
    slo = {"objective": 0.99, "sli": {"bad": "bad", "total": "total"}}
    spec: dict[str, Any] = {
        "workloadRef": {"name": more.pop("workload", name)},
        "version": "v1",
        "images": {"app": "x:v1"},
    }
    spec |= {"dependsOn": list(needs)} | ({} if health == "no-slo" else {"slo": slo})
    meta = {"name": name, "namespace": NS, "labels": more.pop("labels", {})}
    release = Release.model_validate({"metadata": meta, "spec": spec, "status": more})
    return ReleaseView(release, Readings(verdict=verdict(health), onset=at(-20) if health == "fired" else None))


def read_at(moment: datetime, views: Sequence[ReleaseView]) -> tuple[ReleaseView, ...]:
    """The same readings, read at this moment."""
    return tuple(
        replace(v, readings=replace(v.readings, verdict=v.readings.verdict and replace(v.readings.verdict, at=moment)))
        for v in views
    )


def shop(web: Health = "healthy", answers: Health = "healthy", catalog: Health = "healthy") -> tuple[ReleaseView, ...]:
    return view("web", web, ("answers",)), view("answers", answers, ("catalog",)), view("catalog", catalog)


def alert(name: str, service: str = "", status: Literal["firing", "resolved"] = "firing", **more: Any) -> Alert:
    """`start`, `seen`, `end` in seconds from NOW; further keywords are labels."""
    start, seen, end = more.pop("start", -5), more.pop("seen", 0), more.pop("end", None)
    labels = {"alertname": name, "severity": "warning", **({"service": service} if service else {}), **more}
    print_ = more.get("fp") or "-".join(str(v) for v in labels.values())
    labels.pop("fp", None)
    return Alert(
        fingerprint=print_,
        status=status,
        starts_at=at(start),
        labels=labels,
        annotations={"summary": name},
        received_at=at(seen),
        ends_at=at(end) if end is not None else at(seen) if status == "resolved" else None,
    )


def incident(
    name: str, kind: Literal["burn", "alerts", "telemetry"] = "burn", ledger: Ledger | None = None, **status: Any
) -> Incident:
    """Of the release that `name` begins with. Keywords are status fields; `severity` is also the signal's, `spec_kind` its kind."""
    root = name.rpartition("-")[0]
    severity = status.get("severity", "sev1" if kind == "burn" else "sev3")
    signal = {"kind": status.pop("spec_kind", kind), "at": at(-15), "severity": severity}
    spec = {"release": status.pop("release", root), "service": root, "title": name, "signal": signal}
    held = {"alerts": counts(ledger).dump()} if ledger else {}
    body = {
        "metadata": {"name": name, "namespace": NS, "uid": f"uid-{name}"},
        "spec": spec,
        "status": {"severity": severity, **held, **status},
    }
    return Incident.model_validate(body)


def ledger(*alerts: Alert) -> Ledger:
    return merge(Ledger(), alerts)


def ticket(subject: str, body: str = "", **more: Any) -> Ticket:
    created = more.pop("created", 0)
    return Ticket(
        id=more.pop("id", "T-1"),
        subject=subject,
        body=body,
        channel="web",
        reporter="someone",
        created_at=at(created),
        received_at=at(created),
        example=more.pop("example", None),
    )
