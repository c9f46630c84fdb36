"""From what was recorded of one shift to its numbers, as plain JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from e2e.bench import changes, sampler
from e2e.drill.shift import Shift
from e2e.harness import audit, gates, sli
from e2e.harness.audit import Request
from e2e.harness.recorder import Version
from opsloop.api.meta import parse_duration

Numbers = dict[str, Any]
BEFORE = 5.0  # seconds before the push that are looked at as well
REST_ALLOWED = ("list", "watch")  # besides the Lease: the periodic resync, and watches that the API server had ended


@dataclass(frozen=True)
class Recorded:
    """`requests` are the operator's, from before the shift to the end of the rest. Unix seconds."""

    requests: list[Request]
    releases: list[Version]
    incidents: list[Version]
    samples: list[sampler.Sample]
    rest: tuple[float, float]
    settled: float  # seconds from the end of the shift until nothing but the Lease was asked


def measure(shift: Shift, recorded: Recorded) -> Numbers:
    """All numbers of one shift. ValueError where the breach, the burn or the rollback was not seen at all."""
    begin, end = shift.broke, shift.marks["closed"]
    during = between(recorded.requests, begin, end)
    return {
        "seed": shift.seed,
        "seconds": round(end - begin, 1),
        "reaction": reaction(shift, recorded),
        "requests": flat(audit.table(r for r in during if r.resource != "leases")),
        "leases": sum(1 for r in during if r.resource == "leases"),
        "refused": {"403": len(audit.forbidden(during)), "409": sum(1 for r in during if r.code == 409)},
        "memory": memory(recorded, begin),
        "rest": rest(recorded),
        "cpuSeconds": round(sampler.cpu_seconds(recorded.samples, begin, end), 2),
        "writes": {"releases": changes.causes(recorded.releases), "incidents": changes.causes(recorded.incidents)},
        "safety": safety(shift, recorded),
    }


def between(requests: list[Request], begin: float, end: float) -> list[Request]:
    """Received in this span."""
    return [r for r in requests if begin <= r.time <= end]


def flat(counts: audit.Table) -> dict[str, int]:
    """JSON has no pairs as keys."""
    return {f"{verb} {target}": number for (verb, target), number in counts.items()}


def reaction(shift: Shift, recorded: Recorded) -> Numbers:
    """Seconds from the breach visible in Prometheus to what the operator did."""
    release = next(v.obj for v in recorded.releases if v.name == "answers")
    objective = sli.objective_of(release)
    stored = burn_stored(recorded)
    tier = objective.tier(stored[1]["burn"])
    write = next(
        (r.time for r in audit.rollbacks(recorded.requests, shift.namespace, "answers") if r.time > shift.broke), None
    )
    if write is None:
        raise ValueError("the audit log shows no rollback write after the push")
    span = (shift.broke - BEFORE, write + 90)
    read = {w: sli.points(_span(shift), objective, w, *span) for w in {tier.long, tier.short, objective.head}}
    visible = sli.visible(objective, tier, read[tier.long], read[tier.short], shift.broke)
    if visible is None:
        raise ValueError(f"Prometheus shows no breach of {tier.long} & {tier.short} at {tier.factor:g}")
    back = sli.back(objective, read[objective.head], write)
    created = next(
        (r.time for r in audit.select(recorded.requests, "create", "incidents", shift.namespace, "answers-1")), None
    )
    return {
        "tier": f"{tier.long} & {tier.short} at {tier.factor:g}",
        "tick": tick(shift),
        "push": _after(shift.broke, visible),
        "incidentCreated": _after(created, visible),
        "detectedAt": _after(_time(stored[1].get("detectedAt")), visible),
        "burnStored": _after(stored[0], visible),
        "rollbackWrite": _after(write, visible),
        "sliBack": _after(back, visible),
    }


def _after(instant: float | None, visible: float) -> float | None:
    return None if instant is None else round(instant - visible, 2)


def _span(shift: Shift) -> sli.Span:
    return lambda query, start, end, step: shift.api.span(shift.namespace, query, start, end, step)


def burn_stored(recorded: Recorded) -> tuple[float, Numbers]:
    """(when the PUT was answered, status) of the first version of answers-1 that holds its burn."""
    first = next((v for v in recorded.incidents if v.name == "answers-1" and v.status.get("burn")), None)
    if first is None:
        raise ValueError("no version of Incident answers-1 held a burn")
    puts = audit.select(recorded.requests, "update", "incidents/status", "", "answers-1")
    return max((p.done for p in puts if p.time <= first.at), default=first.at), first.status


def _time(stamp: str | None) -> float | None:
    return datetime.fromisoformat(stamp).timestamp() if stamp else None


def tick(shift: Shift) -> float:
    """Seconds between two readings, as the chart configured them."""
    deployment = shift.api.get("deployments", shift.ops, "opsloop") or {}
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    environment = {e["name"]: e.get("value", "") for c in containers for e in c.get("env", [])}
    return parse_duration(environment.get("OPSLOOP_TICK", "5s")).total_seconds()


def memory(recorded: Recorded, begin: float) -> Numbers:
    """Resident MiB: before the shift, at most from its start on, and at rest; and how many processes there were."""
    at_rest = [s for s in recorded.samples if s.at >= recorded.rest[0]]
    before = [s for s in recorded.samples if s.at < begin]
    return {
        "before": round(before[-1].rss / sampler.MIB, 1) if before else math.nan,
        "max": round(sampler.peak(recorded.samples), 1),
        "rest": round(sampler.peak(at_rest), 1),
        "processes": len({s.started for s in recorded.samples}),
        "samples": len(recorded.samples),
    }


def rest(recorded: Recorded) -> Numbers:
    """What was asked while nothing happened."""
    during = between(recorded.requests, *recorded.rest)
    others = [r for r in during if r.resource != "leases"]
    return {
        "seconds": round(recorded.rest[1] - recorded.rest[0], 1),
        "settled": round(recorded.settled, 1),
        "leases": flat(audit.table(r for r in during if r.resource == "leases")),
        "requests": flat(audit.table(others)),
        "other": sum(1 for r in others if r.verb not in REST_ALLOWED),
    }


def safety(shift: Shift, recorded: Recorded) -> Numbers:
    """Counted in the audit log: template writes, gates, and openings that had not been decided."""
    decided = gates.decided_by_status(recorded.releases, recorded.requests, shift.namespace, "answers")
    return {
        "templateWrites": len(audit.rollbacks(recorded.requests, shift.namespace, "answers")),
        "openings": len(gates.openings(recorded.requests, shift.namespace)),
        "closings": len(gates.closings(recorded.requests, shift.namespace)),
        "undecided": len(gates.undecided_openings(recorded.requests, decided, shift.namespace)),
    }
