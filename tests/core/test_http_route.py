"""Weights on an HTTPRoute: moved exactly, put back exactly, and nothing else of the route touched."""

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opsloop.core import gateways, http_route
from opsloop.core.http_route import Backends
from opsloop.names import CANARY, WEIGHTS_BEFORE
from opsloop.simulator.fakes.cluster import json_patch

Object = dict[str, Any]
BACKENDS = Backends("answers", "answers-canary")


def ref(name: str = "answers", weight: int | None = 1, **more: Any) -> Object:
    return {"name": name, "port": 80, **more} | ({} if weight is None else {"weight": weight})


def route(*rules: list[Object], **metadata: Any) -> Object:
    meta = {"name": "shop", "namespace": "shop", "generation": 2, **metadata}
    return {"metadata": meta, "spec": {"rules": [{"backendRefs": list(refs)} for refs in rules]}}


def after(before: Object, weight: int, **how: Any) -> Object:
    return json_patch(before, http_route.moved(before, "answers", how.pop("backends", BACKENDS), weight, **how))


def restored(moved: Object, backends: Backends | None = None) -> Object:
    return json_patch(moved, http_route.put_back(moved, backends))


def weights(stored: Object) -> Any:
    return [[(r["name"], r.get("weight", 1)) for r in rule["backendRefs"]] for rule in stored["spec"]["rules"]]


@pytest.mark.parametrize(
    ("before", "weight", "then"),
    [
        pytest.param(route([ref()]), 20, [[("answers", 80), ("answers-canary", 20)]], id="alone, its weight is divided as percent"),
        pytest.param(route([ref(weight=None)]), 20, [[("answers", 80), ("answers-canary", 20)]], id="without a weight it has 1"),
        pytest.param(route([ref(weight=80), ref("old", 20)]), 10, [[("answers", 72), ("old", 20), ("answers-canary", 8)]], id="beside another one, its own weight is divided"),
        pytest.param(route([ref(weight=7), ref("old", 0)]), 10, [[("answers", 90), ("old", 0), ("answers-canary", 10)]], id="one that gets nothing is no other one"),
        pytest.param(route([ref("files")], [ref()]), 50, [[("files", 1)], [("answers", 50), ("answers-canary", 50)]], id="rules with other Services stay"),
        pytest.param(route([ref(weight=0), ref("files")]), 50, [[("answers", 0), ("files", 1)]], id="a rule that sends it nothing stays"),
        pytest.param(route([ref(), ref("answers-canary", 0)]), 30, [[("answers", 70), ("answers-canary", 30)]], id="a ref that was there for it is used"),
        pytest.param(route([ref(namespace="elsewhere")]), 30, [[("answers", 1)]], id="a Service of that name in another namespace is another one"),
        pytest.param(route([ref(kind="ServiceImport", group="multicluster.x-k8s.io")]), 30, [[("answers", 1)]], id="another kind of that name is another one"),
    ],
)  # fmt: skip
def test_the_canary_gets_its_share_of_what_the_service_gets(before: Object, weight: int, then: Object) -> None:
    assert weights(after(before, weight)) == then


def test_rules_may_be_named() -> None:
    before = route([ref()], [ref()])
    before["spec"]["rules"][1]["name"] = "pay"
    only = Backends("answers", "answers-canary", ("pay",))
    assert weights(after(before, 20, backends=only)) == [[("answers", 1)], [("answers", 80), ("answers-canary", 20)]]


def test_the_canarys_ref_is_as_the_services_own_with_port_and_filters() -> None:
    before = route([ref(filters=[{"type": "RequestHeaderModifier"}])])
    assert after(before, 20)["spec"]["rules"][0]["backendRefs"][1] == ref(
        "answers-canary", 20, filters=[{"type": "RequestHeaderModifier"}]
    )


def test_lowering_raises_no_rule() -> None:
    before = route([ref(weight=30), ref("answers-canary", 70)], [ref(weight=100), ref("answers-canary", 0)])
    assert [w[1][1] for w in weights(after(before, 20, lower=True))] == [20, 0]


def test_a_ref_that_the_team_keeps_at_weight_0_stays_where_nothing_was_moved() -> None:
    assert http_route.put_back(route([ref(weight=5), ref("answers-canary", 0)]), BACKENDS) == []


def test_what_is_there_already_is_not_written_again() -> None:
    assert http_route.moved(after(route([ref()]), 20), "answers", BACKENDS, 20) == []
    assert http_route.put_back(route([ref()]), BACKENDS) == []


def test_a_share_that_whole_numbers_cannot_say_is_told_with_what_to_do() -> None:
    before = route([ref(weight=3), ref("old", 1)])
    text = http_route.unreachable(before, BACKENDS, [20])
    assert "20 % of 3 is no whole number" in text and "multiply the weights" in text
    with pytest.raises(ValueError, match="no whole number"):
        http_route.moved(before, "answers", BACKENDS, 20)
    assert http_route.unreachable(route([ref(weight=3)]), BACKENDS, [1, 33, 99]) == ""


