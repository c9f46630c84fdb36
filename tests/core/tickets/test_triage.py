"""Triage of tickets as users write them: category, severity, route, and why."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsloop.api.reported import TicketExample
from opsloop.core.tickets.features import cues_of, tokens_of
from opsloop.core.tickets.model import CATEGORIES, POSSIBLE, weights
from opsloop.core.tickets.triage import triage
from tests.builders.correlation import ticket


@pytest.mark.parametrize(
    ("text", "category", "severity"),
    [
        pytest.param("Nothing works, I cannot order anything right now", "outage", "sev1", id="cannot do it at all"),
        pytest.param("Every second payment fails since this morning", "outage", "sev2", id="fails sometimes"),
        pytest.param("Your answers are wrong today", "outage", "sev2", id="a wrong answer is a failure, though nothing is down"),
        pytest.param("Pages take 40 seconds, but it did get there in the end", "performance", "sev2", id="slow, yet it works"),
        pytest.param("Last week I could not pay for an hour, it is fine now", "outage", "sev3", id="over already"),
        pytest.param("There is a typo in the menu, it has been there for months", "bug", "sev3", id="a standing defect"),
        pytest.param("I was charged twice for order A1, please refund", "billing", "sev3", id="money of one person"),
        pytest.param("I forgot my password", "account", "sev3", id="one person's account"),
        pytest.param("I see somebody else's name and address in my order history", "account", "sev1", id="other people's data"),
        pytest.param("Do you ship to Norway? How long does it take?", "question", "sev4", id="a question"),
        pytest.param("It would be lovely to have a dark mode", "feature_request", "sev4", id="a wish"),
        pytest.param("Seit heute früh kommen nur falsche Antworten", "outage", "sev2", id="German"),
        pytest.param("Plus rien ne marche, impossible de commander", "outage", "sev1", id="French"),
        pytest.param("La página va lentísima desde esta mañana", "performance", "sev2", id="Spanish"),
        pytest.param("anwsers wrng, app brokn", "outage", "sev1", id="letters left out, and the greater harm of two"),
        pytest.param("Nothing is broken, no errors, I only wanted to say thank you", "question", "sev4", id="negation"),
        pytest.param("Kein Problem mehr, alles in Ordnung, danke", "question", "sev4", id="negation in German"),
        pytest.param("", "unknown", "sev3", id="an empty text"),
        pytest.param("今朝から回答が間違っています", "unknown", "sev3", id="another script"),
        pytest.param("Неправильные ответы с утра", "unknown", "sev3", id="a third script"),
        pytest.param("xkqj wvzz pfft mmrb", "unknown", "sev3", id="gibberish"),
        pytest.param("screenshot attached", "unknown", "sev3", id="nothing said"),
    ],
)  # fmt: skip
def test_category_and_severity_are_judged_from_the_text_alone(text: str, category: str, severity: str) -> None:
    found = triage(ticket(text))
    assert (found.category, found.severity) == (category, severity), found.because


@pytest.mark.parametrize(
    ("text", "team", "route"),
    [
        pytest.param("Your answers are wrong today", "", "on-call", id="harm goes to who is on call"),
        pytest.param("Your answers are wrong today", "helpdesk", "helpdesk", id="or to the team that owns the release"),
        pytest.param("I was charged twice", "", "billing", id="money goes to billing"),
        pytest.param(
            "I see somebody else's orders and address", "", "on-call", id="other people's data wait for nobody"
        ),
        pytest.param("今朝から", "", "support", id="what nobody could read goes to people"),
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


def test_an_auto_reply_is_nobodys_complaint() -> None:
    found = triage(ticket("Automatic reply: Wrong answers", "I am out of the office and cannot help."))
    assert (found.category, found.severity) == ("unknown", "sev4") and "auto-reply" in found.because


def test_a_judgement_says_its_strongest_terms() -> None:
    assert triage(ticket("Every payment fails")).because.startswith("a word for “fail” +")


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        pytest.param("nothing is broken", "n:fail", id="English, before"),
        pytest.param("I can't use it", "n:can", id="English, contracted"),
        pytest.param("das geht nicht", "n:works", id="German, afterwards"),
        pytest.param("kein Fehler", "n:fail", id="German, before"),
        pytest.param("rien ne marche", "n:works", id="French"),
        pytest.param("no funciona", "n:works", id="Spanish"),
        pytest.param("nothing but errors", "k:fail", id="nothing but is no negation"),
        pytest.param("It is not new. Broken again", "k:fail", id="not beyond the end of the sentence"),
    ],
)
def test_negation(text: str, cue: str) -> None:
    assert cue in cues_of(tokens_of(text))


def test_no_single_feature_decides() -> None:
    model = weights()
    assert max(abs(byte - 256 if byte > 127 else byte) for row in model.rows.values() for byte in row) <= 127
    assert {len(row) for row in model.rows.values()} == {len(CATEGORIES) + 5}


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_gets_one_of_the_possible_judgements(subject: str, body: str) -> None:
    found = triage(ticket(subject, body))
    assert found.severity in (*POSSIBLE[found.category], "sev4") and found.route
