"""Triage of tickets as users write them: category, severity, route."""

import pytest

from opsloop.api.incident import TicketExample
from opsloop.core.tickets.triage import triage
from tests.builders.correlation import ticket


@pytest.mark.parametrize(
    ("text", "category", "severity"),
    [
        pytest.param("Nothing works, I cannot order anything right now", "outage", "sev1", id="cannot do it at all"),
        pytest.param("Every second payment fails since this morning", "outage", "sev2", id="fails sometimes"),
        pytest.param(
            "Your answers are wrong today", "outage", "sev2", id="a wrong answer is a failure, though nothing is down"
        ),
        pytest.param(
            "Pages take 40 seconds, but it did get there in the end", "performance", "sev2", id="slow, yet it works"
        ),
        pytest.param("First a long wait, then an error", "outage", "sev2", id="slow and then an error is an outage"),
        pytest.param("Last week I could not pay for an hour, it is fine now", "outage", "sev3", id="over already"),
        pytest.param("Typo in the cart, has been there for months", "bug", "sev3", id="a standing defect"),
        pytest.param("I was charged twice for order A1, please refund", "billing", "sev3", id="money of one person"),
        pytest.param("I forgot my password", "account", "sev3", id="one person's account"),
        pytest.param(
            "I see somebody else's name and address in my order history", "account", "sev1", id="other people's data"
        ),
        pytest.param("Do you ship to Norway? How long does it take?", "question", "sev4", id="a question"),
        pytest.param("It would be lovely to have a dark mode", "feature_request", "sev4", id="a wish"),
        pytest.param("", "question", "sev4", id="a text that says nothing harms nobody"),
    ],
)
def test_category_and_severity_are_judged_from_the_text_alone(text: str, category: str, severity: str) -> None:
    found = triage(ticket(text))
    assert (found.category, found.severity) == (category, severity)


@pytest.mark.parametrize(
    ("text", "team", "route"),
    [
        pytest.param("Your answers are wrong today", "", "on-call", id="harm goes to who is on call"),
        pytest.param("Your answers are wrong today", "helpdesk", "helpdesk", id="or to the team that owns the release"),
        pytest.param("I was charged twice", "", "billing", id="money goes to billing"),
    ],
)
def test_route(text: str, team: str, route: str) -> None:
    assert triage(ticket(text), team).route == route


def test_quotations_do_not_decide_on_the_category() -> None:
    example = TicketExample(
        asked="When is a refund paid?", got="Your invoice is in my account", expected="Within 30 days"
    )
    text = 'I asked "When is a refund paid?" and was told "Your invoice is in my account", which is wrong since today'
    assert triage(ticket("Wrong answer", text, example=example)).category == "outage"
