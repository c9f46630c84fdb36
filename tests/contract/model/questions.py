"""What is asked of a series set: what opsloop sends, what its users' SLIs look like, and random expressions."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opsloop.api.slo import Latency, Requests, Sli
from opsloop.core.slo import carried, promql, vanished
from opsloop.shell.evidence import history
from opsloop.shell.ports import Sample, Series
from opsloop.simulator.prometheus.store import is_stale
from tests.contract.model.world import BEGIN, Dice, World


@dataclass(frozen=True, slots=True)
class Question:
    """An instant query (`step` 0) as of `end`, or a range query; milliseconds. `checkpoint`: when it is asked."""

    checkpoint: int
    query: str
    start: int
    end: int
    step: int = 0
    steady: bool = False  # asked again and again


def questions(world: World) -> list[Question]:
    """All that is asked of this set."""
    dice, later, asked = Dice(world.number + 1_000_000), Dice(world.number + 2_000_000), list[Question]()
    steady = _steady(world, dice)
    for checkpoint, wall in enumerate(world.checkpoints):
        for at in (wall - world.interval, wall):
            asked.append(Question(checkpoint, steady, at, at, steady=True))
        for query in [*_ticks(world, dice), *_evidence(world, wall), *_others(world, dice)]:
            at = wall if dice.chance(0.7) else wall - dice.whole(0, 4) * world.interval - dice.one((0, 0, 1, 411))
            asked.append(Question(checkpoint, query, at, at))
        for query in _ratios(world, dice):
            start = wall - dice.whole(4, 30) * world.interval
            asked.append(Question(checkpoint, query, start, wall, dice.one((1, 1, 2)) * world.interval))
        asked.append(Question(checkpoint, _carried(world, later), wall, wall))
    return asked


# what opsloop sends


def slis(case: int, interval: timedelta) -> list[Sli]:
    """The forms of the README, of /docs, of the demo, and of users who brought theirs along."""
    here = f'case="{case}"'
    by_version = f'{here},version=~"{{{{version}}}}"'
    good = f'sum(increase(ask_total{{verdict="good",{by_version}}}[{{{{window}}}}]))'
    total = f"sum(increase(ask_total{{{by_version}}}[{{{{window}}}}]))"
    bad = f'sum(increase(ask_total{{code=~"5..",{by_version}}}[{{{{window}}}}]))'
    buckets = f'sum(increase(latency_bucket{{le="1",{by_version}}}[{{{{window}}}}]))'
    count = f"sum(increase(latency_count{{{by_version}}}[{{{{window}}}}]))"
    return [
        Sli(good=good, total=total),
        Sli(bad=bad, total=total),
        Sli(bad=bad.replace("increase", "rate"), total=total.replace("increase", "rate")),
        Sli(bad=f"{count} - {buckets}", total=count),
        Sli(bad=f"{bad} or vector(0)", total=f"{total} or vector(0)"),
        Sli(bad=f"{bad} # errors", total=total.replace("}}]", "}}] offset 2m")),
        Sli(good=good.replace('verdict="good"', 'code!~"5..|4.."'), total=total),
        Sli(bad=f"svc:errors:increase{{{{window}}}}{{{here}}}", total=f"svc:requests:increase{{{{window}}}}{{{here}}}"),
        Sli(requests=Requests(counter="ask_total", selector=here, bad='verdict="bad"')),
        Sli(latency=Latency(histogram="latency", selector=here, threshold=1)),
    ]


def _ticks(world: World, dice: Dice) -> list[str]:
    """The query of a poller's tick, for two of the SLIs, and those with which a refused one is explained."""
    interval = timedelta(milliseconds=world.interval)
    forms, asked = slis(world.number, interval), list[str]()
    for sli in (forms[dice.one((0, 0, 1))], dice.one(forms)):
        short, long = dice.whole(2, 8) * interval, dice.whole(10, 60) * interval
        versions = {
            f"v{n}": promql.Split(f"v{n}", dice.one((short, long, 3 * interval))) for n in range(1, dice.whole(1, 3))
        }
        asked.append(promql.window_query(sli, {short, long}, versions, interval))
    asked += promql.single_queries(dice.one(forms), dice.whole(1, 40) * interval).values()
    if lag := promql.lag_query(dice.one(forms), interval):
        asked.append(lag)
    window, missing = dice.whole(2, 8) * interval, dice.one((None, dice.whole(0, 9) * interval))
    asked.append(vanished.query(dice.one((forms[1], forms[8])), promql.ANYWHERE, window, missing, interval))
    return asked


