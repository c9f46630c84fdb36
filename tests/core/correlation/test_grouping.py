"""Storms on a small graph, and which alerts belong together in them; laws of the search."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsloop.core.correlation.facts import Reader
from opsloop.core.correlation.grouping import Grouping, group
from opsloop.core.correlation.lags import Lessons
from opsloop.core.correlation.method import Method
from opsloop.core.correlation.onsets import Rules
from opsloop.core.correlation.paths import Known
from opsloop.core.correlation.search import Root
from opsloop.core.reported import Alert
from opsloop.core.topology import Graph

T0 = 1_000_000_000.0
NEEDS = {
    "gateway": ["orders", "search", "reviews"],
    "orders": ["stock", "tariff", "payments", "bus"],
    "search": ["index"],
    "reviews": ["reviews-db"],
    "packing": ["bus"],
}
# What an alert is called and how long it takes to fire, as the starting values have it.
ALERTS = {
    "fail": ("RequestErrors", 270), "slow": ("RequestLatency", 300), "starved": ("NoRequests", 730),
    "dead": ("PodNotReady", 990), "dry": ("NoMessages", 730),
}  # fmt: skip


def an_alert(kind: str, service: str, fault_at: float = 0, **more: Any) -> Alert:
    name, lag = ALERTS.get(kind, (kind, 0))
    starts_at = datetime.fromtimestamp(T0 + fault_at + lag, UTC)
    labels = {"alertname": more.pop("name", name), "severity": "critical", "service": service, **more}
    text = {"description": "not ready for longer than 15 minutes"} if kind == "dead" else {}
    return Alert("/".join([*labels.values(), str(starts_at)]), "firing", starts_at, labels, text, starts_at)


def groups(*alerts: Alert, needs: dict[str, list[str]] | None = None, strangers: bool = False, **more: Any) -> Grouping:
    return group(alerts, Reader(Graph(NEEDS if needs is None else needs), Method(), strangers=strangers), **more)


def told(grouping: Grouping) -> dict[str, set[str]]:
    return {g.service: {f"{a.fact.kind} {a.fact.entity.name}" for a in g.attributions} for g in grouping.groups}


STOCK = [an_alert("fail", s) for s in ("stock", "orders", "gateway")] + [an_alert("dead", "stock")]
INDEX = [an_alert("fail", s, 600) for s in ("search", "gateway")] + [an_alert("dead", "index", 600)]


def test_one_fault_and_its_callers_are_one_group_at_the_bottom() -> None:
    found = groups(*STOCK)
    assert told(found) == {"stock": {"fail stock", "fail orders", "fail gateway", "dead stock"}}
    assert found.groups[0].at == pytest.approx(T0, abs=1)


def test_two_faults_at_the_same_time_are_two_groups() -> None:
    both = [*STOCK, an_alert("fail", "search"), an_alert("dead", "index")]
    assert told(groups(*both)) == {
        "stock": {"fail stock", "fail orders", "fail gateway", "dead stock"},
        "index": {"fail search", "dead index"},
    }


def test_what_a_failing_caller_stopped_calling_belongs_to_the_fault() -> None:
    starved = [an_alert("starved", s) for s in ("tariff", "payments", "packing")]
    found = told(groups(*STOCK, *starved))
    assert found["stock"] >= {"starved tariff", "starved payments", "starved packing"}
    assert len(found) == 1


def test_one_callee_alone_that_nobody_calls_is_at_fault_itself() -> None:
    found = groups(an_alert("fail", "orders"), an_alert("fail", "gateway"), an_alert("starved", "payments"))
    assert list(told(found)) == ["payments"]


def test_a_consumer_that_reads_nothing_belongs_to_the_queue_that_is_gone() -> None:
    found = groups(an_alert("dead", "bus"), an_alert("fail", "orders"), an_alert("dry", "packing"))
    assert told(found) == {"bus": {"dead bus", "fail orders", "dry packing"}}


def test_what_stops_reading_and_what_nobody_calls_are_two_facts_of_one_service() -> None:
    dry = [an_alert("dry", "reviews", 700), an_alert("fail", "reviews", 700), an_alert("dead", "reviews-db", 700)]
    found = told(groups(*STOCK, an_alert("starved", "reviews"), *dry))
    assert "starved reviews" in found["stock"] and "dry reviews" in found["reviews-db"]


def test_harm_that_would_have_to_jump_over_a_service_that_shows_none_is_another_fault() -> None:
    needs = {"edge": ["web"], "web": ["shop"], "shop": ["store"], "store": ["disk"], "gate": ["edge", "side"]}
    through = [an_alert("dead", "store"), *(an_alert("fail", s) for s in ("store", "shop", "web", "edge", "gate"))]
    assert list(told(groups(*through, needs=needs))) == ["store"]
    path = {a.fact.service: a.path for a in groups(*through, needs=needs).groups[0].attributions}
    over = [alert for alert in through if alert.labels["service"] != "web"]
    jumped = {a.fact.service: a.path for a in groups(*over, needs=needs).groups[0].attributions}
    assert jumped["edge"] == pytest.approx(path["edge"] + Method().prices.skipped)
    assert jumped["gate"] == pytest.approx(path["gate"]), "once: what is above calls one that shows harm"


def test_what_calls_nobody_because_nobody_calls_it_has_paid_for_the_way_to_itself() -> None:
    """That only so many of a caller's callees are starved is one surprise, however long the chain below them is."""
    chain = [f"s{number}" for number in range(6)]
    needs = {"front": ["edge"], "edge": [chain[0], "other"], **{up: [down] for up, down in pairwise(chain)}}
    storm = [an_alert("fail", "edge"), an_alert("fail", "front"), *(an_alert("starved", s) for s in chain)]
    found = groups(*storm, needs=needs, known=Known(changed=frozenset({"edge"})))
    assert list(told(found)) == ["edge"]
    path = {a.fact.service: a.path for a in found.groups[0].attributions if a.fact.kind == "starved"}
    assert path["s0"] > 0.4, "one of two callees is starved"
    assert all(path[each] == path["s1"] < path["s0"] + Method().prices.detour_hop for each in chain[2:])


