"""SLOs of Sloth, OpenSLO and Pyrra as `spec.slo`: by files in each of their forms, and by small objects."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.slo import rules
from opsloop.core.slo.foreign import counters, imported
from opsloop.core.slo.foreign.fragments import fraction, period
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.pods import Labels, Scope
from opsloop.core.slo.promql import problem
from opsloop.errors import Invalid
from tests.builders import yamls
from tests.contract.admission import validator
from tests.contract.admission.objects import at

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.yaml"))
W = "[{{window}}]"
CART = {"requests": {"counter": "cart_reply_seconds_count", "selector": 'app="cart"', "bad": 'status=~"5..|408"'}}
GATEWAY = {"requests": {"counter": "gateway_replies_total", "bad": 'status=~"5..|408"'}}
SPEED = {"histogram": "gateway_reply_seconds", "selector": 'route!="/stream"'}


def read(name: str) -> list[Any]:
    path = next(path for path in EXAMPLES if path.stem == name)
    return imported(yamls.load_all(path.read_text()))


TAKEN: list[Any] = [
    pytest.param("sloth-answers", [(0.999, CART)], id="rates of one counter become its requests"),
    pytest.param("sloth-kubernetes-object", [(0.999, CART)], id="the Kubernetes object says the same"),
    pytest.param("openslo-good-ones", [(0.999, CART)], id="OpenSLO by good ones: the matcher is turned round"),
    pytest.param("sloth-answers-and-latency", [(0.999, GATEWAY), (0.99, {"latency": {**SPEED, "threshold": 0.4}})], id="all without those in a bucket is a latency"),
    pytest.param("sloth-plain-promql", [
        (0.95, {"bad": "sum_over_time((count(freezer_celsius > -18))[{{window}}:]) OR on() vector(0)", "total": "sum_over_time((count(freezer_celsius))[{{window}}:])"}),
        (0.999, {"bad": "sum_over_time((count(freezer_celsius > -5))[{{window}}:]) OR on() vector(0)", "total": "sum_over_time((count(freezer_celsius))[{{window}}:])"}),
    ], id="what is no plain counter stays PromQL"),
    pytest.param("openslo-two-objectives", [
        (0.999, GATEWAY),
        (0.99, {"latency": {**SPEED, "threshold": 0.4}}),
        (0.999, {"latency": {**SPEED, "threshold": 5.0}}),
    ], id="two objectives of one SLO"),
    pytest.param("pyrra-latency", [
        (0.9, {"latency": {"histogram": "basket_seconds", "threshold": 0.05, "selector": 'app="cart",part="api",status!~"5.."'}}),
    ], id="Pyrra's latency"),
    pytest.param("pyrra-grouped", [
        (0.99, {"requests": {"counter": "basket_replies_total", "selector": 'route=~"/v1.*"', "bad": 'status=~"5.."'}}),
    ], id="Pyrra's ratio"),
    pytest.param("pyrra-two-counters", [
        (0.99, {"bad": f"sum(increase(stock_imports_failed_total{W}))", "total": f"sum(increase(stock_imports_total{W}))"}),
    ], id="two counters stay PromQL"),
    pytest.param("pyrra-gauge", [
        (0.99, {"good": f"sum(sum_over_time(probe_success{W}))", "total": f"sum(count_over_time(probe_success{W}))"}),
    ], id="Pyrra's gauge of 0 and 1 counts its samples"),
    pytest.param("pyrra-native", [
        (0.99, {"latency": {"histogram": "stock_lookup_seconds", "threshold": 0.2, "native": True, "selector": 'app="stock",code="ok"'}}),
    ], id="Pyrra's native histogram"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "wanted"), TAKEN)
def test_an_example_is_taken_over(name: str, wanted: list[tuple[float, dict[str, Any]]]) -> None:
    (fragment,) = read(name)
    found = [fragment.slo, *fragment.slo.get("also", [])]
    assert [(one["objective"], one["sli"]) for one in found] == wanted
    assert fragment.lost == 0


@pytest.mark.parametrize(
    ("name", "part"),
    [
        pytest.param("sloth-raw", "sli.raw gives a ratio", id="Sloth's raw ratio"),
        pytest.param("sloth-plugin", "makes the query outside of this file", id="a plugin of Sloth"),
        pytest.param("openslo-threshold", "thresholdMetric is a value held against a bound", id="a threshold of OpenSLO"),
        pytest.param("openslo-another-source", "measured by Datalake, and opsloop reads Prometheus", id="another source of OpenSLO"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_over_is_said(name: str, part: str) -> None:
    (fragment,) = read(name)
    assert (fragment.slo, fragment.lost) == ({}, 1)
    assert any(part in text for text in fragment.left), fragment.left


@pytest.mark.parametrize(
    ("name", "part"),
    [
        pytest.param("sloth-answers", "opsloop pages by its own receivers", id="labels of alerts"),
        pytest.param("sloth-silent", "the tiers below page nobody", id="alerts that are switched off"),
        pytest.param("pyrra-grouped", "grouping by route", id="grouping"),
        pytest.param("pyrra-gauge", "is called checkout-seen-from-outside-by-pr here", id="a name that is too long"),
        pytest.param("openslo-calendar", "a calendar's window", id="a calendar"),
        pytest.param("openslo-calendar", "budgetingMethod Timeslices", id="slices of time"),
    ],
)  # fmt: skip
def test_what_is_different_here_is_said(name: str, part: str) -> None:
    assert any(part in text for fragment in read(name) for text in fragment.left)


def test_alerts_that_are_switched_off_page_nobody_here() -> None:
    (fragment,) = read("sloth-silent")
    assert {tier["severity"] for tier in fragment.slo["tiers"]} == {"sev3"}


def test_services_of_one_file_are_releases_of_their_own() -> None:
    assert [fragment.title for fragment in read("sloth-two-services")] == [
        "Sloth, service cart, 30d",
        "Sloth, service cart-eu, 30d",
    ]
    assert len(read("pyrra-two-objects")) == 2


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_taken_over_is_a_right_slo_with_rules(path: Path) -> None:
    """The API server takes it in a Release, the reading finds no mistake, and rules can be written of it."""
    bodies = []
    for fragment in imported(yamls.load_all(path.read_text())):
        if not fragment.slo:
            continue
        assert [problem(one.sli) for one in objectives(Slo.model_validate(fragment.slo))] == [None] * (
            1 + len(fragment.slo.get("also", []))
        )
        body = at("Release", slo=fragment.slo)
        bodies.append(body)
        release = Release.model_validate({**body, "metadata": {"name": "a", "namespace": "b"}})
        assert rules.rule_groups(release, Scope("b", "a", Labels("pod", "namespace")), timedelta(seconds=15))
    try:
        assert validator.ask(bodies).objects == [[] for _ in bodies]
    except validator.NotHere as reason:
        pytest.skip(str(reason))


def sloth(count: int = 1, **slo: Any) -> dict[str, Any]:
    events = {"error_query": "sum(rate(bad_total[{{.window}}]))", "total_query": "sum(rate(all_total[{{.window}}]))"}
    whole = {"objective": 99.9, "sli": {"events": events}, **slo}
    return {
        "version": "prometheus/v1",
        "service": "shop",
        "slos": [{"name": f"slo {n}", **whole} for n in range(count)],
    }


def test_more_than_five_slos_of_a_service_need_another_release() -> None:
    made = imported([sloth(7)])
    assert [1 + len(fragment.slo.get("also", [])) for fragment in made] == [5, 2]
    assert made[1].title.endswith("for another Release")
    assert made[0].slo["name"] == "slo-0"


def test_pages_that_are_switched_off_alone_become_incidents_that_page_nobody() -> None:
    (fragment,) = imported([sloth(alerting={"page_alert": {"disable": True}})])
    assert [tier["severity"] for tier in fragment.slo["tiers"]] == ["sev3"] * 4
    (fragment,) = imported([sloth(alerting={"ticket_alert": {"disable": True}})])
    assert [tier["severity"] for tier in fragment.slo["tiers"]] == ["sev1", "sev2"]


@pytest.mark.parametrize(
    ("documents", "sentence"),
    [
        pytest.param([{"apiVersion": "v1", "kind": "ConfigMap"}], "document 1 has apiVersion 'v1'; known are Sloth", id="another kind"),
        pytest.param(["text"], "document 1 is no mapping", id="no object"),
        pytest.param([{"version": "prometheus/v1", "slos": []}, {"version": "prometheus/v1", "slos": [{}]}], "a field is missing", id="a field is missing"),
        pytest.param([sloth(objective="many")], "'many' is no number", id="an objective in words"),
        pytest.param([sloth(objective=100)], "an objective of 1 is no fraction", id="an objective without a budget"),
    ],
)  # fmt: skip
def test_what_is_no_slo_is_refused(documents: list[Any], sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        imported(documents)


def test_an_sli_beside_the_slo_is_found_by_its_name() -> None:
    metric = {"metricSource": {"type": "Prometheus", "spec": {"query": "hits_total"}}}
    errors = {"metricSource": {"type": "prometheus", "spec": {"query": 'hits_total{code="500"}'}}}
    ratio = {"ratioMetric": {"counter": True, "bad": errors, "total": metric}}
    indicator = {"apiVersion": "openslo/v1", "kind": "SLI", "metadata": {"name": "up"}, "spec": ratio}
    spec = {
        "service": "shop",
        "indicatorRef": "up",
        "timeWindow": [{"duration": "1M"}],
        "objectives": [{"targetPercent": 99.5}],
    }
    slo = {"apiVersion": "openslo/v1", "kind": "SLO", "metadata": {"name": "up"}, "spec": spec}
    (fragment,) = imported([slo, indicator])
    assert fragment.slo == {
        "name": "up", "objective": 0.995, "period": "30d",
        "sli": {"requests": {"counter": "hits_total", "bad": 'code="500"'}},
    }  # fmt: skip
    assert any("1M is taken as 30d" in text for text in fragment.left)
    (fragment,) = imported([slo])
    assert any("indicatorRef 'up' is not in this file" in text for text in fragment.left)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        pytest.param("sum(rate(a[{{.window}}]))", f"sum(increase(a{W}))", id="a rate becomes a count"),
        pytest.param("sum(rate(a[{{ .window }}])) - sum(rate(b[{{ .window }}]))", f"sum(increase(a{W})) - sum(increase(b{W}))", id="both sides"),
        pytest.param('sum(rate(rate{x="rate("}[{{.window}}]))', f'sum(increase(rate{{x="rate("}}{W}))', id="not a name, nor a label"),
        pytest.param("sum(increase(a[{{.window}}]))", f"sum(increase(a{W}))", id="a count stays one"),
        pytest.param("sum(rate(a[{{.window}}])) * 60", f"sum(increase(a{W})) * 60", id="what is scaled is scaled as before"),
    ],
)  # fmt: skip
def test_counts_of_a_query(query: str, wanted: str) -> None:
    assert counters.counted(query) == wanted


@pytest.mark.parametrize(
    ("total", "bad", "good"),
    [
        pytest.param("a", 'b{x="1"}', "", id="another counter"),
        pytest.param('a{y="1"}', 'a{x="1"}', "", id="matchers of all that bad has not"),
        pytest.param("a", "a", "", id="all are bad"),
        pytest.param("a", "", 'a{x="1",y="2"}', id="good by two matchers, whose opposite is no list"),
        pytest.param("a_count", "", 'a_bucket{x="1",le="1"}', id="a bucket of other requests"),
        pytest.param("a_count", "", 'a_bucket{le=~"1|2"}', id="a bucket by a pattern"),
        pytest.param("a_sum", 'a_sum{x="1"}', "", id="a sum is no count"),
    ],
)
def test_what_is_no_form_of_opsloops_stays_promql(total: str, bad: str, good: str) -> None:
    found, why = counters.sli(*(counters.over_window(text) if text else "" for text in (total, bad, good)))
    assert found is not None and "total" in found and not why


def test_percentages_are_not_rounded_by_a_division() -> None:
    assert (fraction(99.9), fraction("99.95 %"), fraction("95")) == (0.999, 0.9995, 0.95)


@pytest.mark.parametrize(("text", "days"), [("4w", 28), ("28d", 28), ("672h", 28), ("1M", 30), ("1Q", 90), ("1Y", 365)])
def test_periods(text: str, days: int) -> None:
    assert period(text)[0] == timedelta(days=days)
