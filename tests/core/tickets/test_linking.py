"""The Incident that a ticket is about, and the evidence for it."""

from dataclasses import replace
from typing import Any

import pytest

from e2e.demo.tickets import tickets as demo_tickets
from opsloop.core.reported import Candidate, QueuedTicket, Ticket
from opsloop.core.tickets.arriving import parse_ticket
from opsloop.core.tickets.linking import (
    FAILING,
    FURTHER,
    LEARNT,
    ONE_HOP,
    ROOT,
    SLOW,
    STARVED,
    THRESHOLD,
    link,
    linked_ticket,
)
from opsloop.core.tickets.mentions import Text
from opsloop.core.tickets.triage import triage
from tests.builders.correlation import at, ticket


def candidate(root: str = "answers", **more: Any) -> Candidate:
    fields: dict[str, Any] = {
        "incident": f"{root}-1",
        "root": root,
        "affected": {root: ROOT},
        "symptoms": frozenset({FAILING}),
        "onset": at(0),
        "ended": None,
        "severity": "sev1",
    }
    return Candidate(**fields | more)


def home_of(item: Ticket, *candidates: Candidate) -> str | None:
    match = link(item, triage(item), candidates)
    return match.candidate.incident if match else None


@pytest.mark.parametrize("seed", range(1, 31))
@pytest.mark.parametrize("symptoms", [{FAILING, SLOW}, {FAILING}], ids=["with its alerts", "by its burn alone"])
def test_one_of_the_demos_six_tickets_is_linked(seed: int, symptoms: set[str]) -> None:
    candidates = [candidate(symptoms=frozenset(symptoms)), candidate("catalog", severity="sev4")]
    for raw in demo_tickets(seed):
        found = parse_ticket(raw, at(20))
        assert home_of(found, *candidates) == ("answers-1" if "example" in raw else None), raw["subject"]


def test_a_learnt_word_counts_less_than_one_that_somebody_wrote_down() -> None:
    item = ticket("The zwirbelix shows nothing at all")
    fits: dict[str, Any] = {"affected": {"answers": ROOT}, "symptoms": frozenset()}
    written = link(item, triage(item), [candidate(known_as={"answers": ["zwirbelix"]}, **fits)])
    learnt = link(item, triage(item), [candidate(learnt={"answers": {"zwirbelix": 3}}, **fits)])
    assert written and learnt and round(written.total - learnt.total, 2) == round((1 - LEARNT) * ROOT, 2)
    assert learnt.evidence[0].value == "“zwirbelix” means answers, as people corrected 3 tickets (+1.20)"


APART = {"elsewhere": frozenset({"payment", "search"}), "reached": {"checkout": FURTHER}}
GREAT = candidate("cart", affected={"cart": ROOT} | {f"x{n}": FURTHER for n in range(9)}, **APART)
ENTRY = replace(GREAT, entry=True)

TODAY = "Your help answers are wrong since this morning"
SITE = candidate("frontend", affected={"frontend": ROOT, "cart": ONE_HOP, "ad": ONE_HOP, "search": FURTHER})


