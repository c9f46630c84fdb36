"""Evidence about a canary: what the two tests say together in plain situations, and what they leave out."""

import random
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.statistics.evidence import Evidence, Interval, Terms

TERMS = Terms(margin=1.5, floor=0.01, ignore_below=0.0025, alpha=0.01)
ALONE = replace(TERMS, compared=False)
Counts = tuple[float, float]


def seen(*stretches: tuple[Counts, Counts, int], terms: Terms = TERMS, seconds: float = 15) -> Evidence:
    """The evidence after stretches of equal intervals: (bad, total) of the canary, of live, how many."""
    evidence, begin = Evidence(terms), 0.0
    for canary, live, count in stretches:
        for _ in range(count):
            evidence = evidence.after(Interval(begin, begin + seconds, *canary, *live), (0.0,))
            begin += seconds
    return evidence


@pytest.mark.parametrize(
    ("evidence", "rejects"),
    [
        pytest.param(seen(((5, 5), (0, 20), 1)), False, id="one scrape, however bad, rejects nobody"),
        pytest.param(seen(((5, 5), (0, 20), 2)), False, id="nor do two"),
        pytest.param(seen(((4, 5), (0, 20), 3)), True, id="80 % bad in three scrapes is enough"),
        pytest.param(seen(((0, 100), (0, 400), 500)), False, id="no bad event ever"),
        pytest.param(seen(((0.5, 100), (2, 400), 500)), False, id="as good as live, for two hours"),
        pytest.param(seen(((0.7, 100), (2, 400), 500)), False, id="1.4 times live's errors lies within the margin"),
        pytest.param(seen(((4, 100), (2, 400), 40)), True, id="eight times live's errors for ten minutes"),
        pytest.param(seen(((0, 100), (1, 400), 400), ((100, 100), (0, 400), 1)), False, id="one burst of 100"),
        pytest.param(seen(((80, 100), (320, 400), 50)), False, id="an outage that both share: the floor blames nobody"),
        pytest.param(seen(((2, 100), (8, 400), 500)), False, id="live misses the objective all the time, and so does its copy"),
        pytest.param(seen(((0.2, 100), (0.04, 400), 500)), False, id="twenty times live's errors, below a quarter of the budget"),
        pytest.param(seen(((5, 10), (0, 0), 20)), True, id="live serves nothing: the floor decides"),
        pytest.param(seen(((1, 100), (0, 0), 500), terms=ALONE), False, id="just at the floor"),
        pytest.param(seen(((20, 100), (0, 0), 3), terms=ALONE), True, id="20 % bad against a floor of 1 %"),
        pytest.param(seen(((3, 100), (0, 0), 40), terms=ALONE), True, id="three times the floor for ten minutes"),
        pytest.param(seen(((100, 100), (0, 0), 1), terms=ALONE), False, id="one interval alone, all bad"),
    ],
)  # fmt: skip
def test_a_canary(evidence: Evidence, rejects: bool) -> None:
    assert evidence.rejects is rejects


def test_a_fault_after_a_day_of_hold_is_seen_nearly_as_fast_as_one_at_the_start() -> None:
    def needed(before: Evidence) -> int:
        for count in range(1, 100):
            before = before.after(Interval(before.until, before.until + 15, 5, 100, 2, 400), (0.0,))
            if before.rejects:
                return count
        raise AssertionError("not seen in 25 minutes")

    day = seen(((0.5, 100), (2, 400), 5760))
    assert needed(day) <= 3 * needed(Evidence(TERMS))


def test_a_step_is_a_start_also_where_it_was_heard_of_late() -> None:
    before = seen(((0, 100), (0, 400), 10))
    following = Interval(before.until, before.until + 15, 0, 100, 0, 400)
    on_time = before.after(following, (0.0, before.until))
    late = before.after(following, (0.0, before.until - 1))
    assert on_time.against_floor.starts == late.against_floor.starts == before.against_floor.starts + 1


