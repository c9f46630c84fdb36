"""The past is read in ranges: what is told is what was asked moment by moment, with few queries, and within bounds."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.errors import Forbidden, Invalid, OpsloopError, TimedOut, Unavailable
from opsloop.shell.backtest.ahead import TRIES, Bounds, ReadAhead, Stopped
from opsloop.shell.ports import Sample, Series
from tests.builders.past import START

MINUTE = timedelta(minutes=1)
END = START + timedelta(days=2)


class Counting:
    """Answers with the minute, of which every seventh has no data. `most`: points of a range that it gives; `refusal`: how it
    refuses more; `failures` come first."""

    def __init__(self, most: int = 11_000, refusal: OpsloopError | None = None, failures: int = 0) -> None:
        self.most, self.refusal, self.failures = most, refusal or Invalid("query would load too many samples"), failures
        self.failure: OpsloopError = Unavailable("connection refused")
        self.asked: list[int] = []  # points of each query

    def _number(self, at: datetime) -> float | None:
        number = (at - START) / MINUTE
        return None if number % 7 == 0 else number

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise self.failure

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        assert at is not None
        self.asked.append(1)
        self._fail()
        number = self._number(at)
        return [] if number is None else [Sample({"q": query}, number, at)]

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        times = [start + n * timedelta(seconds=step) for n in range(round((end - start).total_seconds() / step) + 1)]
        self.asked.append(len(times))
        self._fail()
        if len(times) > self.most:
            raise self.refusal
        points = tuple((at, number) for at in times if (number := self._number(at)) is not None)
        return [Series({"q": query}, points)] if points else []

    async def samples(self, query: str, at: datetime) -> list[Series]:
        self.asked.append(1)
        return []


async def no_sleep(seconds: float) -> None:
    """Time that passes at once."""


def ahead(source: Counting, queries: int = 1000, samples: int = 1_000_000) -> ReadAhead:
    return ReadAhead(source, END, Bounds(queries, samples, 10.0), no_sleep)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
@pytest.mark.asyncio
async def test_whatever_the_times_it_tells_what_was_asked(gaps: list[int]) -> None:
    reader, plain, at = ahead(Counting()), Counting(), START
    for gap in gaps:
        at += gap * MINUTE
        assert await reader.instant("q", at) == await plain.instant("q", at)


@pytest.mark.asyncio
async def test_regular_times_take_few_queries_and_no_more_points_than_there_are() -> None:
    source = Counting()
    reader = ahead(source)
    for n in range(2881):
        await reader.instant("q", START + n * MINUTE)
    assert len(source.asked) <= 8
    assert sum(source.asked) == 2881


@pytest.mark.asyncio
async def test_several_who_ask_at_the_same_time_ask_once() -> None:
    source = Counting()
    reader = ahead(source)
    for n in range(100):
        for _ in range(3):
            await reader.instant("q", START + n * MINUTE)
    assert len(source.asked) <= 5


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(Invalid("Prometheus refuses the query: query processing would load too many samples"), id="too many samples"),
        pytest.param(TimedOut("no answer in time"), id="too slow"),
    ],
)  # fmt: skip
@pytest.mark.asyncio
async def test_what_is_refused_as_too_much_is_asked_in_parts(refusal: OpsloopError) -> None:
    source, plain = Counting(most=20, refusal=refusal), Counting()
    reader = ahead(source)
    for n in range(300):
        assert await reader.instant("q", START + n * MINUTE) == await plain.instant("q", START + n * MINUTE)
    [series] = await reader.range("q", START + MINUTE, START + 200 * MINUTE, 60.0)
    assert len(series.points) == 200 - 200 // 7


@pytest.mark.asyncio
async def test_points_of_one_query_follow_from_the_samples_that_it_may_load() -> None:
    source = Counting()
    reader = ahead(source, samples=10_000)
    reader.bounds.series = 50
    await reader.range("q", START, START + 99 * MINUTE, 60.0)
    assert reader.bounds.points == 20 and source.asked == [20] * 5


@pytest.mark.asyncio
async def test_a_query_without_an_answer_is_tried_again_and_then_the_reading_ends() -> None:
    assert await ahead(Counting(failures=TRIES - 1)).instant("q", START + MINUTE)
    with pytest.raises(Stopped, match="connection refused"):
        await ahead(Counting(failures=TRIES)).instant("q", START)


@pytest.mark.asyncio
async def test_a_wrong_query_is_told_at_once_and_a_refused_caller_ends_the_reading() -> None:
    source = Counting(failures=1)
    source.failure = Invalid("parse error")
    with pytest.raises(Invalid, match="parse error"):
        await ahead(source).instant("q", START)
    assert len(source.asked) == 1
    source = Counting(failures=1)
    source.failure = Forbidden("Prometheus answered 401")
    with pytest.raises(Stopped, match="401"):
        await ahead(source).instant("q", START)


@pytest.mark.asyncio
async def test_the_budget_of_queries_ends_the_reading_and_says_what_to_give() -> None:
    reader = ahead(Counting(), queries=3)
    for n in range(3):
        await reader.instant(f"q{n}", START)
    with pytest.raises(Stopped, match=r"budget of 3 queries .* --max-queries"):
        await reader.instant("q4", START)
