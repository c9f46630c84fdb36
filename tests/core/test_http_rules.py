"""Rules that opsloop adds to an HTTPRoute: narrower copies, last in the list, gone without a trace when the route is put back."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core import http_route, http_rules
from opsloop.core.http_route import Backends
from opsloop.core.http_rules import Extra
from opsloop.names import CANARY, WEIGHTS_BEFORE
from opsloop.simulator.fakes.cluster import json_patch
from opsloop.simulator.kube.routes import chosen

Object = dict[str, Any]
BACKENDS = Backends("answers", "answers-canary")
TESTERS = Extra(headers=(("x-canary", "yes"),))
COPIES = Extra(percent=10, methods=("GET", "HEAD"))
REF = {"name": "answers", "port": 80, "weight": 1}


def rule(path: str = "/ask", *, refs: Any = (REF,), **more: Any) -> Object:
    match = {"path": {"type": "PathPrefix", "value": path}}
    return {"matches": [match], "backendRefs": [dict(ref) for ref in refs], **more}


def route(*rules: Object) -> Object:
    return {"metadata": {"name": "shop", "namespace": "shop"}, "spec": {"rules": list(rules)}}


def shown(before: Object, extra: Extra) -> Object:
    return json_patch(before, http_rules.shown(before, "answers", BACKENDS, extra))


def bare(stored: Object) -> Object:
    """Without the empty maps that a patch leaves in metadata."""
    return {**stored, "metadata": {k: v for k, v in stored["metadata"].items() if v != {}}}


def test_a_testers_rule_has_the_canarys_service_alone_and_all_else_of_the_rule() -> None:
    filters = [{"type": "ResponseHeaderModifier"}]
    before = route(rule(filters=filters, timeouts={"request": "5s"}), rule("/static", refs=[{"name": "files"}]))
    now = shown(before, TESTERS)
    assert now["spec"]["rules"][:2] == before["spec"]["rules"]
    assert now["spec"]["rules"][2:] == [
        {
            "name": "opsloop-canary-0",
            "matches": [
                {
                    "path": {"type": "PathPrefix", "value": "/ask"},
                    "headers": [{"type": "Exact", "name": "x-canary", "value": "yes"}],
                }
            ],
            "filters": filters,
            "timeouts": {"request": "5s"},
            "backendRefs": [{"name": "answers-canary", "port": 80, "weight": 1}],
        }
    ]
    assert now["metadata"]["labels"] == {CANARY: "answers"}
    assert http_route.shares(now, BACKENDS) == (0, 0), "ordinary users get nothing"


def test_a_mirrors_rule_has_the_same_refs_a_filter_more_and_the_named_methods() -> None:
    filters = [{"type": "ResponseHeaderModifier"}]
    own = shown(route(rule(filters=filters)), COPIES)["spec"]["rules"][1]
    target = {"group": "", "kind": "Service", "name": "answers-canary", "port": 80}
    assert own["filters"] == [
        *filters,
        {"type": "RequestMirror", "requestMirror": {"backendRef": target, "percent": 10}},
    ]
    assert own["backendRefs"] == [REF]
    assert [match["method"] for match in own["matches"]] == ["GET", "HEAD"]


def test_all_requests_are_copied_without_a_percentage_that_a_gateway_may_not_know() -> None:
    own = shown(route(rule()), Extra(percent=100, methods=("GET",)))["spec"]["rules"][1]
    assert "percent" not in own["filters"][0]["requestMirror"]


def test_a_rule_that_rewrites_a_prefix_has_one_match_so_each_method_has_a_rule() -> None:
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
    own = shown(route(rule(filters=[rewrite])), COPIES)["spec"]["rules"][1:]
    assert [[m["method"] for m in one["matches"]] for one in own] == [["GET"], ["HEAD"]]


@pytest.mark.parametrize(
    ("method", "headers", "service"),
    [
        pytest.param("GET", {}, "answers", id="a user"),
        pytest.param("GET", {"x-canary": "yes"}, "answers-canary", id="a tester"),
        pytest.param("POST", {"x-canary": "yes"}, "answers-canary", id="a tester who writes"),
        pytest.param("GET", {"x-canary": "no"}, "answers", id="another value of the header"),
        pytest.param("GET", {"x-old": "1", "x-canary": "yes"}, "old", id="another rule that fits as well goes first, as before"),
    ],
)  # fmt: skip
def test_who_reaches_the_canary(method: str, headers: dict[str, str], service: str) -> None:
    other = rule(refs=[{"name": "old"}])
    other["matches"][0]["headers"] = [{"type": "Exact", "name": "x-old", "value": "1"}]
    taken = chosen(shown(route(rule(), other), TESTERS), "/ask", method, headers)
    assert taken is not None and taken["backendRefs"][0]["name"] == service


@pytest.mark.parametrize(
    ("before", "extra", "said"),
    [
        pytest.param(route(rule()), TESTERS, "", id="it fits"),
        pytest.param(route(rule() | {"matches": [{"headers": [{"name": "X-Canary", "value": "no"}]}]}), TESTERS, "matches header x-canary itself", id="the header is matched already"),
        pytest.param(route(rule() | {"matches": [{"method": "POST"}]}), COPIES, "none of its rules takes GET, HEAD", id="no request with these methods"),
        pytest.param(route(*(rule(f"/{n}") for n in range(9))), TESTERS, "18 rules (at most 16)", id="too many rules"),
        pytest.param(route(rule() | {"matches": [{"path": {"value": f"/{n}"}} for n in range(40)]}), COPIES, "120 matches (at most 64 each", id="too many matches"),
        pytest.param(route(rule(filters=[{"type": "ExtensionRef"}] * 16)), COPIES, "16 filters already", id="too many filters"),
        pytest.param(route(rule() | {"matches": [{"headers": [{"name": f"x-{n}", "value": "1"} for n in range(16)]}]}), TESTERS, "more than 16 headers", id="too many headers"),
    ],
)  # fmt: skip
def test_what_the_route_cannot_have_is_said_before_it_is_written(before: Object, extra: Extra, said: str) -> None:
    found = http_rules.unfit(before, BACKENDS, extra)
    assert said in found and bool(found) == bool(said)


def test_what_the_server_fills_in_makes_no_other_rule() -> None:
    now = shown(route(rule()), COPIES)
    for stored in now["spec"]["rules"]:
        stored["backendRefs"] = [{"group": "", "kind": "Service", **ref} for ref in stored["backendRefs"]]
    assert not http_rules.missing(now, BACKENDS, COPIES) and not http_rules.surplus(now, BACKENDS, COPIES)
    assert http_rules.shown(now, "answers", BACKENDS, COPIES) == []


@pytest.mark.parametrize("named", [True, False], ids=["with names of rules", "a CRD that knows no names of rules"])
def test_one_that_somebody_changed_is_told_and_goes_all_the_same(named: bool) -> None:
    before = route(rule())
    now = shown(before, TESTERS)
    if not named:
        now["spec"]["rules"][1].pop("name")
    now["spec"]["rules"][1]["backendRefs"][0]["weight"] = 5
    assert http_rules.missing(now, BACKENDS, TESTERS) and http_rules.surplus(now, BACKENDS, TESTERS)
    assert bare(json_patch(now, http_route.put_back(now))) == before


FILES = [
    [rule()],
    [rule(refs=[{**REF, "weight": 500}, {"name": "files", "port": 80, "weight": 500}])],
    [rule(refs=[{**REF, "weight": 300}, {"name": "answers-canary", "port": 80, "weight": 0}, {"name": "old", "weight": 100}])],
    [rule(refs=[{**REF, "weight": 200}, {"name": "answers-canary", "port": 80, "weight": 0}, {"name": "old", "weight": 700}])],
    [rule(), rule("/pay", name="pay", refs=[{**REF, "weight": 7}])],
]  # fmt: skip
ACTS = st.one_of(
    st.sampled_from([20, 50]),  # a weight
    st.sampled_from([TESTERS, COPIES]),  # a step without one
    st.sampled_from(FILES),  # a GitOps tool applies the file, as it is or another one
    st.none(),  # the canary ends
)


@given(st.sampled_from(FILES), st.lists(ACTS, max_size=8))
def test_whatever_was_written_by_whomever_what_is_left_is_the_last_file(first: list[Object], acts: list[Any]) -> None:
    file, now = first, route(*copy.deepcopy(first))
    for act in acts:
        if isinstance(act, list):
            file, now = act, {**now, "spec": {"rules": copy.deepcopy(act)}}
        elif isinstance(act, int):
            now = json_patch(now, http_route.moved(now, "answers", BACKENDS, act))
            assert http_route.shares(now, BACKENDS) == (act, act) and not http_route.own_rules(now)
        elif act is None:
            now = json_patch(now, http_route.put_back(now, BACKENDS))
            assert bare(now) == route(*file)
        else:
            if http_route.shares(now, BACKENDS) != (0, 0):
                now = json_patch(now, http_route.put_back(now, BACKENDS))  # a step without a weight comes first
            now = shown(now, act)
            assert http_route.shares(now, BACKENDS) == (0, 0)
            assert not http_rules.missing(now, BACKENDS, act) and not http_rules.surplus(now, BACKENDS, act)
            assert now["spec"]["rules"][: len(file)] == file
    assert bare(json_patch(now, http_route.put_back(now))) == route(*file)


def test_the_annotation_holds_no_more_than_it_needs() -> None:
    now = shown(route(rule()), TESTERS)
    assert len(now["metadata"]["annotations"][WEIGHTS_BEFORE]) < 200
