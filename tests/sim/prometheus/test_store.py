"""Samples, late ones, markers, and results that are kept of the past."""

from math import nan

import pytest

from opsloop.simulator.prometheus.engine import Engine
from opsloop.simulator.prometheus.scrape import Target
from opsloop.simulator.prometheus.store import STALE, Arrivals, Memo, Store, is_stale

UP = {"__name__": "up", "job": "a"}


def value(store: Store, query: str, at: int) -> float | None:
    _, vector = Engine(store).instant(query, at)
    return vector[0][1] if vector else None


def test_a_late_sample_is_seen_from_its_ingestion_on() -> None:
    store = Store()
    store.append(UP, 1000, 7.0, visible=5000)
    store.advance(4999)
    assert value(store, "up", 3000) is None
    store.advance(5000)
    assert value(store, "up", 3000) == 7.0


def test_samples_are_visible_in_order_of_ingestion_whatever_the_order_of_calls() -> None:
    store = Store()
    for at in (3000, 1000, 2000):
        store.append(UP, at, float(at))
    store.advance(2500)
    assert value(store, "count_over_time(up[5m])", 9000) == 2
    store.advance(3000)
    assert value(store, "up", 9000) == 3000


def test_the_view_of_the_past_cannot_be_taken_again() -> None:
    store = Store()
    store.advance(1000)
    with pytest.raises(ValueError, match="cannot go back"):
        store.advance(999)


def test_a_second_sample_at_one_time_is_refused() -> None:
    store = Store()
    store.advance(10_000)
    store.append(UP, 1000, 1.0)
    with pytest.raises(ValueError, match="has a sample at 1000 already"):
        store.append(UP, 1000, 2.0)


def test_resets_are_counted_again_when_a_sample_comes_in_between() -> None:
    store = Store()
    store.advance(300_000)
    for at, number in ((0, 10.0), (60_000, 30.0), (120_000, 40.0)):
        store.append(UP, at, number)
    assert value(store, "increase(up[2m])", 120_000) == 30.0
    store.append(UP, 90_000, 5.0)
    assert value(store, "increase(up[2m])", 120_000) == 20.0 + 5.0 + 35.0


def test_a_marker_ends_a_series_and_a_sample_after_it_begins_it_again() -> None:
    store = Store()
    store.advance(100_000)
    for at, number in ((1000, 1.0), (2000, STALE), (5000, 2.0)):
        store.append(UP, at, number)
    assert [value(store, "up", at) for at in (1999, 2000, 4999, 5000)] == [1.0, None, None, 2.0]
    assert value(store, "count_over_time(up[10s])", 9000) == 2


def test_an_ordinary_nan_is_a_sample() -> None:
    assert is_stale(STALE)
    assert not is_stale(nan)


def test_what_was_kept_of_the_past_is_redone_after_a_late_sample() -> None:
    store, query = Store(), "sum_over_time(sum(up)[1m:10s])"
    engine = Engine(store)
    for at in range(0, 60_000, 10_000):
        store.append(UP, at, 1.0)
    store.append({**UP, "job": "b"}, 25_000, 100.0, visible=70_000)
    store.advance(60_000)
    assert engine.instant(query, 60_000)[1][0][1] == 7.0
    store.advance(70_000)
    assert engine.instant(query, 60_000) == Engine(store).instant(query, 60_000)
    assert engine.instant(query, 60_000)[1][0][1] == 407.0


def test_a_memo_loses_what_a_late_sample_can_change_and_no_more() -> None:
    arrivals = Arrivals()
    memo = Memo[str](arrivals)
    memo.current(0, 30, 10).update({10: "a", 20: "b", 30: "c"})
    arrivals.note(31)
    assert set(memo.current(0, 30, 10)) == {10, 20, 30}
    arrivals.note(25)
    arrivals.note(20)
    arrivals.note(28)
    assert set(memo.current(0, 30, 10)) == {10}
    assert set(memo.current(0, 30, 10)) == {10}


def test_a_memo_that_was_not_read_for_thousands_of_late_samples_is_empty() -> None:
    arrivals = Arrivals()
    memo = Memo[str](arrivals)
    memo.current(0, 100_000, 10)[5] = "a"
    for at in range(10, 9000):
        arrivals.note(at)
    assert memo.current(0, 100_000, 10) == {}


def test_a_memo_forgets_what_lies_before_the_window() -> None:
    memo = Memo[int](Arrivals())
    memo.current(0, 9, 5).update({at: at for at in range(9)})
    assert set(memo.current(6, 12, 5)) == {6, 7, 8}


REQUESTS, ERRORS = ("requests_total", (("code", "200"),)), ("requests_total", (("code", "500"),))


def test_a_target_shows_up_and_its_series_under_its_own_labels() -> None:
    store = Store()
    target = Target(store, {"pod": "web-0"})
    target.scrape(1000, {REQUESTS: 5.0})
    store.advance(1000)
    assert value(store, 'up{pod="web-0"}', 1000) == 1.0
    assert value(store, 'requests_total{pod="web-0",code="200"}', 1000) == 5.0


def test_a_series_that_is_no_longer_shown_ends_with_the_scrape() -> None:
    store = Store()
    target = Target(store, {"pod": "web-0"})
    target.scrape(1000, {REQUESTS: 5.0, ERRORS: 1.0})
    target.scrape(2000, {REQUESTS: 6.0})
    store.advance(2000)
    assert value(store, "count(requests_total)", 2000) == 1.0


def test_a_failed_scrape_ends_all_series_and_the_next_one_brings_them_back() -> None:
    store = Store()
    target = Target(store, {"pod": "web-0"})
    target.scrape(1000, {REQUESTS: 5.0})
    target.fail(2000)
    target.scrape(3000, {REQUESTS: 9.0})
    store.advance(3000)
    assert [value(store, "requests_total", at) for at in (1000, 2000, 3000)] == [5.0, None, 9.0]
    assert [value(store, "up", at) for at in (1000, 2000, 3000)] == [1.0, 0.0, 1.0]


def test_a_target_that_vanished_is_absent() -> None:
    store = Store()
    target = Target(store, {"pod": "web-0"})
    target.scrape(1000, {REQUESTS: 5.0})
    target.vanish(2000)
    store.advance(2000)
    assert value(store, "up", 2000) is None
    assert value(store, "requests_total", 2000) is None