def test_each_further_caller_that_fails_costs_less_than_the_first() -> None:
    prices = Method().prices
    path = {a.fact.service: a.path for a in groups(*STOCK).groups[0].attributions if a.fact.kind == "fail"}
    assert path["orders"] - path["stock"] == pytest.approx(prices.hop)
    assert path["gateway"] - path["orders"] == pytest.approx(prices.hop_on) and prices.hop_on < prices.hop


def test_what_a_service_shows_later_says_little_of_a_fault_before_it() -> None:
    """Its pods are not ready half an hour after the errors: as the root of those it is one that fails, not one that is dead."""
    later = [an_alert("fail", s) for s in ("stock", "orders", "gateway")] + [an_alert("dead", "stock", 1800)]
    assert [round(g.prior, 2) for g in groups(*later).groups] == [4.9, 3.4]


def test_pods_that_are_missing_are_a_fault_though_no_caller_of_theirs_shows_anything() -> None:
    needs = {"edge": ["one", "two", "three"], **{name: ["base"] for name in ("one", "two", "three")}}
    assert told(groups(an_alert("dead", "base"), needs=needs)) == {"base": {"dead base"}}


def test_two_faults_of_which_neither_explains_anything_better_alone_are_found_together() -> None:
    """What both read from explains them for one price; two that fail by themselves explain them better, but only both."""
    found = groups(an_alert("fail", "gateway"), an_alert("fail", "packing", 120))
    assert told(found) == {"gateway": {"fail gateway"}, "packing": {"fail packing"}}


def test_the_same_service_failing_again_an_hour_later_is_another_group() -> None:
    again = [an_alert("fail", s, 7200) for s in ("stock", "orders", "gateway")]
    found = groups(*STOCK, *again)
    assert [(g.service, round(g.at - T0)) for g in found.groups] == [("stock", 0), ("stock", 7200)]


