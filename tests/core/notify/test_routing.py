"""Who hears of what."""

import pytest

from opsloop.core.notify.routing import Route, Routing, Subject

PAYMENTS = Route(("payments-pager",), teams=("payments",), severities=("sev1", "sev2"))
SHOP = Route(("shop-chat",), namespaces=("shop", "team-*"), goes_on=True)
LEAST = Route(("chat",), severities=("sev3",))
TOLD = Route(("deploys",), kind="Release", reasons=("Rejected",))
ROUTING = Routing((SHOP, PAYMENTS, LEAST, TOLD), default=("oncall",))


@pytest.mark.parametrize(
    ("subject", "receivers"),
    [
        pytest.param(Subject("billing", team="payments", severity="sev1"), ("payments-pager",), id="by team and severity"),
        pytest.param(Subject("billing", team="payments", severity="sev4"), ("oncall",), id="both must fit, else the default hears"),
        pytest.param(Subject("shop", team="payments", severity="sev2"), ("shop-chat", "payments-pager"), id="a route that goes on lets a later one in"),
        pytest.param(Subject("shop", severity="sev1"), ("shop-chat",), id="and is enough by itself"),
        pytest.param(Subject("team-a", severity="sev3"), ("shop-chat", "chat"), id="a namespace by its pattern"),
        pytest.param(Subject("elsewhere", severity="sev1"), ("oncall",), id="what fits no route goes to the default"),
        pytest.param(Subject("shop", "Release", reason="Rejected"), ("deploys",), id="a Release goes where a route asks for Releases"),
        pytest.param(Subject("shop", "Release", reason="Promoted"), (), id="and nowhere else"),
        pytest.param(Subject("shop", "Incident", reason="Rejected", severity="sev1"), ("shop-chat",), id="an Incident never by a route of Releases"),
    ],
)  # fmt: skip
def test_receivers(subject: Subject, receivers: tuple[str, ...]) -> None:
    assert ROUTING.receivers_of(subject) == receivers


def test_each_receiver_is_named_once() -> None:
    twice = Routing((Route(("a", "b"), goes_on=True), Route(("b", "c"))))
    assert twice.receivers_of(Subject("shop")) == ("a", "b", "c")


def test_without_a_word_of_anybody_there_is_one_pager() -> None:
    assert Routing().receivers_of(Subject("shop", severity="sev1")) == ("pager",)
