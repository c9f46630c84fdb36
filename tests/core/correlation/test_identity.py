"""Which Incident a group is when alerts are grouped anew."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from opsloop.core.correlation.facts import Reader
from opsloop.core.correlation.grouping import Group, Grouping, group
from opsloop.core.correlation.identity import Held, Settled, fixed_roots, settle
from opsloop.core.correlation.method import Method
from opsloop.core.reported import Alert
from opsloop.core.topology import Graph

NEEDS = {"gateway": ["orders", "search"], "orders": ["stock", "tariff"], "search": ["index"]}
LAGS = {"RequestErrors": 270, "PodNotReady": 990, "NoRequests": 730}
T0 = 1_000_000_000


def an_alert(name: str, service: str, fault_at: int = 0) -> Alert:
    starts_at = datetime.fromtimestamp(T0 + fault_at + LAGS[name], UTC)
    text = {"description": "for longer than 15 minutes"}
    labels = {"alertname": name, "service": service, "severity": "critical"}
    return Alert(f"{name}/{service}/{fault_at}", "firing", starts_at, labels, text, starts_at)


class Desk:
    """Incidents as they follow from each other."""

    def __init__(self) -> None:
        self.settled = Settled({}, {}, ())
        self.opened: list[str] = []
        self.alerts: list[Alert] = []

    def name(self, group: Group) -> str:
        self.opened.append(f"{group.service}-{len(self.opened) + 1}")
        return self.opened[-1]

    def hears(self, *alerts: Alert) -> Settled:
        self.alerts += alerts
        self.settled = settle(self.grouping(), self.settled.incidents, self.name)
        return self.settled

    def grouping(self) -> Grouping:
        held = self.settled.incidents.values()
        return group(self.alerts, Reader(Graph(NEEDS), Method()), fixed=fixed_roots(held))

    def freeze(self, name: str) -> None:
        frozen = {**self.settled.incidents, name: replace(self.settled.incidents[name], frozen=True)}
        self.settled = replace(self.settled, incidents=frozen)


ORDERS, GATEWAY = an_alert("RequestErrors", "orders"), an_alert("RequestErrors", "gateway")
STOCK_DEAD = an_alert("PodNotReady", "stock")


def test_an_incident_keeps_its_name_when_pods_tell_later_what_was_at_fault() -> None:
    desk = Desk()
    desk.hears(ORDERS, GATEWAY)
    after = desk.hears(STOCK_DEAD, an_alert("RequestErrors", "stock"))
    assert desk.opened == ["orders-1"]
    assert after.incidents["orders-1"].root == "stock"
    assert after.moves == ()


def test_after_the_page_the_root_stays_and_what_another_fault_explains_leaves_with_its_origin() -> None:
    desk = Desk()
    desk.hears(ORDERS, GATEWAY)
    desk.freeze("orders-1")
    after = desk.hears(STOCK_DEAD, an_alert("RequestErrors", "stock"))
    assert after.incidents["orders-1"].root == "orders"
    assert after.incidents["orders-1"].frozen
    assert [h.root for name, h in after.incidents.items() if name != "orders-1"] == ["stock"]


def test_a_frozen_incident_that_explains_nothing_any_more_stays_and_is_renamed_by_nobody() -> None:
    desk = Desk()
    desk.settled = Settled({"tariff-1": Held("tariff-1", "tariff", T0, frozenset(), frozen=True)}, {}, ())
    after = desk.hears(*(an_alert("RequestErrors", s) for s in ("search", "gateway")))
    assert after.incidents["tariff-1"].root == "tariff" and not after.incidents["tariff-1"].merged_into
    assert sum(h.root == "search" for h in after.incidents.values()) == 1


def test_an_incident_whose_facts_all_went_to_another_is_merged_into_it() -> None:
    held = {
        "gateway-1": Held("gateway-1", "gateway", T0, frozenset({(GATEWAY.fingerprint, T0 + 270.0)})),
        "orders-1": Held("orders-1", "orders", T0, frozenset({(ORDERS.fingerprint, T0 + 270.0)})),
    }
    found = group([ORDERS, GATEWAY], Reader(Graph(NEEDS), Method()))
    after = settle(found, held, lambda group: f"{group.service}-9")
    assert after.incidents["gateway-1"].merged_into == "orders-1"
    assert [(m.before, m.after) for m in after.moves] == [("gateway-1", "orders-1")]
    assert set(after.groups) == {"orders-1"}


def test_a_second_fault_far_away_is_a_second_incident_and_moves_nothing() -> None:
    desk = Desk()
    desk.hears(ORDERS, GATEWAY)
    later = [an_alert("RequestErrors", "search", 3000), an_alert("PodNotReady", "index", 3000)]
    after = desk.hears(*later)
    assert after.moves == () and len(after.groups) == 2 and desk.opened[0] in after.groups


steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(LAGS)),
        st.sampled_from(["gateway", "orders", "search", "stock", "tariff", "index"]),
        st.integers(0, 4000),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=60)
@given(steps)
def test_each_alert_is_in_one_incident_at_most_and_no_frozen_root_ever_changes(
    storm: list[tuple[str, str, int, bool]],
) -> None:
    desk, frozen = Desk(), dict[str, str]()
    for name, service, at, freeze in storm:
        after = desk.hears(an_alert(name, service, at))
        for incident, root in frozen.items():
            assert after.incidents[incident].root == root and not after.incidents[incident].merged_into
        keys = [key for h in after.incidents.values() if h.name in after.groups for key in h.keys]
        assert len(keys) == len(set(keys))
        assert len({h.name for h in after.incidents.values()}) == len(after.incidents)
        if freeze and after.groups:
            chosen = min(after.groups)
            desk.freeze(chosen)
            frozen[chosen] = after.incidents[chosen].root