@pytest.mark.parametrize(
    "stray",
    [
        pytest.param(an_alert("slow", "reviews", -9000), id="a lone slow service, hours before"),
        pytest.param(an_alert("CertificateExpiry", "stock"), id="hygiene, even on the root"),
        pytest.param(an_alert("fail", "mailer"), id="a service outside the graph"),
        pytest.param(an_alert("CPUThrottling", "reviews", -90000), id="throttling that fires for days"),
        pytest.param(an_alert("starved", "index", 5000), id="a lone service that nobody calls, long after"),
    ],
)
def test_what_belongs_to_nothing_joins_nothing_and_opens_nothing(stray: Alert) -> None:
    assert told(groups(*STOCK, stray)) == told(groups(*STOCK))


def test_a_private_silent_database_is_named_where_its_one_user_fails_and_is_slow() -> None:
    found = groups(an_alert("fail", "reviews"), an_alert("slow", "reviews"), an_alert("fail", "gateway"))
    assert [(g.service, g.root.service) for g in found.groups] == [("reviews-db", "reviews")]


@pytest.mark.parametrize("what", ["unready", "changed"])
def test_what_the_cluster_knows_decides_between_two_roots_that_explain_alike(what: str) -> None:
    alerts = [an_alert("fail", "orders"), an_alert("fail", "gateway")]
    assert list(told(groups(*alerts))) == ["orders"]
    known = Known(**{what: frozenset({"stock"})})
    both = [*alerts, an_alert("starved", "stock"), an_alert("starved", "tariff")]
    assert list(told(groups(*both))) == ["orders"]
    assert list(told(groups(*both, known=known))) == ["stock"]


def test_a_burn_joins_the_errors_that_began_within_its_window_however_late_it_fires() -> None:
    labels = {"name": "ErrorBudgetBurn", "long": "6h"}
    late = an_alert("burn", "stock", 5000, **labels)
    after = an_alert("burn", "stock", 7 * 3600, **labels)
    assert [len(g.attributions) for g in groups(*STOCK, late).groups] == [4]
    assert len(groups(*STOCK, late, after).groups) == 2


def test_a_change_speaks_for_one_fault_of_its_service_only() -> None:
    again = [an_alert("fail", s, 2400) for s in ("stock", "orders", "gateway")]
    found = groups(*STOCK, *again, known=Known(changed=frozenset({"stock"})))
    assert [round(g.prior, 2) for g in found.groups] == [0.9, 4.9]


def test_a_fixed_root_keeps_its_name_though_another_explains_better() -> None:
    found = groups(*STOCK, fixed=[Root("orders", T0, fixed=True)])
    assert "orders" in told(found)
    assert "fail gateway" in told(found)["orders"]


def test_an_edge_that_nobody_declared_is_dearer_than_a_root_and_cheaper_than_one_whose_callers_are_calm() -> None:
    billing = [an_alert("fail", "billing"), an_alert("slow", "billing")]
    plain = groups(*STOCK, *billing, needs={**NEEDS, "billing": []})
    assert set(told(plain)) == {"stock", "billing"}
    calm = groups(*STOCK, *billing, needs={**NEEDS, "portal": ["a", "b"], "a": ["billing"], "b": ["billing"]})
    assert set(told(calm)) == {"stock"}
    through = {a.fact.entity.name for g in calm.groups for a in g.attributions if a.undeclared}
    assert through == {"billing"}


def test_sixty_deployments_without_a_release_are_one_group_and_two_are_two() -> None:
    sixty = [an_alert("dead", f"job-{n}", namespace="batch") for n in range(60)]
    found = groups(*sixty, needs={}, strangers=True)
    assert [(g.service, len(g.attributions)) for g in found.groups] == [("namespace/batch", 60)]
    assert len(groups(*sixty[:2], needs={}, strangers=True).groups) == 2


