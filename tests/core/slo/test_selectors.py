"""Selectors taken apart: what they match, and which ones nobody here claims to know."""

import pytest

from opsloop.core.slo.selectors import Matcher, Selector, selector

SERIES = {"__name__": "requests_total", "code": "503", "route": "/pay", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        pytest.param("requests_total", True, id="the metric alone"),
        pytest.param("requests", False, id="another metric"),
        pytest.param('requests_total{code="503"}', True, id="equal"),
        pytest.param('requests_total{code!="503"}', False, id="not equal"),
        pytest.param('requests_total{code=~"5.."}', True, id="a regular expression"),
        pytest.param('requests_total{code=~"5."}', False, id="that is anchored"),
        pytest.param('requests_total{code!~"5..|4..",route="/pay"}', False, id="all matchers must match"),
        pytest.param('requests_total{missing=""}', True, id="a label that is not there is empty"),
        pytest.param('requests_total{missing=~".+"}', False, id="also for regular expressions"),
        pytest.param('requests_total{ route = "/pay" , }', True, id="spaces and a comma at the end"),
        pytest.param("requests_total{code=~'5\\\\d\\\\d'}", True, id="single quotes with escapes"),
        pytest.param("requests_total{code=~`5\\d\\d`}", True, id="backquotes without"),
        pytest.param('{__name__="requests_total",code="503"}', True, id="the metric as a label"),
    ],
)
def test_what_a_selector_matches(text: str, matches: bool) -> None:
    found = selector(text)
    assert found is not None and found.matches(SERIES) == matches


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('requests{code=~"(?i)x"}', id="flags, which may mean something else there"),
        pytest.param('requests{code=~"[[:alpha:]]+"}', id="a POSIX class, which Python reads otherwise"),
        pytest.param('requests{code=~"\\\\pL"}', id="a class that Python does not know"),
        pytest.param('requests{code=~"5..$"}', id="an anchor"),
        pytest.param('requests{code=~"(a+)+b"}', id="a repeated repetition, which takes Python for ever"),
        pytest.param('requests{code=~"(a|a)*b"}', id="a repeated choice"),
        pytest.param('requests{code=~".*a.*b.*c"}', id="many repetitions"),
        pytest.param('requests{code=~"(a?){99}b"}', id="a group so many times"),
        pytest.param('requests{code=~"a{"}', id="a brace that RE2 takes for itself"),
        pytest.param('requests{code=~"(a"}', id="no regular expression at all"),
        pytest.param('requests{code="\\x41"}', id="an escape that is not known here"),
        pytest.param('{__name__=~"a|b"}', id="several metrics"),
        pytest.param('{code="5"}', id="no metric"),
        pytest.param('requests{code="5" route="x"}', id="a comma is missing"),
        pytest.param("requests[5m]", id="a range"),
        pytest.param("requests offset 5m", id="a modifier"),
    ],
)
def test_what_is_not_known_for_certain_is_no_selector(text: str) -> None:
    assert selector(text) is None


def test_a_matcher_as_promql() -> None:
    assert Matcher("route", "=~", 'a"b\\.c').text == 'route=~"a\\"b\\\\.c"'
    assert selector(f"m{{{Matcher('route', '=~', 'b.c').text}}}") == Selector("m", (Matcher("route", "=~", "b.c"),))
