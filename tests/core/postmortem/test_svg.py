"""The drawing of the SLI: well-formed, bounded, said in words too, and nothing leaves its box."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsloop.core.postmortem import svg
from opsloop.core.postmortem.curve import MOST_POINTS, Curve, span_to_read
from opsloop.core.readings import Interval
from tests.builders.evalcases import at

STEP = timedelta(seconds=4)
MOMENTS = [("Onset", at(2)), ("Detected", at(12)), ("Mitigated", at(58)), ("Resolved", at(73))]


def curve(*counts: tuple[float, float], objective: float = 0.99, start: float = 0) -> Curve:
    """Of intervals of 4 s; (0, 0) is one without events."""
    counted = [Interval(at(start + 4 * n), at(start + 4 * n + 4), *c) for n, c in enumerate(counts) if c[1]]
    return Curve.of("sli", objective, timedelta(days=30), STEP, (at(start), at(start + 4 * len(counts))), counted)


def test_it_says_in_words_what_it_draws() -> None:
    said = svg.described(curve((0, 50), (10, 50), (5, 50)), MOMENTS[:2])
    assert said == (
        "3 intervals of 4 s from 2026-01-05 10:00:00 to 10:00:12 UTC; the worst was 20 % at 10:00:08; the objective allows 1 %;"
        " Onset 10:00:02; Detected 10:00:12."
    )


def test_no_script_no_address_and_both_colour_schemes() -> None:
    drawn = svg.draw(curve((0, 50), (10, 50)), MOMENTS)
    assert "<script" not in drawn and "prefers-color-scheme:dark" in drawn
    assert re.findall(r"https?://[^\"]+", drawn) == ["http://www.w3.org/2000/svg"]


def test_a_time_without_events_is_drawn_as_such() -> None:
    assert svg.draw(curve((0, 50), (0, 0), (0, 0), (0, 0), (1, 50)), []).count('class="none"') == 1
    assert svg.draw(curve((0, 50), (1, 50)), []).count('class="none"') == 0


def test_the_names_of_the_four_times_never_overlap() -> None:
    drawn = ElementTree.fromstring(svg.draw(curve(*[(1, 50)] * 30), [(name, at(20)) for name, _ in MOMENTS]))
    names = [t for t in drawn.iter("{http://www.w3.org/2000/svg}text") if t.get("class") == "moment-name"]
    assert len({t.get("y") for t in names}) == 4


def test_a_service_that_was_not_measured_before_does_not_shrink_its_harm() -> None:
    """150 blank intervals before 8 with events: an eighth of these is drawn blank."""
    drawn = svg.draw(curve(*[(0, 0)] * 150, *[(10, 50)] * 8), [("Onset", at(610))])
    assert ">10:09:56<" in drawn and ">10:00:00<" not in drawn
    assert drawn.count('class="none"') == 1


def test_lines_are_drawn_before_names_so_that_none_is_struck_through() -> None:
    drawn = svg.draw(curve(*[(1, 50)] * 30), MOMENTS)
    assert drawn.rindex('class="moment"') < drawn.index('class="moment-name"')


COUNTS = st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)).map(lambda c: (min(c), max(c)))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(COUNTS, min_size=1, max_size=300),
    st.floats(0.0001, 0.99999),
    st.lists(st.tuples(st.text(max_size=20), st.floats(-100, 2000).map(at)), max_size=4),
)  # fmt: skip
def test_any_counts_give_a_drawing_of_bounded_size_within_its_box(
    counts: list[tuple[float, float]], objective: float, moments: list[tuple[str, object]]
) -> None:
    named = [("".join(c for c in name if c.isprintable() and c.isascii()), when) for name, when in moments]
    drawn = svg.draw(curve(*counts, objective=objective), named)  # type: ignore[arg-type]
    root = ElementTree.fromstring(drawn)
    assert len(drawn) < 60_000 and drawn.count('class="bar"') <= MOST_POINTS
    for bar in root.iter("{http://www.w3.org/2000/svg}rect"):
        left, top = float(bar.get("x", "")), float(bar.get("y", ""))
        width, height = float(bar.get("width", "")), float(bar.get("height", ""))
        assert left >= 0 and top >= 0 and left + width <= svg.WIDTH + 1 and top + height <= svg.HEIGHT + 1


def test_the_sums_are_those_of_the_intervals_that_overlap() -> None:
    told = curve((0, 50), (10, 50), (20, 50), (0, 50))
    assert told.counts(at(5), at(11)) == (30, 100)
    assert told.counts(at(100), at(110)) is None


def test_the_budget_is_that_of_the_period_at_this_traffic() -> None:
    """12.5 events a second over 30 days at 99 %: 324 000 may be bad."""
    assert curve((0, 50), (0, 50)).budget_spent(324) == pytest.approx(0.001)
    assert curve((0, 0)).budget_spent(1) is None


def test_what_is_read_holds_a_time_before_the_harm_and_ends_now_at_the_latest() -> None:
    assert span_to_read(at(0), None, at(60)) == (at(-600), at(60))
    assert span_to_read(at(0), at(8000), at(99999)) == (at(-2030), at(8120))