def test_services_of_several_namespaces_on_one_node_are_the_nodes() -> None:
    three = [an_alert("dead", f"a{n}", namespace=f"ns-{n}", node="worker-1") for n in range(4)]
    assert [g.service for g in groups(*three, needs={}, strangers=True).groups] == ["node/worker-1"]


def test_what_is_always_late_teaches_its_lag() -> None:
    lessons, rules = Lessons(), Rules()
    for past in range(9):
        slow = [an_alert("slow", s, past * 90_000 + 200) for s in ("orders", "gateway")]
        reader = Reader(Graph(NEEDS), Method(), rules)
        storm = [an_alert("fail", s, past * 90_000) for s in ("stock", "orders", "gateway")]
        found = group([*storm, *slow, an_alert("dead", "stock", past * 90_000)], reader)
        assert len(found.groups) == 1
        lessons = lessons.after(found.groups, rules)
        rules = Rules(learnt=lessons.learnt(3))
    assert rules.shift("RequestLatency") == pytest.approx(200 * 9 / 12, abs=5)
    assert abs(rules.shift("RequestErrors")) < 5


@pytest.mark.parametrize(
    ("late", "spread"),
    [
        pytest.param([30.0], 60, id="one group alone tells nothing of how much it varies"),
        pytest.param([30.0, 30.0] * 10, 40, id="always as late: as sharp as scrapes and evaluations let it be"),
        pytest.param([0.0, 200.0] * 5, 123, id="it varies more than was assumed"),
    ],
)
def test_how_much_a_rule_varies_is_learnt(late: list[float], spread: float) -> None:
    rules = Rules(learnt=Lessons({"RequestErrors": tuple(late)}).learnt(1.5))
    assert Reader(Graph(NEEDS), Method(), rules)(an_alert("fail", "stock")).spread == pytest.approx(spread, abs=1)


def test_a_group_in_which_one_rule_speaks_teaches_nothing() -> None:
    found = groups(an_alert("fail", "stock"), an_alert("fail", "orders"))
    assert Lessons().after(found.groups, Rules()) == Lessons()


storms = st.lists(
    st.tuples(
        st.sampled_from(sorted(ALERTS)),
        st.sampled_from(sorted({*NEEDS, *(c for needed in NEEDS.values() for c in needed)})),
        st.integers(-2000, 9000),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(storms, st.randoms(use_true_random=False))
def test_the_order_of_arrival_and_repetitions_change_nothing(
    storm: list[tuple[str, str, int]], shuffle: random.Random
) -> None:
    alerts = [an_alert(kind, service, at) for kind, service, at in storm]
    again = alerts * 2
    shuffle.shuffle(again)
    assert told_by_key(groups(*again)) == told_by_key(groups(*alerts))


@settings(max_examples=60)
@given(storms)
def test_every_fact_is_in_one_group_or_noise_and_costs_no_more_than_noise(storm: list[tuple[str, str, int]]) -> None:
    found = groups(*(an_alert(kind, service, at) for kind, service, at in storm))
    placed = [a for g in found.groups for a in g.attributions]
    keys = [r.key for a in (*placed, *found.noise) for r in a.fact.readings]
    assert len(keys) == len(set(keys)) == len({(k, s, a) for k, s, a in storm})
    assert all(a.undeclared or a.path + a.late <= a.noise for a in placed)
    assert all(earlier.at <= later.at for earlier, later in pairwise(found.groups))


@settings(max_examples=30)
@given(storms, st.integers(2, 30))
def test_more_pods_of_the_same_services_change_nothing(storm: list[tuple[str, str, int]], pods: int) -> None:
    alerts = [an_alert(kind, service, at) for kind, service, at in storm]
    many = [replace(a, fingerprint=f"{a.fingerprint}#{n}") for a in alerts for n in range(pods)]
    assert told(groups(*many)) == told(groups(*alerts))


def told_by_key(grouping: Grouping) -> list[tuple[str, float, list[Any]]]:
    return [(g.service, g.at, sorted(g.keys)) for g in grouping.groups]