@pytest.mark.parametrize(
    ("changed", "then"),
    [
        pytest.param(lambda r: r["metadata"].pop("annotations"), [[("answers", 1)]], id="without the annotation, alone: its default"),
        pytest.param(lambda r: r["metadata"]["annotations"].update({WEIGHTS_BEFORE: "{"}), [[("answers", 1)]], id="with one that cannot be read"),
        pytest.param(lambda r: r["spec"]["rules"].__setitem__(0, {"backendRefs": [ref(weight=5)]}), [[("answers", 5)]], id="reset by somebody: their weight stays"),
        pytest.param(lambda r: r["spec"]["rules"][0]["backendRefs"].pop(0), [[("answers", 7)]], id="the Service's own ref was taken away"),
        pytest.param(lambda r: r["spec"]["rules"].insert(0, {"backendRefs": [ref("files")]}), [[("files", 1)], [("answers", 7)]], id="a rule came before it"),
    ],
)  # fmt: skip
def test_put_back_after_somebody_changed_it(changed: Any, then: Object) -> None:
    moved = after(route([ref(weight=7)]), 20)
    changed(moved)
    back = restored(moved, BACKENDS)
    assert weights(back) == then
    assert not back["metadata"].get("labels") and not back["metadata"].get("annotations")


def test_without_the_annotation_beside_others_the_service_gets_what_both_had() -> None:
    moved = after(route([ref(weight=80), ref("old", 20)]), 10)
    moved["metadata"].pop("annotations")
    assert weights(restored(moved, BACKENDS)) == [[("answers", 80), ("old", 20)]]


refs = st.lists(
    st.tuples(st.sampled_from(["files", "old", "web"]), st.integers(0, 50)), max_size=2, unique_by=lambda one: one[0]
)
rules = st.lists(
    st.tuples(refs, st.none() | st.integers(0, 40).map(lambda n: 20 * n), st.none() | st.just(0), st.booleans()),
    min_size=1,
    max_size=4,
)


def drawn(rules: Any) -> Object:
    found = []
    for others, stable, canary, late in rules:
        own = [] if stable is None else [ref(weight=stable)]
        own += [ref("answers-canary", canary)] if canary is not None and stable is not None else []
        rest = [ref(name, weight) for name, weight in others]
        found.append(rest + own if late else own + rest)
    return route(*found, labels={"team": "help"})


@given(rules, st.lists(st.sampled_from([5, 10, 20, 50, 95]), min_size=1, max_size=3))
@example([([], 0, 0, False), ([], 20, None, False)], [20])  # a rule that sends nobody anywhere
def test_whatever_was_written_the_route_is_as_it_was_when_it_is_put_back(rules: Any, steps: list[int]) -> None:
    before = drawn(rules)
    now = copy.deepcopy(before)
    for weight in steps:
        now = after(now, weight)
        moving = [s for s in http_route.splits(before, BACKENDS) if sum(s.weights)]
        if moving:
            assert http_route.shares(now, BACKENDS) == (weight, weight) and http_route.is_moved(now, "answers")
        for rule, old in zip(now["spec"]["rules"], before["spec"]["rules"], strict=True):
            ours = ("answers", "answers-canary")
            assert [r for r in rule["backendRefs"] if r["name"] not in ours] == [
                r for r in old["backendRefs"] if r["name"] not in ours
            ]
    back = restored(now)
    back["metadata"] = {k: v for k, v in back["metadata"].items() if v != {}}
    assert back == before


def test_the_marks_say_whose_rollout_it_is() -> None:
    moved = after(route([ref(weight=7)]), 20)
    assert moved["metadata"]["labels"] == {CANARY: "answers"} and not http_route.is_moved(moved, "web")


def parent(accepted: str = "True", resolved: str = "True", generation: int = 2) -> Object:
    conditions = [
        {"type": "Accepted", "status": accepted, "message": "no listener", "observedGeneration": generation},
        {
            "type": "ResolvedRefs",
            "status": resolved,
            "message": "Service lost not found",
            "observedGeneration": generation,
        },
    ]
    return {"parentRef": {"name": "edge"}, "conditions": conditions}


@pytest.mark.parametrize(
    ("parents", "kinds", "taken"),
    [
        pytest.param([parent()], [], True, id="taken"),
        pytest.param([], ["Accepted"], True, id="nobody has looked at it"),
        pytest.param([parent(accepted="False")], ["Accepted"], True, id="refused"),
        pytest.param([parent(), parent(resolved="False")], ["ResolvedRefs"], True, id="one of two does not find a Service"),
        pytest.param([parent(resolved="False", generation=1)], [], False, id="what was said of an earlier one does not count"),
    ],
)  # fmt: skip
def test_what_gateways_say(parents: list[Object], kinds: list[str], taken: bool) -> None:
    told = {**route([ref()]), "status": {"parents": parents}}
    assert [kind for kind, _ in gateways.refusals(told)] == kinds
    assert gateways.is_taken(told) == taken


def test_a_service_twice_in_a_rule_is_noticed_only_where_the_rule_counts() -> None:
    both = route([ref()], [ref(), ref(port=81)])
    both["spec"]["rules"][0]["name"] = "ask"
    assert http_route.twice(both, BACKENDS)
    assert not http_route.twice(both, Backends("answers", "answers-canary", ("ask",)))


def test_weights_that_a_tool_wrote_in_mid_canary_are_what_is_put_back() -> None:
    backends = Backends("answers", "answers-canary")

    def of(answers: int, files: int) -> Any:
        named = {"answers": answers, "files": files}
        return {"rules": [{"backendRefs": [{"name": name, "port": 80, "weight": w} for name, w in named.items()]}]}

    route: Any = {"metadata": {"name": "shop", "namespace": "shop"}, "spec": of(80, 20)}
    route = json_patch(route, http_route.moved(route, "answers", backends, 20))
    route["spec"] = of(500, 500)
    route = json_patch(route, http_route.moved(route, "answers", backends, 20))
    route = json_patch(route, http_route.put_back(route, backends))
    assert route["spec"] == of(500, 500)
