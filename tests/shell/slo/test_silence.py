"""How much of the last two minutes an SLI was unknown."""

from datetime import timedelta

import pytest

from opsloop.shell.slo.silence import Silence
from tests.builders.objects import at


@pytest.mark.parametrize(
    ("pattern", "seconds"),
    [
        pytest.param("." * 60, 0, id="known all the time"),
        pytest.param("x" * 10, 45, id="the first read says nothing of the time before it"),
        pytest.param("." * 48 + "x" * 12, 60, id="a minute in one piece"),
        pytest.param((".xxxxx" * 10), 100, id="25 seconds silent and 5 known"),
        pytest.param("x" * 40 + "." * 20, 20, id="what is older than two minutes does not count"),
        pytest.param("x" * 40 + "." * 30, 0, id="nor does anything once it was known for two minutes"),
    ],
)
def test_silence(pattern: str, seconds: int) -> None:
    """A letter is one read, 5 seconds apart; x is unknown."""
    silence, total = Silence(), timedelta(0)
    for n, letter in enumerate(pattern):
        total = silence.note(at(5 * n), letter == "x")
    assert total == timedelta(seconds=seconds)