def _carried(world: World, dice: Dice) -> str:
    """What counters carried over gaps in two windows."""
    interval = timedelta(milliseconds=world.interval)
    windows = {dice.whole(9, 60) * interval, dice.whole(9, 20) * interval}
    forms = slis(world.number, interval)
    return carried.query(dice.one((forms[0], forms[8], forms[9])), promql.ANYWHERE, windows, interval)


def _steady(world: World, dice: Dice) -> str:
    """A coverage, and a sum over its points: what was computed for the last tick must be true in this one."""
    interval = timedelta(milliseconds=world.interval)
    total, window = slis(world.number, interval)[dice.one((0, 5))].total, dice.whole(20, 60) * interval
    covered = promql.coverage_expression(total or "", window, interval)
    return f"{covered} + {covered.replace('count_over_time((sum', 'sum_over_time((sum')}"


def _ratios(world: World, dice: Dice) -> list[str]:
    """The error ratio over a short window: the onset, and the gate's rows."""
    interval = timedelta(milliseconds=world.interval)
    sli = dice.one(slis(world.number, interval))
    window = dice.whole(2, 10) * interval
    return [promql.range_query(sli, window), dice.one(list(promql.single_queries(sli, window).values()))]


class _Tape:
    """A Telemetry that keeps what it is asked."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        self.queries.append(query)
        return []

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        self.queries.append(query)
        return []

    async def samples(self, query: str, at: datetime) -> list[Series]:
        self.queries.append(query)
        return []


def _evidence(world: World, wall: int) -> list[str]:
    """What the gate asks about a shift."""
    tape, sli = _Tape(), slis(world.number, timedelta(milliseconds=world.interval))[0]
    start, end = (datetime.fromtimestamp(at / 1000, UTC) for at in (BEGIN, wall))
    asyncio.run(history.served(tape, sli, "v3-rc.1", "", start, end))
    asyncio.run(history.whole(tape, sli, start, end))
    seconds = round((wall - BEGIN) / 1000)
    fired = f'count_over_time(ALERTS{{alertstate="firing",namespace="shop-{world.number}"}}[{seconds}s])'
    return [*tape.queries, fired]


# what it may come to send, and what stands in users' SLIs


def _others(world: World, dice: Dice) -> list[str]:
    here, w = f'case="{world.number}"', f"{dice.whole(2, 30) * world.interval // 1000}s"
    step = f"{dice.one((1, 2, 3)) * world.interval // 1000}s"
    forms = [
        f'(sum(increase(ask_total{{{here},verdict="bad"}}[{w}])) or vector(0)) / sum(increase(ask_total{{{here}}}[{w}])) / 0.01 > 1.5',
        f"sum by (pod) (increase(ask_total{{{here}}}[{w}])) > bool 100",
        f"sum without (code, verdict) (rate(ask_total{{{here}}}[{w}]))",
        f"histogram_quantile(0.9, sum by (le) (rate(latency_bucket{{{here}}}[{w}])))",
        f"histogram_quantile({dice.one(('0.5', '1', '-1', '0'))}, latency_bucket{{{here}}})",
        f'sum(latency_bucket{{{here},le=~"1|1[.]0"}}) by (version) / on (version) sum(latency_count{{{here}}}) by (version)',
        f'ask_total{{{here}}} / on (pod) group_left (le) latency_bucket{{{here},le="+Inf"}}',
        f"avg by (version) (irate(ask_total{{{here}}}[{w}]))",
        f"min(queue_length{{{here}}}) + max(delta(queue_length{{{here}}}[{w}]))",
        f"deriv(queue_length{{{here}}}[{w}])",
        f"last_over_time(ask_total{{{here}}}[{w}]) - ask_total{{{here}}} offset {w}",
        f"count by (pod) (present_over_time(ask_total{{{here}}}[{w}])) unless on (pod) queue_length{{{here}}}",
        f'absent(ask_total{{{here},code="418"}}) or absent(ask_total{{{here},code="200"}})',
        f"time() - max by (pod) (timestamp(ask_total{{{here}}}))",
        f"sum(sum_over_time(queue_length{{{here}}}[{w}])) / -count(avg_over_time(queue_length{{{here}}}[{w}]))",
        f'label_replace(ask_total{{{here}}}, "v", "$1-${{x}}$$", "version", "v(\\\\d+)(?P<x>.*)")',
        f"max_over_time(sum(rate(ask_total{{{here}}}[{w}]))[{w}:{step}]) ^ 2",
        f"min_over_time((ask_total{{{here}}} > 10)[{w}:{step}] offset {step})",
        f'rate(ask_total{{{here}}}[{w}] offset {step}) and ignoring (code) ask_total{{{here},verdict="bad"}}',
        f"resets(ask_total{{{here}}}[{w}]) + changes(ask_total{{{here}}}[{w}]) % 3",
        f"sum(ask_total{{{here}}} @ {(BEGIN + world.interval * 20) // 1000}) + sum(increase(ask_total{{{here}}}[{w}] @ end()))",
        f'{{{here},__name__=~"ask_.+|latency_count"}} * 2',
        f'rate({{{here},__name__=~"latency_.*"}}[{w}])',
        f"-sum(idelta(queue_length{{{here}}}[{w}])) == -1",
        f"group by (verdict) (ask_total{{{here}}}) * on (verdict) ask_total{{{here}}}",
        f"round(clamp(queue_length{{{here}}}, -1, 3.3), 0.5) or abs(floor(queue_length{{{here}}}) - ceil(queue_length{{{here}}}))",
        f"scalar(count(ask_total{{{here}}})) * sum(ask_total{{{here}}}) - 2 ^ -1 ^ 2",
        f"count_over_time(vector(time())[{w}:{step}])",
        f"avg_over_time(time()[10m:]) - sum(count_over_time(ask_total{{{here}}}[10m:])) # a step left out is the server's",
        f"sum(rate(ask_total{{{here}}}[{w}])) / ignoring(pod) group_right sum by (pod) (rate(ask_total{{{here}}}[{w}]))",
        f"sum(ask_total{{{here}}}[{w}])",
        f'sum by (pod, __name__) ({{{here},__name__!="latency_bucket"}}) offset {step}',
    ]
    chosen = [forms[dice.whole(0, len(forms) - 1)] for _ in range(3)]
    return [*chosen, _look_back(world, dice), _expression(world, dice, 3)]


def _look_back(world: World, dice: Dice) -> str:
    """As of about five minutes after the last sample of a series."""
    arrivals = dice.one(list(world.series.values()))
    last = max((arrival.at for arrival in arrivals if not is_stale(arrival.value)), default=BEGIN)
    at = last + 300_000 + dice.one((-50_000, -1, 0, 0, 1, 50_000))
    return f'count by (__name__) ({{__name__=~".+",case="{world.number}"}} @ {at / 1000:.3f})'


_LABELS = ("pod", "version", "code", "verdict", "le")
_RANGE = ("rate", "increase", "delta", "irate", "count_over_time", "sum_over_time", "max_over_time", "last_over_time")


def _expression(world: World, dice: Dice, depth: int) -> str:
    """A random expression of type instant vector; some of them Prometheus refuses when it evaluates them."""
    if depth == 0 or dice.chance(0.15):
        return _selector(world, dice)
    inner = _expression(world, dice, depth - 1)
    match dice.whole(0, 5):
        case 0:
            clause = dice.one(("by", "without"))
            return f"{dice.one(('sum', 'avg', 'count', 'min', 'max', 'group'))} {clause} ({_some(dice)}) ({inner})"
        case 1:
            return f"{dice.one(_RANGE)}({_selector(world, dice)}[{_duration(world, dice, 25)}])"
        case 2:
            return f"{dice.one(_RANGE)}(({inner})[{_duration(world, dice, 25)}:{_duration(world, dice, 3)}])"
        case 3:
            op = dice.one(("+", "-", "*", "/", "%", ">", "<= bool", "!=", "and", "or", "unless"))
            how = dice.one(("", "", f"on ({_some(dice)})", f"ignoring ({_some(dice)})"))
            group = dice.one(("", "group_left")) if how and op not in ("and", "or", "unless") else ""
            return f"({inner}) {op} {how} {group} ({_expression(world, dice, depth - 1)})"
        case 4:
            op = dice.one(("+", "-", "*", "/", "^", ">", "<=", "== bool"))
            number = dice.one(("0", "2", "1e3", "0.5", "-1"))
            return f"({inner}) {op} {number}" if dice.chance(0.5) else f"{number} {op} ({inner})"
        case _:
            forms = ("-({})", "clamp_min({}, 3)", "clamp_max({}, 100)", "abs({})", "absent({})", "timestamp({})")
            return dice.one(forms).replace("{}", inner)


def _some(dice: Dice) -> str:
    return ", ".join(label for label in _LABELS if dice.chance(0.4))


def _selector(world: World, dice: Dice) -> str:
    more = dice.one(("", "", ',code!="200"', ',version!~"v1|v2"', ',pod=~"web-[01]"', ',le=""', ',verdict=~".*d"'))
    name = dice.one(("ask_total", "ask_total", "latency_count", "latency_bucket", "queue_length"))
    return f'{name}{{case="{world.number}"{more}}}'


def _duration(world: World, dice: Dice, most: int) -> str:
    return f"{dice.whole(1, most) * world.interval // 1000}s"
