"""The tables of the causes, as Markdown lines."""

from collections.abc import Iterator

from tests.sim.laws import blame
from tests.sim.laws.causes import Situation
from tests.sim.laws.tables import Plan


def causes(plan: Plan) -> Iterator[str]:
    """Which change is blamed, and how often wrongly."""
    yield "### Causes"
    yield ""
    yield from blame.as_lines(blame.table(_situations(plan)), plan.rollouts // 4)


def constants(plan: Plan) -> Iterator[str]:
    """±30 % on each constant of the causes."""
    found = _situations(plan)
    rows, effects = blame.table(found), list(blame.effect(found))
    yield f"### ±30 % on each of {len(effects) // 2} constants of the causes"
    yield ""
    yield "| of samples of this weather in which a tier fired | share | least | most |"
    yield "|---|---|---|---|"
    for n, one in enumerate(rows):
        by_share = sorted(effects, key=lambda effect: effect[1][n].share)
        least, most = (f"{those[n].share:.1%} ({label})" for label, those in (by_share[0], by_share[-1]))
        yield f"| {one.row.name} | {one.share:.1%} | {least} | {most} |"
    yield ""
    days = {label: blame.per_day(those, plan.rollouts // 4, 1, bound=False) for label, those in effects}
    worst = max(days, key=lambda label: days[label])
    yield f"Wrong rollbacks a service-day with one change a day: {days[worst]:.1e} at the worst ({worst})."


def _situations(plan: Plan) -> dict[str, list[Situation]]:
    jobs = [plan.pool.submit(blame.sample, kind, plan.rollouts // 4, plan.seed) for kind in blame.KINDS]
    return {kind: job.result() for kind, job in zip(blame.KINDS, jobs, strict=True)}
