"""What a drill will do, told before it begins: what it writes, what users and on-call feel, how long, how to stop it."""

from collections.abc import Iterator
from datetime import timedelta

from opsloop.api.meta import format_duration
from opsloop.api.runbook import Runbook
from opsloop.core.drill.order import Grounds
from opsloop.core.drill.refusals import SEVERITY, misfit
from opsloop.core.gate.evidence import Missing
from opsloop.core.slo.tiers import budget_of, tier_name, tiers_of


def plan(grounds: Grounds) -> list[str]:
    """Lines for a person who decides whether to go on."""
    order = grounds.order
    lines = [
        f"opsloop drill will break {order.release} in namespace {order.namespace} on purpose, as somebody would by hand:",
        f"1. it writes Deployment {order.workload}, without a canary: {order.changes}",
        *(f"   {text}" for text in _felt(grounds)),
        f"2. it waits for one {SEVERITY} Incident and for its mitigation by {_runbooks(grounds)}, at most"
        f" {format_duration(order.deadline)} together; after that it writes the good template back itself",
        *([f"   and sends {len(order.tickets)} tickets to the intake meanwhile"] if order.tickets else []),
        f"3. it waits until the Incident is resolved (at most {format_duration(order.patience)}), and for a postmortem and a proven"
        f" EvalCase (at most {format_duration(order.learning)}){_case(grounds)}",
        f"4. it writes Release {order.release}: spec.version {order.before[0]} → {order.fix[0]}, spec.images {order.fix_images};"
        f" the fix goes through its canary{_steps(grounds)}, at most {format_duration(order.patience)}",
        "5. it runs the gate on that Incident, which starts two quarantined pods and removes them; its exit code is the gate's",
        f"What stays: {order.release} at {order.fix[0]}, the bad revision blocked, the Incident with its postmortem and EvalCase.",
        f"To stop it: Ctrl-C (or SIGTERM) puts the good template and the Release's spec back. Should it be killed: {by_hand(grounds)}",
    ]
    return [*lines, *_notes(grounds)]


def by_hand(grounds: Grounds) -> str:
    """The command that puts live back without the drill."""
    order = grounds.order
    return f"kubectl -n {order.namespace} rollout undo deployment/{order.workload}"


def _felt(grounds: Grounds) -> Iterator[str]:
    slo = grounds.release.spec.slo
    events = grounds.events
    rate = "" if isinstance(events, Missing) else f" (now {events.total / 60:.3g} events per second)"
    yield f"what users feel: whatever the bad version does, on up to all {grounds.replicas} pods{rate}, until it is rolled back"
    if slo is not None:
        for tier in (t for t in tiers_of(slo) if t.severity == SEVERITY):
            least = tier.factor * budget_of(slo.objective)
            soonest = timedelta(seconds=round(tier.long.total_seconds() * least))
            yield (
                f"{SEVERITY} ({tier_name(tier)}): {format_duration(max(soonest, timedelta(seconds=1)))} after the first bad event"
                f" if all are bad, never where less than {least:.3g} of them are"
            )
    yield "what on-call feels: one real page at the receivers that opsloop has for it"


def _fitting(grounds: Grounds) -> list[Runbook]:
    return [book for book in grounds.runbooks if not misfit(grounds, book)]


def _runbooks(grounds: Grounds) -> str:
    names = [book.metadata.name for book in _fitting(grounds)]
    return f"Runbook {' or '.join(names)}" if names else "a Runbook"


def _case(grounds: Grounds) -> str:
    return (
        "" if grounds.order.case is None else "; it creates the EvalCase of --case with the two revisions that prove it"
    )


def _steps(grounds: Grounds) -> str:
    canary = grounds.release.spec.strategy.canary
    steps = [
        f"{f'{s.weight} %' if s.weight else s.words}{' after an approval' if s.approve else ''}" for s in canary.steps
    ]
    return f" ({', '.join(steps)})"


def _notes(grounds: Grounds) -> Iterator[str]:
    """What needs a person, or keeps a row of the gate from passing."""
    release, name = grounds.release, grounds.order.release
    if any(book.spec.safety.mode == "approve" for book in _fitting(grounds)):
        yield "Note: a Runbook is in mode approve: somebody must approve the rollback on the Incident before the deadline."
    if any(step.approve for step in release.spec.strategy.steps):
        yield f"Note: a step wants an approval: opsloop approve {name}"
    if grounds.appliers:
        who = " and ".join(grounds.appliers)
        yield f"Note: {who} applies these objects, and may write the good template or the old spec back: suspend that meanwhile."
    if release.spec.evals is not None and grounds.order.case is None:
        yield f"Note: {name} has spec.evals: the fix is held until an EvalCase gates it, so bring one where opsloop captures none."
    if release.spec.evals is None:
        yield f"Note: {name} has no spec.evals, so no EvalCase gates the fix."
    elif release.spec.evals.quarantine == "never":
        yield f"Note: {name} says evals.quarantine: never, so no case can be proven, and row “regression case” is inconclusive."
    elif release.spec.evals.quarantine == "ask":
        yield f"Note: {name} says evals.quarantine: ask, so somebody must approve the EvalCase's proof."
