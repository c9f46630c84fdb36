"""What differs between two revisions, and what is left out: clocks, identifiers, and what only says who answered."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.evalcase.expectation import compare
from opsloop.core.facts import ProbeReply
from opsloop.core.recorded.difference import Told, difference

GOOD = (("6.9.0", "shop:6.9.0", "podinfo-good-1", "10.0.0.1"), ("6.9.0", "shop:6.9.0", "podinfo-good-2", "10.0.0.2"))
BAD = ("6.9.1", "shop:6.9.1", "podinfo-bad-1", "10.0.0.3")


def reply(body: Any = "", status: int = 200, **headers: str) -> ProbeReply:
    text = body if isinstance(body, str) else json.dumps(body)
    return ProbeReply(status, text, headers=tuple((n.replace("_", "-"), v) for n, v in headers.items()))


def good(*replies: ProbeReply) -> list[Told]:
    """Answers of the good revision, of its two pods in turn; one reply stands for all of them."""
    several = replies if len(replies) > 1 else replies * 4
    return [Told(one, GOOD[n % 2]) for n, one in enumerate(several)]


def bad(*replies: ProbeReply) -> list[Told]:
    several = replies if len(replies) > 1 else replies * 3
    return [Told(one, BAD) for one in several]


RIGHT, WRONG = reply({"days": 30}), reply({"days": 7})


@pytest.mark.parametrize(
    ("of_good", "of_bad", "expect"),
    [
        pytest.param(good(RIGHT), bad(reply("boom", 503)), {"status": 200}, id="a server error: the status says it all"),
        pytest.param(good(RIGHT), bad(reply("", 500), reply("", 503), reply("", 500)), {"status": 200}, id="whichever server error"),
        pytest.param(good(reply("", 404)), bad(RIGHT), {"status": 404}, id="what was hidden is shown"),
        pytest.param(good(RIGHT), bad(WRONG), {"status": 200, "json": {"$.days": "30"}}, id="another value"),
        pytest.param(good(reply({"a": {"b": ["x", "y"]}})), bad(reply({"a": {"b": ["x"]}})), {"status": 200, "json": {"$.a.b[1]": "y"}}, id="a value that is missing"),
        pytest.param(good(reply({"days of grace": 30})), bad(reply({"days of grace": 7})), {"status": 200, "json": {"$['days of grace']": "30"}}, id="a name that is no plain word"),
        pytest.param(good(RIGHT), bad(reply("<html>")), {"status": 200, "json": {"$.days": "30"}}, id="no JSON any more"),
        pytest.param(good(reply("", Content_Type="text/html")), bad(reply("", Content_Type="text/plain")), {"status": 200, "headers": {"Content-Type": "text/html"}}, id="another type of content"),
        pytest.param(good(reply("<p>\nFree returns\n</p>")), bad(reply("<p>\nNo returns\n</p>")), {"status": 200, "contains": "Free returns"}, id="a line of a page"),
    ],
)  # fmt: skip
def test_what_differs_becomes_an_expectation(of_good: list[Told], of_bad: list[Told], expect: dict[str, Any]) -> None:
    found = difference(of_good, of_bad)
    assert found is not None
    said = found.expect.dump()
    known = {
        "status": said["status"],
        **({"json": {c["path"]: c["equals"] for c in said["json"]}} if said["json"] else {}),
        **({"headers": {c["name"]: c["equals"] for c in said["headers"]}} if said["headers"] else {}),
        **({"contains": said["contains"]} if "contains" in said else {}),
    }
    assert known == expect
    assert all(compare(found.expect, t.reply).fit == "passed" for t in of_good)
    assert all(compare(found.expect, t.reply).fit == "failed" for t in of_bad)


def told(**more: Any) -> ProbeReply:
    return reply({"days": 30, **more})


@pytest.mark.parametrize(
    ("of_good", "of_bad"),
    [
        pytest.param(good(RIGHT), bad(RIGHT), id="nothing differs"),
        pytest.param(good(RIGHT), bad(RIGHT, WRONG, RIGHT), id="the bad one is right now and then: nothing that it surely fails"),
        pytest.param(good(RIGHT), bad(WRONG, reply({"days": 8}), WRONG), id="it varies among answers of the bad revision"),
        pytest.param(good(RIGHT, WRONG), bad(WRONG), id="it varies among answers of the good revision"),
        pytest.param(good(RIGHT, reply("", 503)), bad(reply("", 503)), id="the good revision errs now and then"),
        pytest.param(good(RIGHT), bad(RIGHT, reply("", 503), RIGHT), id="the bad revision errs now and then"),
        pytest.param(good(told(at="10:00"), told(at="10:01")), bad(told(at="10:02"), told(at="10:03")), id="a clock"),
        pytest.param(good(told(pod="a-1"), told(pod="a-2")), bad(told(pod="b-1")), id="two pods of one revision name themselves"),
        pytest.param(good(told(version="6.9.0")), bad(told(version="6.9.1")), id="the version: it will be another in every one to come"),
        pytest.param(good(told(by="shop 6.9.0 at 1")), bad(told(by="shop 6.9.1 at 1")), id="the version within a text"),
        pytest.param(good(reply("shop 6.9.0\nok")), bad(reply("shop 6.9.1\nok")), id="the version in a page"),
        pytest.param(good(told(note=None)), bad(told(note=None, more=1)), id="something more than before breaks nobody"),
        pytest.param(good(ProbeReply(0, "", "timeout"), RIGHT), bad(WRONG), id="the good revision did not answer once"),
        pytest.param(good(RIGHT), bad(ProbeReply(0, "", "timeout")), id="the bad revision never answers"),
        pytest.param([], bad(WRONG), id="nobody was asked"),
        pytest.param(good(reply({"text": "x" * 600})), bad(reply({"text": "y" * 600})), id="a value that is too long to be expected"),
        pytest.param(good(ProbeReply(200, '{"a": 1', cut=True)), bad(WRONG), id="a reply of which only the beginning was read"),
    ],
)  # fmt: skip
def test_what_says_nothing_is_left_out(of_good: list[Told], of_bad: list[Told]) -> None:
    assert difference(of_good, of_bad) is None


def test_beside_what_varies_the_rest_is_found_and_it_is_said_what_was_left_out() -> None:
    of_good = good(reply({"at": 1, "days": 30, "version": "6.9.0"}), reply({"at": 2, "days": 30, "version": "6.9.0"}))
    found = difference(of_good, bad(reply({"at": 3, "days": 7, "version": "6.9.1"})))
    assert found is not None and [c.path for c in found.expect.json_] == ["$.days"]
    assert found.left_out == ("$.at",)
    assert found.text == '$.days "30", and "7" on the bad revision'


leaf = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=8)
documents = st.recursive(
    leaf, lambda d: st.lists(d, max_size=3) | st.dictionaries(st.text(max_size=6), d, max_size=3), max_leaves=10
)


@given(documents, documents)
def test_whatever_is_expected_the_good_answers_fit_and_the_bad_ones_do_not(one: Any, other: Any) -> None:
    of_good, of_bad = good(reply(one)), bad(reply(other))
    found = difference(of_good, of_bad)
    if found is not None:
        assert [compare(found.expect, t.reply).fit for t in of_good] == ["passed"] * 4
        assert [compare(found.expect, t.reply).fit for t in of_bad] == ["failed"] * 3
