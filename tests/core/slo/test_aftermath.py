"""What came of an act: it helped, it did not, or nobody can say; and whether the harm had gone by itself."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.readings import Reading, SinceAct, Unknown, Value
from opsloop.core.slo import aftermath
from tests.builders.objects import T0

BEFORE, LIMIT, FEW = Value(bad=800, total=1000), 0.0144, 5
SCRAPE = timedelta(seconds=15)


BAD, FADING, GOOD = Value(bad=600, total=1000), Value(bad=200, total=1000), Value(bad=0, total=1000)


def since(reading: Reading, intervals: int = 4, **more: Any) -> SinceAct:
    return SinceAct(T0, reading, intervals * SCRAPE, Unknown("NotRead"), SCRAPE, **more)


@pytest.mark.parametrize(
    ("before", "act", "judged"),
    [
        pytest.param(BEFORE, since(Value(bad=0, total=2000)), "helped", id="surely below the tier's factor: it helped"),
        pytest.param(BEFORE, since(Value(bad=2, total=2000)), "helped", id="the errors that a service always makes do not matter"),
        pytest.param(None, since(Value(bad=0, total=2000)), "helped", id="also where nothing is known of before"),
        pytest.param(BEFORE, since(Value(bad=0, total=50)), "unknown", id="fifty good events are not enough to be sure of 1.4 %"),
        pytest.param(Value(bad=40, total=1000), since(Value(bad=20, total=5000)), "helped", id="lower than before by enough events"),
        pytest.param(Value(bad=4, total=1000), since(Value(bad=8, total=2000)), "unknown", id="as it was before: no act changed that"),
        pytest.param(BEFORE, since(Value(bad=600, total=1000)), "harmed", id="surely above: it did not help"),
        pytest.param(BEFORE, since(Value(bad=600, total=1000), 2), "unknown", id="one difference of counts may be what was still under way"),
        pytest.param(BEFORE, since(BAD, 5, late=SCRAPE), "harmed", id="late samples, and time enough"),
        pytest.param(BEFORE, since(BAD, 3, late=SCRAPE), "unknown", id="the last scrape is not there yet"),
        pytest.param(BEFORE, since(BAD, 8, scrapes=2.2), "unknown", id="scrapes begin late: only two were seen"),
        pytest.param(BEFORE, since(BAD, 3, scrapes=3.0), "harmed", id="three were seen"),
        pytest.param(BEFORE, since(BAD, own=GOOD), "unknown", id="what fails is the former pods, which answer on"),
        pytest.param(BEFORE, since(BAD, own=Unknown("NoSeries")), "unknown", id="nothing was seen of the pods that run since"),
        pytest.param(BEFORE, since(BAD, own=Value(bad=4, total=4)), "unknown", id="four bad events of the pods that run since"),
        pytest.param(BEFORE, since(BAD, own=BAD, latest=BAD), "harmed", id="they fail as well, and still do"),
        pytest.param(BEFORE, since(BAD, latest=GOOD), "unknown", id="it ended meanwhile: what was counted early was under way"),
        pytest.param(BEFORE, since(BAD, latest=Unknown("NoEvents")), "unknown", id="nothing was seen of the later half"),
        pytest.param(BEFORE, since(FADING), "unknown", id="a quarter of the harm is left: it is on its way out"),
        pytest.param(None, since(FADING), "harmed", id="nothing is known of before: the limit alone"),
        pytest.param(Value(bad=100, total=1000), since(FADING, at_start=BEFORE), "unknown", id="before it began it was far worse than the window showed"),
        pytest.param(BEFORE, since(Value(bad=4, total=5)), "unknown", id="four bad events are too few to say so"),
        pytest.param(BEFORE, since(Value(bad=16, total=1000)), "unknown", id="just above may be chance"),
        pytest.param(BEFORE, since(Value(bad=0, total=2000, coverage=0.5)), "unknown", id="half the time without data"),
        pytest.param(BEFORE, since(Unknown("NoSeries")), "unknown", id="no data at all"),
    ],
)  # fmt: skip
def test_what_came_of_an_act(before: Value | None, act: SinceAct, judged: str) -> None:
    assert aftermath.judge(before, act, LIMIT, FEW) == judged


@pytest.mark.parametrize(
    ("just_before", "over"),
    [
        pytest.param(Value(bad=0, total=400), True, id="no error any more: the harm had gone"),
        pytest.param(Value(bad=40, total=400), False, id="a tenth of the harm: the act replaced pods one by one"),
        pytest.param(Value(bad=0, total=20), False, id="too few events to say so"),
        pytest.param(Value(bad=0, total=400, coverage=0.5), False, id="data for half the time"),
        pytest.param(Unknown("NotRead"), False, id="the act took effect at once: there was no time in between"),
    ],
)
def test_whether_the_harm_had_gone_by_itself(just_before: Reading, over: bool) -> None:
    assert aftermath.was_over_before(BEFORE, just_before, LIMIT) == over


@pytest.mark.parametrize(
    ("own", "scrapes", "minutes", "never"),
    [
        pytest.param(Unknown("NoSeries"), 0.0, 2, True, id="for two minutes nothing was seen of them"),
        pytest.param(Unknown("NotRead"), None, 2, True, id="nobody knows which pods they are"),
        pytest.param(Unknown("NoSeries"), 0.0, 1, False, id="they may be found yet"),
        pytest.param(Unknown("NoSeries"), 2.0, 5, False, id="they are scraped"),
        pytest.param(Unknown("NoEvents"), 0.0, 5, False, id="they are there, and serve nobody"),
        pytest.param(Unknown("QueryFailed"), None, 5, False, id="no answer"),
        pytest.param(BAD, 3.0, 5, False, id="they were seen"),
    ],
)
def test_pods_that_nobody_sees(own: Reading, scrapes: float | None, minutes: float, never: bool) -> None:
    assert aftermath.never_seen(own, scrapes, timedelta(minutes=minutes)) is never


@given(shortest=st.integers(1, 1200), scrape=st.integers(1, 120), real=st.integers(1, 180), looks=st.integers(30, 60))
def test_the_window_ends_with_three_scrapes_or_at_its_longest(
    shortest: int, scrape: int, real: int, looks: int
) -> None:
    first = aftermath.window_of(timedelta(seconds=shortest), timedelta(seconds=scrape), timedelta(0))
    window = first
    for _ in range(looks):
        seen = SinceAct(T0, BAD, window, Unknown("NotRead"), SCRAPE, scrapes=window / timedelta(seconds=real))
        window = aftermath.widened(seen, window)
    enough = window / timedelta(seconds=real) >= aftermath.SCRAPES_OF_HARM
    assert enough or window == max(first, aftermath.LONGEST)
    assert window == first or window <= aftermath.LONGEST


@pytest.mark.parametrize(
    ("seen", "grows"),
    [
        pytest.param(since(BAD, 5, scrapes=1.0), True, id="full, and too few scrapes"),
        pytest.param(since(BAD, 5, scrapes=3.0), False, id="scrapes enough"),
        pytest.param(since(BAD, 4, scrapes=1.0), False, id="not full yet"),
        pytest.param(since(Unknown("NoSeries"), 5, scrapes=0.0), False, id="no data"),
        pytest.param(since(Value(bad=6, total=9, coverage=0.8), 5, scrapes=2.0), False, id="a gap, which would be in it for longer"),
    ],
)  # fmt: skip
def test_when_the_window_grows(seen: SinceAct, grows: bool) -> None:
    assert (aftermath.widened(seen, 5 * SCRAPE) > 5 * SCRAPE) is grows


@given(bad=st.integers(0, 400), total=st.integers(400, 5000), more=st.integers(1, 50))
def test_more_bad_events_never_make_it_look_more_helpful(bad: int, total: int, more: int) -> None:
    order = {"helped": 0, "unknown": 1, "harmed": 2}
    worse = Value(bad=min(bad + more, total), total=total)
    judged = [aftermath.judge(BEFORE, since(r), LIMIT, FEW) for r in (Value(bad=bad, total=total), worse)]
    assert order[judged[0]] <= order[judged[1]]


@given(count=st.integers(0, 200), mean=st.floats(0.01, 200))
def test_a_poisson_tail_is_a_probability_that_grows_with_the_count(count: int, mean: float) -> None:
    assert 0 <= aftermath.poisson_tail(count, mean) <= aftermath.poisson_tail(count + 1, mean) <= 1
