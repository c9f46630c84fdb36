"""Deploys are told by what Prometheus saw of the pods."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import promql_parser
import pytest

from opsloop.api.slo import Slo
from opsloop.core.backtest import deploys
from opsloop.core.backtest.deploys import BY_IMAGES, BY_PODS, BY_VERSION, Deploys, Way
from opsloop.core.slo.pods import Labels, Scope
from opsloop.shell.ports import Series
from tests.builders.past import START, release, seen

MINUTE = timedelta(minutes=1)


def found(answer: Sequence[Series], how: str = BY_IMAGES) -> Deploys:
    return deploys.deploys_of(answer, Way(how, ""), "answers", MINUTE)


def told(result: Deploys) -> list[tuple[str, float]]:
    return [(one.version, (one.at - START) / MINUTE) for one in result.new]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param([seen("a", 0, 60, image="shop:v1")], [], id="one version all the time is no deploy"),
        pytest.param([seen("a", 0, 30, image="shop:v1"), seen("b", 29, 60, image="shop:v2")], [("v2", 29)], id="another ReplicaSet is one"),
        pytest.param(
            [Series(s.labels, s.points + t.points) for s, t in [(seen("a", 0, 20, image="shop:v1"), seen("a", 40, 60))]]
            + [seen("b", 19, 41, image="shop:v2")],
            [("v2", 19), ("v1", 40)], id="and so is the way back",
        ),
        pytest.param([seen("a", 0, 20), seen("a", 40, 60)], [], id="a gap of the telemetry is none"),
        pytest.param([seen("a", 0, 30), seen("b", 29, 60)], [("b", 29)], id="without images its hash stands for the version"),
        pytest.param([seen("", 0, 60), seen("a", 0, 60)], [], id="pods of others are nothing"),
        pytest.param([], [], id="nothing seen is nothing known"),
    ],
)  # fmt: skip
def test_a_deploy_is_another_replica_set(answer: list[Series], expected: list[tuple[str, float]]) -> None:
    assert told(found(answer)) == expected


def test_it_says_what_was_there_before_for_how_long_and_how_many_pods() -> None:
    result = found([seen("a", 0, 30, 3.0), seen("b", 29, 45, 5.0), seen("c", 44, 60)])
    one, two = result.new
    assert (one.before, one.pods, one.until) == ("a", 5, START + 44 * MINUTE)
    assert (one.replaced_at, two.replaced_at) == (START + 30 * MINUTE, START + 45 * MINUTE)
    assert not Deploys().how and found([]).how == ""


def test_its_time_is_a_scrape_before_its_first_sample() -> None:
    result = found([seen("a", 0, 30), seen("b", 29, 60)])
    first = START + 28 * MINUTE + timedelta(seconds=40)
    dated = deploys.dated(result, {1: first}, timedelta(seconds=15))
    assert dated.new[0].at == first - timedelta(seconds=15) == dated.found[0].until


def status(at: float, proven: dict[str, datetime] | None = None):  # type: ignore[no-untyped-def]
    result = found([seen("a", 0, 30, image="s:v1"), seen("b", 29, 60, image="s:v2"), seen("a", 59, 90, image="s:v1")])
    return deploys.status_as_of(result, START + at * MINUTE, "answers", proven or {})


def test_as_a_release_it_was_adopted_and_then_drifted() -> None:
    early, late = status(10), status(29.5)
    assert [(r.version, r.reason) for r in early.revisions] == [("v1", "Adopted")]
    assert [(r.version, r.reason, r.shipped_without_canary) for r in late.revisions] == [
        ("v1", "Adopted", False), ("v2", "Drifted", True),
    ]  # fmt: skip
    assert late.live == deploys.digest_of("b") and late.revisions[1].replica_sets == ["answers-b"]
    assert late.revisions[1].rolled_out_at is None and status(31).revisions[1].rolled_out_at == START + 30 * MINUTE


def test_a_version_that_is_back_is_the_same_revision_live_again() -> None:
    back = status(70, {"a": START})
    assert [(r.version, r.number) for r in back.revisions] == [("v2", 2), ("v1", 1)]
    assert back.revisions[1].live_since == START + 59 * MINUTE and back.revisions[1].proven_at == START


@pytest.mark.parametrize(
    ("sli", "labels", "expected"),
    [
        pytest.param({"requests": {"counter": "c", "bad": 'code="500"'}}, Labels("pod", "namespace"), [BY_IMAGES, BY_PODS], id="a counter by pod"),
        pytest.param({"requests": {"counter": "c", "bad": 'code="500"'}}, None, [BY_IMAGES], id="a counter without pods"),
        pytest.param({"requests": {"counter": "c", "bad": 'code="500"'}}, Labels("instance"), [BY_IMAGES], id="addresses name no ReplicaSet"),
        pytest.param(
            {"bad": 'sum(increase(e{kubernetes_pod_name=~"{{pods}}"}[{{window}}]))',
             "total": 'sum(increase(t{kubernetes_pod_name=~"{{pods}}"}[{{window}}]))'}, None, [BY_IMAGES, BY_PODS], id="PromQL by pods",
        ),
        pytest.param(
            {"bad": 'sum(increase(e{v=~"{{version}}"}[{{window}}]))', "total": 'sum(increase(t{v=~"{{version}}"}[{{window}}]))'},
            None, [BY_IMAGES, BY_VERSION], id="PromQL by version",
        ),
        pytest.param({"bad": "sum(increase(e[{{window}}]))", "total": "sum(increase(t[{{window}}]))"}, None, [BY_IMAGES], id="neither"),
    ],
)  # fmt: skip
def test_ways_to_see_them(sli: dict[str, object], labels: Labels | None, expected: list[str]) -> None:
    slo = Slo.model_validate({"objective": 0.99, "sli": sli})
    item = release()
    item = item.model_copy(update={"spec": item.spec.model_copy(update={"slo": slo})})
    ways = deploys.ways(item, Scope("shop", "answers", labels))
    assert [way.how for way in ways] == expected
    for way in ways:
        promql_parser.parse(way.query)
