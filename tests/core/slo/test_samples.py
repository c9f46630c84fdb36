"""Raw samples as events: births, resets, and that nothing is lost or counted twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.slo import Latency, Requests, Sli
from opsloop.core.slo.counters import Counters, counters
from opsloop.core.slo.pods import Labels, Scope
from opsloop.core.slo.promql import Split
from opsloop.core.slo.samples import Samples

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
EVERY = 15.0
SPLITS = {name: Split(name, timedelta(minutes=1), (f"web-{name}",)) for name in ("v1", "v2")}
SCOPE = Scope("shop", "web", Labels("pod"))
REQUESTS = Sli(requests=Requests(counter="http_total", bad='code="500"'))
LATENCY = Sli(latency=Latency(histogram="s", threshold=1))
NAN = float("nan")


@dataclass
class Line:
    labels: Mapping[str, str]
    points: Sequence[tuple[datetime, float]]


def line(pod: str, values: Mapping[float, float], **labels: str) -> Line:
    labels = {"__name__": "http_total", "code": "200", "pod": pod, **labels}
    return Line(labels, [(T0 + timedelta(seconds=at), value) for at, value in values.items()])


def samples(sli: Sli = REQUESTS) -> Samples:
    found = counters(sli, SPLITS, SCOPE)
    assert isinstance(found, Counters)
    return Samples(found, "v2", T0.timestamp(), EVERY)


LIVE, OTHER, CANARY, NEW = "web-v1-aaaaa", "web-v1-bbbbb", "web-v2-aaaaa", "web-v2-bbbbb"
STEADY = {-14.0: 1000.0, 1.0: 1010.0, 16.0: 1020.0}


def last(*lines: Line, sli: Sli = REQUESTS) -> tuple[float, float, float, float]:
    """Σ over all intervals since the traffic began: (bad, all) of the canary, (bad, all) of live."""
    found = [one for one in samples(sli).add(lines) if one.end > 0]
    sums = [(i.canary_bad, i.canary_total, i.live_bad, i.live_total) for i in found]
    return tuple(map(sum, zip(*sums, strict=True))) if sums else (0, 0, 0, 0)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([line(LIVE, STEADY), line(CANARY, {-13: 3, 2: 5, 17: 9})], (0, 6, 0, 20), id="differences since the last sample before the traffic"),
        pytest.param([line(LIVE, STEADY), line(CANARY, {2: 60, 17: 70}, code="500")], (70, 70, 0, 20), id="a canary's errors of its first scrape count whole"),
        pytest.param([line(LIVE, STEADY), line(CANARY, {-13: 3, 2: 5, 17: 9}), line(CANARY, {17: 7}, code="500")], (7, 13, 0, 20), id="a series that is born counts whole"),
        pytest.param([line(LIVE, STEADY), line(LIVE, {16: 4}, code="500", path="/x"), line(CANARY, {2: 5, 17: 9})], (0, 9, 4, 24), id="also live's, one per path"),
        pytest.param([line(LIVE, {1: 9000, 16: 9010}), line(CANARY, {2: 5, 17: 9})], (0, 9, 0, 10), id="a pod of live that nobody had looked at before was not born"),
        pytest.param([line(LIVE, {-74: 0} | STEADY), line(OTHER, {3: 50, 15: 60}), line(CANARY, {2: 5, 17: 9})], (0, 9, 0, 80), id="one that was not there while Prometheus looked was"),
        pytest.param([line(LIVE, {-14: 1000, 1: 2, 16: 5}), line(CANARY, {2: 5, 17: 9})], (0, 9, 0, 5), id="a reset counts the new value"),
        pytest.param([line(LIVE, {-14: 1000, 1: NAN, 16: 1005}), line(CANARY, {2: 5, 15: 9})], (0, 9, 0, 5), id="a sample that is no number is none"),
        pytest.param([line(LIVE, STEADY), line(CANARY, {2: 5, 17: 9}), line("web-v3-aaaaa", {2: 99, 17: 999})], (0, 9, 0, 20), id="pods of other revisions are nobody's"),
    ],
)  # fmt: skip
def test_what_samples_count(lines: list[Line], expected: tuple[float, ...]) -> None:
    assert last(*lines) == expected


def test_a_histogram_without_the_bucket_counts_nothing() -> None:
    live = [line(LIVE, STEADY, __name__="s_count"), line(LIVE, STEADY, __name__="s_bucket", le="1.0")]
    canary = line(CANARY, {2: 5, 17: 9}, __name__="s_count")
    assert last(*live, canary, sli=LATENCY) == (0, 0, 0, 0)
    bucket = line(CANARY, {2: 4, 17: 4}, __name__="s_bucket", le="1")
    assert last(*live, canary, bucket, sli=LATENCY) == (5, 9, 0, 20)


def test_what_was_read_before_counts_once() -> None:
    one = samples()
    lines = [line(LIVE, STEADY), line(CANARY, {-13: 3, 2: 5, 17: 9})]
    first = one.add(lines)
    assert first and one.add(lines) == []
    assert one.size == 2


@dataclass(frozen=True)
class Counted:
    """One series: increments at scrapes, with resets; the scrapes that failed."""

    pod: str
    code: str
    values: tuple[tuple[float, float], ...]


@st.composite
def counted(draw: st.DrawFn) -> Counted:
    pod = draw(st.sampled_from([LIVE, OTHER, CANARY, NEW]))
    offset = draw(st.integers(0, 14)) if pod in (LIVE, CANARY) else 7
    value, values = draw(st.integers(0, 1000)), list[tuple[float, float]]()
    for scrape in range(draw(st.integers(2, 12))):
        value = draw(st.integers(0, 20)) if draw(st.integers(0, 9)) == 0 else value + draw(st.integers(0, 20))
        if draw(st.integers(0, 5)):
            values.append((offset + EVERY * (scrape - 2), float(value)))
    return Counted(pod, draw(st.sampled_from(["200", "404", "500"])), tuple(values))


@given(st.lists(counted(), max_size=6, unique_by=lambda c: (c.pod, c.code)), st.lists(st.integers(0, 200), max_size=5))
def test_what_is_counted_is_last_minus_first_with_resets_and_births(series: list[Counted], cuts: list[int]) -> None:
    """Σ intervals, and what the open one holds, however the samples are cut into answers that overlap."""
    lines = [line(one.pod, dict(one.values), code=one.code) for one in series if one.values]
    read, intervals, before = samples(), [], -1000.0
    for cut in [*sorted(cuts), 1000]:
        window = [
            Line(one.labels, [(at, v) for at, v in one.points if before - 20 < (at - T0).total_seconds() <= cut])
            for one in lines
        ]
        intervals += read.add([one for one in window if one.points])
        before = float(cut)
    for revision, pods in (("v2", (CANARY, NEW)), ("v1", (LIVE, OTHER))):
        mine = [one for one in series if one.pod in pods and one.values]
        expected = sum(sum(_increases(one, series)) for one in mine)
        after = [one for one in intervals if one.end > 0]
        closed = sum(i.canary_total if revision == "v2" else i.live_total for i in after)
        shown = read.rounds.pods if read.rounds.began else {}
        still_open = sum(pod.total for name, pod in shown.items() if name in pods)
        assert closed + still_open == expected
        assert all(a.end == b.begin for a, b in pairwise(after))


def _increases(one: Counted, series: list[Counted]) -> list[float]:
    """By the words of the specification, from the whole of the samples: what one series counts after the traffic began."""
    earliest = min(at for other in series for at, _ in other.values)
    own = [at for other in series if other.pod == one.pod for at, _ in other.values]
    found, before = [], None
    for at, value in one.values:
        if before is None:
            shown_before = min(own) < at
            new_pod = one.pod in (CANARY, NEW) or min(own) - earliest > 45
            found.append(value if at > 0 and (shown_before or new_pod) else 0)
        elif at > 0:
            found.append(value - before if value >= before else value)
        before = value
    return found
