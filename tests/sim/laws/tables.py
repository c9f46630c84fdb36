"""The tables of the laws, as Markdown lines."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from random import Random

from opsloop.core.slo.tiers import budget_of
from opsloop.simulator.figures import poisson_upper
from opsloop.simulator.weather import PAGE_FACTOR
from tests.sim.laws import constants as varied
from tests.sim.laws import nulls
from tests.sim.laws import pages as paging
from tests.sim.laws import power as strength
from tests.sim.laws import several as two
from tests.sim.laws import words as said
from tests.sim.laws.bounds import lower, upper
from tests.sim.laws.rollouts import analysis_of, slo_of
from tests.sim.laws.weather import Scrapes
from tests.sim.laws.windows import Windows

HOW: Mapping[str, type[Scrapes] | type[Windows]] = {
    "by each pod's counters": Scrapes,
    "by PromQL windows of a minute": Windows,
}
CHUNK = 250  # rollouts of a row in one piece of work


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: a seed, rollouts per row, where, and of the healthy canaries the rows whose name holds one of the words."""

    seed: str
    rollouts: int
    pool: Executor
    only: Sequence[str] = ()


def healthy(plan: Plan) -> Iterator[str]:
    """Healthy canaries: rejected by chance, promoted, promoted in time."""
    count = max(1, plan.rollouts // CHUNK)
    seeds, analysis = [f"{plan.seed}/{n}" for n in range(count)], analysis_of()
    cases = [case for case in nulls.CASES if not plan.only or any(word in nulls.name(*case) for word in plan.only)]
    jobs = [
        [plan.pool.submit(nulls.row, seed, case, plan.rollouts // count, analysis) for seed in seeds] for case in cases
    ]
    yield f"### Healthy canaries (α = {analysis.false_rejects:g}, margin {analysis.margin:g}; 20 %, then 50 %)"
    yield ""
    yield "| kind | requests/s | objective | rollouts | rejected | at most (95 %) | promoted | within hold + 10 % |"
    yield "|---|---|---|---|---|---|---|---|"
    rejected = total = 0
    for parts in jobs:
        row = nulls.merged([part.result() for part in parts])
        rejected, total = rejected + row.rejected, total + row.rollouts
        shares = f"{row.bound:.2%} | {row.promoted / row.rollouts:.1%} | {row.in_time / row.rollouts:.1%}"
        yield f"| {row.kind} | {row.rps:g} | {row.objective:.1%} | {row.rollouts} | {row.rejected} | {shares} |"
    yield f"| all | | | {total} | {rejected} | {upper(rejected, total):.3%} | | |"


def several(plan: Plan) -> Iterator[str]:
    """Canaries under two objectives."""
    count = max(1, plan.rollouts // CHUNK)
    seeds, analysis = [f"{plan.seed}/{n}" for n in range(count)], analysis_of()
    parts = list(plan.pool.map(two.sample, seeds, [plan.rollouts // count] * count, [analysis] * count))
    yield f"### Two objectives (availability 99.9 %, latency 99 %), each test with α/2, α = {analysis.false_rejects:g}"
    yield ""
    yield "| healthy canaries | requests/s | rollouts | rejected | of these for latency | at most (95 %) |"
    yield "|---|---|---|---|---|---|"
    rows = [two.merged(row) for row in zip(*parts, strict=True)]
    rows.append(two.merged(rows, "all", 0))
    for row in rows:
        rate = f"{row.rps:g}" if row.rps else ""
        yield f"| {row.kind} | {rate} | {row.rollouts} | {row.rejected} | {row.by_name} | {row.bound:.2%} |"
    yield ""
    yield "| latency of the canary | requests/s | minutes until rejected, alone: median / p95 | beside availability | named |"
    yield "|---|---|---|---|---|"
    cases = [(m, rps) for m in (3.0, 10.0, 40.0) for rps in nulls.RATES]
    tries, both = max(100, plan.rollouts // 8), ("availability", "latency")
    jobs = [
        [
            plan.pool.submit(two.power, *case, names, tries, analysis, Random(f"{plan.seed} {case}"))
            for names in (both[1:], both)
        ]
        for case in cases
    ]
    for (multiple, rps), pair in zip(cases, jobs, strict=True):
        alone, beside = (job.result() for job in pair)
        times = " | ".join(f"{_minutes(p.quantile(0.5))} / {_minutes(p.quantile(0.95))}" for p in (alone, beside))
        named = sum(name == "latency" for name in beside.names) / max(1, len(beside.names))
        yield f"| {multiple:g} × live | {rps:g} | {times} | {named:.0%} |"


def _minutes(windows: int) -> str:
    return f"{windows}" if windows < two.NEVER else "not in 20"


def power(plan: Plan) -> Iterator[str]:
    """Harmful canaries: requests until the reject, by exact counts and as shipped."""
    runs = max(100, plan.rollouts // 4)
    cold = analysis_of(warmUp="0s")
    jobs = {
        m: plan.pool.submit(strength.exact_counts, m, runs if m > 2 else runs // 5, cold, Random(f"{plan.seed} {m}"))
        for m in strength.MULTIPLES
    }
    yield f"### Power: {strength.SHARE:.0%} share, live {strength.LIVE:.1%} bad, objective {strength.OBJECTIVE:.0%}"
    yield ""
    yield "Requests in all until the reject, every request counted, in small intervals:"
    yield ""
    yield "| canary | median | p95 | design: median | p95 |"
    yield "|---|---|---|---|---|"
    for multiple, job in jobs.items():
        found, (median, p95) = job.result(), strength.MULTIPLES[multiple]
        yield f"| {multiple} × live | {found.quantile(0.5):,.0f} | {found.quantile(0.95):,.0f} | {median:,} | {p95:,} |"
    yield ""
    warm, cases = analysis_of(), [(m, rps) for m in (3, 10, 40) for rps in nulls.RATES]
    for title, how in HOW.items():
        yield f"As shipped, {title} (scrapes every 15 s, 60 s of warm-up), minutes until the reject:"
        yield ""
        yield "| canary | requests/s | median | p95 | p99 | within 1.5 × p95 of the design + 3 scrapes + 1 tick | at least (95 %) |"
        yield "|---|---|---|---|---|---|---|"
        shipped = [
            plan.pool.submit(strength.as_shipped, m, rps, runs, warm, Random(f"{plan.seed} {m} {rps}"), how)
            for m, rps in cases
        ]
        for (multiple, rps), job in zip(cases, shipped, strict=True):
            found = job.result()
            minutes = " | ".join(f"{found.quantile(q) / rps / 60:.1f}" for q in (0.5, 0.95, 0.99))
            within = found.share_within(strength.goal(multiple, rps))
            bound = lower(round(within * runs), runs)
            yield f"| {multiple} × live | {rps:g} | {minutes} | {within:.1%} | {bound:.1%} |"
        yield ""


def words(plan: Plan) -> Iterator[str]:
    """What is said of a canary that went on, tried out."""
    yield "### What could not have been seen"
    yield ""
    yield "| requests/s | objective | minutes | said: caught with 80 % | caught |"
    yield "|---|---|---|---|---|"
    cases = [(rps, objective, count) for rps in (5.0, 100.0) for objective in (0.99, 0.999) for count in (20, 40, 120)]
    tries = max(100, plan.rollouts // 4)
    jobs = [plan.pool.submit(said.claim, *case, tries, Random(f"{plan.seed} {case}")) for case in cases]
    for job in jobs:
        one = job.result()
        yield f"| {one.rps:g} | {one.objective:.1%} | {one.intervals / 4:g} | {one.ratio:.2%} | {one.caught:.0%} |"


def constants(plan: Plan) -> Iterator[str]:
    """±30 % on each constant."""
    yield "### ±30 % on each constant (objective 99 %; all kinds of healthy rollouts at 5 and 100 requests/s)"
    yield ""
    yield "| constant | value | rejected | at most (95 %) | in time | 3 × at 5/s | 3 × at 100/s | 10 × at 5/s | 40 × at 5/s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    cases = [(name, factor) for name in varied.names() for factor in varied.FACTORS]
    run = partial(varied.effect, seed=plan.seed, rollouts=max(100, plan.rollouts // 4))
    for one in plan.pool.map(run, *zip(*cases, strict=True)):
        minutes = " | ".join(f"{m:.0f} min" for m in one.minutes)
        shares = f"{one.rejected} of {one.rollouts} | {upper(one.rejected, one.rollouts):.2%} | {one.in_time / one.rollouts:.1%}"
        yield f"| {one.name} | {one.value:.3g} | {shares} | {minutes} |"


def pages(plan: Plan) -> Iterator[str]:
    """False pages at half the budget, in 30,000 service-days per row by default, and how soon harm is seen."""
    cases = [paging.Case(rps, objective, 0.5) for rps in (0.1, 0.3, 1.0, 3.0, 10.0) for objective in (0.99, 0.999)]
    cases += [paging.Case(rps, 0.999, 0.0) for rps in (0.1, 1.0)]
    cases += [paging.Case(rps, 0.999, 0.5, length) for rps in (0.1, 1.0) for length in (30.0, 60.0)]
    count = max(20, plan.rollouts * 15 // 2)
    jobs = [
        plan.pool.submit(paging.days, case, count, slo_of(case.objective), Random(f"{plan.seed} {case}"))
        for case in cases
    ]
    yield "### False pages of the default tiers at half the budget"
    yield ""
    yield "| requests/s | objective | bad events in bursts of 5–100 | within | service-days | pages | per 1,000 days, at most (95 %) | without a look at bursts | bad events of the median page |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for job in jobs:
        one, case = job.result(), job.result().case
        bound = f"{1000 * poisson_upper(one.pages) / one.days:.2g}"
        what = f"{case.rps:g} | {case.objective:.1%} | {case.in_bursts:.0%} | {case.length:.0f} s"
        yield f"| {what} | {one.days} | {one.pages} | {bound} | {one.crossed} | {one.events:.0f} |"
    yield ""
    yield from _seen(plan)


def _seen(plan: Plan) -> Iterator[str]:
    """How soon a page is decided after the onset of a harm, and how much later than without a look at bursts."""
    harms = {"2 x the page factor": 2 * PAGE_FACTOR, "5 x": 5 * PAGE_FACTOR, "every request": float("inf")}
    cases = [
        (paging.Case(rps, objective, 0.0), name, min(1.0, times * budget_of(objective)))
        for objective in (0.99, 0.999)
        for name, times in harms.items()
        for rps in (0.1, 1.0, 10.0, 100.0)
    ]
    runs = max(20, plan.rollouts // 10)
    jobs = [
        plan.pool.submit(
            paging.detections, case, ratio, runs, slo_of(case.objective), Random(f"{plan.seed} {case} {ratio}")
        )
        for case, _, ratio in cases
    ]
    yield "### Seconds from the onset of a harm to a page, at the scrape that shows it"
    yield ""
    yield "| requests/s | objective | harm | runs | median | p95 | later by the look at bursts: p95 | p99.5 | more than two scrapes later |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for (case, name, _), job in zip(cases, jobs, strict=True):
        one = job.result()
        found = f"{_quantile(one.found, 0.5):.0f} | {_quantile(one.found, 0.95):.0f}"
        late = f"{_quantile(one.added, 0.95):.0f} | {_quantile(one.added, 0.995):.0f} | {sum(a > 2 * paging.SCRAPE for a in one.added) / runs:.1%}"
        yield f"| {case.rps:g} | {case.objective:.1%} | {name} | {runs} | {found} | {late} |"


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