def test_the_first_seconds_in_traffic_count_for_the_floor_alone() -> None:
    cold = seen(((5, 100), (0, 400), 4), terms=replace(TERMS, warm_up=60))
    assert cold.largest_live == 1 and cold.largest_floor > 1
    assert seen(((5, 100), (0, 400), 5), terms=replace(TERMS, warm_up=60)).largest_live > 1


def test_a_shared_outage_leaves_the_floor_alone_and_a_fault_after_it_does_not() -> None:
    outage = seen(((0.2, 100), (1, 400), 20), ((30, 100), (120, 400), 20))
    assert outage.largest_floor < 10 and not outage.live_healthy
    fault = seen(((0.2, 100), (1, 400), 20), ((30, 100), (120, 400), 20), ((5, 100), (2, 400), 40))
    assert fault.rejects


def test_events_while_live_was_unhealthy_are_told_apart() -> None:
    evidence = seen(((0, 100), (0, 400), 10), ((30, 100), (120, 400), 5))
    assert (evidence.bad, evidence.total) == (150, 1500)
    assert (evidence.calm_bad, evidence.calm_total) == (0, 1000)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_later_intervals_never_take_a_reject_back(bad: list[tuple[int, int]]) -> None:
    evidence, before = Evidence(TERMS), 1.0
    for canary, live in bad:
        evidence = evidence.after(Interval(evidence.until, evidence.until + 15, canary, 20, live, 60))
        assert evidence.largest >= before
        before = evidence.largest


@pytest.mark.parametrize("seed", range(3))
def test_healthy_canaries_are_rejected_no_more_often_than_said(seed: int) -> None:
    rnd, rejected, runs = random.Random(seed), 0, 200
    terms = Terms(margin=1.0, floor=0.02, ignore_below=0.0, alpha=0.05)

    def bad_of(total: int) -> int:
        return sum(rnd.random() < 0.02 for _ in range(total))

    for _ in range(runs):
        evidence = Evidence(terms)
        for n in range(40):
            evidence = evidence.after(Interval(n, n + 1, bad_of(15), 15, bad_of(60), 60))
        rejected += evidence.rejects
    assert rejected <= 0.05 * runs  # the expectation is below: 1 of 100 000 such seeds would be above it by chance


@pytest.mark.parametrize(
    ("bad", "total"),
    [
        pytest.param(-1, 5, id="negative"),
        pytest.param(6, 5, id="more bad than all"),
        pytest.param(0, inf, id="without end"),
        pytest.param(float("nan"), 5, id="not a number"),
    ],
)
def test_impossible_counts_are_refused(bad: float, total: float) -> None:
    with pytest.raises(ValueError, match="not counts of one interval"):
        Interval(0, 1, bad, total)


def test_what_was_seen_of_live_before_says_how_healthy_it_is_and_rejects_nobody() -> None:
    terms = Terms(margin=1.5, floor=0.01, ignore_below=0.0025, alpha=0.01)
    sick, well = Evidence(terms), Evidence(terms)
    for n in range(-40, 0):
        sick = sick.before(Interval(15 * n, 15 * n + 15, 0, 0, 2, 60))
        well = well.before(Interval(15 * n, 15 * n + 15, 0, 0, n % 4 == 0, 60))
    first = Interval(0, 15, 3, 15, 1, 60)
    assert not sick.after(first).live_healthy
    assert well.after(first).live_healthy
    assert (sick.total, sick.intervals, sick.largest) == (0, 0, 1)


def test_bursts_among_lives_pods_make_the_canarys_events_worth_less() -> None:
    terms = Terms(margin=1.5, floor=0.01, ignore_below=0.0025, alpha=0.01)
    bursts = ((40.0, 140.0), (0.0, 100.0))
    calm = Evidence(terms).before(Interval(-15, 0, 0, 0, 40, 240))
    bursty = Evidence(terms).before(Interval(-15, 0, 0, 0, 40, 240, live_pods=bursts))
    bad = [Interval(15 * n, 15 * n + 15, 30, 100, 1, 400) for n in range(3)]
    for interval in bad:
        calm, bursty = calm.after(interval), bursty.after(interval)
    assert bursty.dispersion > 10 and calm.dispersion == 1
    assert 1 < bursty.largest_floor < calm.largest_floor