@pytest.mark.parametrize(
    ("item", "candidates", "home"),
    [
        pytest.param(ticket(TODAY), [candidate()], "answers-1", id="a plain report without an example"),
        pytest.param(ticket(TODAY, created=-230), [candidate()], "answers-1", id="written before anybody noticed"),
        pytest.param(ticket(TODAY, created=-250), [candidate()], None, id="written too long before"),
        pytest.param(ticket(TODAY, created=3 * 3600), [candidate()], "answers-1", id="three hours later"),
        pytest.param(ticket(TODAY, created=3 * 3600 + 1), [candidate()], None, id="more than three hours later"),
        pytest.param(ticket(TODAY, created=1860), [candidate(ended=at(61))], "answers-1", id="soon after the end"),
        pytest.param(ticket(TODAY, created=1870), [candidate(ended=at(61))], None, id="long after the end"),
        pytest.param(
            ticket("Nothing works, errors everywhere"), [SITE], "frontend-1", id="an outage with no service named, and a great incident"
        ),
        pytest.param(
            ticket("It always ends with an error"), [candidate()], None, id="a common symptom and a small incident are no link"
        ),
        pytest.param(
            ticket("It is extremely slow"), [candidate(symptoms=frozenset({SLOW}))], "answers-1", id="slowness is rarer: it is one"
        ),
        pytest.param(ticket("Last week your answers were wrong. It has been fine since then."), [candidate()], None, id="last week's matter"),
        pytest.param(ticket("You charged my answers plan twice, please refund"), [candidate()], None, id="billing"),
        pytest.param(ticket("How do I ask a question?"), [candidate()], None, id="a question about the service"),
        pytest.param(ticket("今朝から回答が間違っています"), [candidate()], None, id="what cannot be read goes to people"),
        pytest.param(
            ticket("Paying by card fails right now"), [candidate(), candidate("payment")], "payment-1",
            id="of two incidents the one whose service is meant",
        ),
        pytest.param(
            ticket("Paying by card fails right now"),
            [candidate("cart", affected={"cart": ROOT, "payment": STARVED}), candidate("payment")],
            "payment-1",
            id="the root rather than what it starves",
        ),
        pytest.param(
            ticket("The catalog is broken today"), [candidate("catalog", severity="sev4")], None,
            id="an incident that harms nobody explains no complaint",
        ),
        pytest.param(
            ticket("Der Warenkorb ist kaputt, nichts geht"), [candidate(), candidate("cart")], "cart-1", id="named in German"
        ),
        pytest.param(
            ticket("Every payment fails right now"), [GREAT], None, id="a service that the incident does not affect, however great it is"
        ),
        pytest.param(
            ticket("The checkout is broken since an hour"), [GREAT], "cart-1", id="a service that needs the root, of which no alert tells"
        ),
        pytest.param(
            ticket("The cart is broken", created=3 * 3600 - 60), [GREAT], "cart-1", id="who names what is harmed means it in the third hour too"
        ),
        pytest.param(ticket("Everything is broken, only errors", created=2700), [ENTRY], "cart-1", id="everything, of what users enter by"),
        pytest.param(ticket("An error appears", created=2700), [ENTRY], None, id="an error of anything, late"),
        pytest.param(
            ticket("The larder is broken since this morning"),
            [candidate("x1", known_as={"x1": ("the larder",)}), candidate("x2")],
            "x1-1",
            id="a word of the house",
        ),
    ],
)  # fmt: skip
def test_which_incident_a_ticket_is_about(item: Ticket, candidates: list[Candidate], home: str | None) -> None:
    assert home_of(item, *candidates) == home
    assert home_of(item, *reversed(candidates)) == home


def test_a_link_has_a_score_from_one_half_on_and_says_why_in_one_unit() -> None:
    item = ticket(TODAY, created=360)
    match = link(item, triage(item), [candidate(team="helpdesk")])
    assert match is not None and match.total >= THRESHOLD and 0.5 <= match.score <= 1
    assert {e.name: e.value for e in match.evidence} == {
        "Service": "“answers” means answers (+2.00)",
        "Symptom": "failing (+0.30)",
        "Size": "1 affected services (+0.17)",
        "Time": "360 s after the onset (-0.10)",
    }
    found = linked_ticket(QueuedTicket(item, triage(item)), match)
    assert (found.category, found.route, found.score) == ("outage", "helpdesk", match.score)
    assert found.evidence[-1].name == "Triage" and "wrong" in found.evidence[-1].value


@pytest.mark.parametrize(
    ("text", "service", "word"),
    [
        pytest.param("my basket is empty", "cart-api", "basket", id="as people call it"),
        pytest.param("mein Warenkorb ist leer", "cart-api", "warenkorb", id="in German"),
        pytest.param("the reviews are gone", "product-reviews", "reviews", id="a part of the name"),
        pytest.param("i made an advance", "ad", "", id="not a piece of another word"),
        pytest.param("the service is down", "quote-service", "", id="what it is made of says nothing"),
    ],
)
def test_a_service_is_recognised_by_what_people_call_it(text: str, service: str, word: str) -> None:
    assert Text(text).names(service) == word


def test_words_of_the_house_come_first_and_may_be_phrases() -> None:
    assert Text("Where did my Shopping-List go").names("cart", ("shopping list",)) == "shopping list"
