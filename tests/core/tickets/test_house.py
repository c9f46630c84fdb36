"""Categories of the house: its own names, routes, severities and words, each like one of opsloop's."""

import pytest

from opsloop.core.reported import HouseWords, OwnCategory
from opsloop.core.tickets.linking import HARM
from opsloop.core.tickets.triage import triage
from tests.builders.correlation import ticket

TWICE = "I was charged twice for order A1, please refund"
REFUND = OwnCategory("billing", "refunds", ("sev4",), ("refund", "money back"))


@pytest.mark.parametrize(
    ("text", "categories", "expected"),
    [
        pytest.param(TWICE, {}, ("billing", "sev3", "billing"), id="none of its own: as opsloop judges"),
        pytest.param(TWICE, {"refund": REFUND}, ("refund", "sev4", "refunds"), id="one of its words stands in the ticket"),
        pytest.param(
            TWICE, {"money": OwnCategory("billing")}, ("money", "sev3", "billing"), id="renamed: all that it is like"
        ),
        pytest.param(
            TWICE,
            {"money": OwnCategory("billing"), "refund": REFUND},
            ("refund", "sev4", "refunds"),
            id="those with words come first",
        ),
        pytest.param(
            TWICE,
            {"chargeback": OwnCategory("billing", words=("chargeback",))},
            ("billing", "sev3", "billing"),
            id="no word of it",
        ),
        pytest.param(
            "Nothing works, I cannot order anything right now, I want a refund",
            {"refund": REFUND},
            ("outage", "sev1", "on-call"),
            id="a word alone does not make an outage a matter of money",
        ),
        pytest.param(
            "Nothing works, I cannot order anything right now",
            {"outage": OwnCategory("outage", "crew", ("sev2", "sev3"))},
            ("outage", "sev2", "crew"),
            id="one of opsloop's own names, with fewer severities",
        ),
    ],
)  # fmt: skip
def test_a_ticket_is_judged_in_the_categories_of_the_house(
    text: str, categories: dict[str, OwnCategory], expected: tuple[str, str, str]
) -> None:
    found = triage(ticket(text), house=HouseWords(categories=categories))
    assert (found.called, found.severity, found.route) == expected, found.because


def test_a_category_of_the_house_is_treated_as_the_one_that_it_is_like() -> None:
    found = triage(
        ticket("Nothing works, I cannot order"), house=HouseWords(categories={"stoppage": OwnCategory("outage")})
    )
    assert found.called == "stoppage" and found.category in HARM


def test_the_word_of_the_house_is_in_the_reason() -> None:
    assert (
        "“refund” is a word for refund"
        in triage(ticket(TWICE), house=HouseWords(categories={"refund": REFUND})).because
    )
