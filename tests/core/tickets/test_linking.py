"""The Incident that a ticket is about, and the evidence for it."""

import pytest

from e2e.demo.tickets import tickets as demo_tickets
from opsloop.core.facts import QueuedTicket, Ticket
from opsloop.core.intake import parse_ticket
from opsloop.core.tickets.linking import THRESHOLD, Candidate, link, linked_ticket, named_in
from opsloop.core.tickets.triage import triage
from tests.builders.correlation import alert, at, ticket

WRONG = tuple(
    alert(name, "answers") for name in ("ServiceWrongAnswers", "ServiceErrorRatioHigh", "ServiceLatencyP95High")
)


def candidate(
    name: str = "answers-1", alerts: tuple[object, ...] = WRONG, burned: bool = True, **more: object
) -> Candidate:
    root = name.rpartition("-")[0]
    fields: dict[str, object] = {
        "incident": name,
        "root": root,
        "services": frozenset({root}),
        "alerts": alerts,
        "burned": burned,
    }
    fields |= {"onset": at(0), "ended": None, "severity": "sev1"} | more
    return Candidate(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(1, 31))
@pytest.mark.parametrize("seen", [WRONG, ()], ids=["with its alerts", "before any alert"])
def test_one_of_the_demos_six_tickets_is_linked(seed: int, seen: tuple[object, ...]) -> None:
    candidates = [
        candidate(alerts=seen),
        candidate("catalog-1", (alert("CatalogIndexStale", "catalog"),), False, severity="sev4"),
    ]
    for raw in demo_tickets(seed):
        found = parse_ticket(raw, at(20))
        match = link(found, triage(found), candidates)
        assert (match.candidate.incident if match else None) == ("answers-1" if "example" in raw else None), raw[
            "subject"
        ]


TODAY = "Your help answers are wrong since this morning"


@pytest.mark.parametrize(
    ("item", "others", "home"),
    [
        pytest.param(ticket(TODAY), [], "answers-1", id="a plain report without an example"),
        pytest.param(ticket(TODAY, created=-1700), [], "answers-1", id="written before anybody noticed"),
        pytest.param(ticket(TODAY, created=-1900), [], None, id="written too long before"),
        pytest.param(
            ticket("Every page shows errors right now"),
            [],
            "answers-1",
            id="an outage that names no service but happens now",
        ),
        pytest.param(ticket("An item came broken"), [], None, id="time and a word alone are no link"),
        pytest.param(ticket("Last week your answers were wrong"), [], None, id="last week's matter"),
        pytest.param(
            ticket("Wrong charge: refund my answers order, now"), [], None, id="billing, though it has all the words"
        ),
        pytest.param(ticket("How do I ask a question?"), [], None, id="a question about the service"),
        pytest.param(
            ticket("Card payment fails right now"),
            [candidate("payment-1", (alert("HighErrors", "payment"),))],
            "payment-1",
            id="of two incidents the one whose service is meant",
        ),
        pytest.param(
            ticket("The catalog is broken today"),
            [candidate("catalog-1", (alert("Errors", "catalog"),), severity="sev4")],
            None,
            id="an incident that harms nobody explains no complaint",
        ),
    ],
)
def test_which_incident_a_ticket_is_about(item: Ticket, others: list[Candidate], home: str | None) -> None:
    base = [] if home is None and others else [candidate()]
    match = link(item, triage(item), [*base, *others])
    assert (match.candidate.incident if match else None) == home


def test_a_link_has_a_score_above_the_threshold_and_says_why() -> None:
    item = ticket(TODAY)
    match = link(item, triage(item), [candidate(team="helpdesk")])
    assert match is not None and THRESHOLD <= match.score <= 1
    assert {e.name: e.value for e in match.evidence} == {
        "Time": "0 s after the onset",
        "Symptom": "wrong",
        "Service": "“answers” means answers",
        "Present": "the text says that it happens now",
    }
    found = linked_ticket(QueuedTicket(item, triage(item)), match)
    assert (found.category, found.route, found.score) == ("outage", "helpdesk", match.score)


def test_a_ticket_long_after_the_end_is_not_linked() -> None:
    ended, item = candidate(ended=at(60)), ticket(TODAY, created=60 + 1801)
    assert link(item, triage(item), [ended]) is None


@pytest.mark.parametrize(
    ("text", "service", "word"),
    [
        pytest.param("my basket is empty", "cart-api", "basket", id="as people call it"),
        pytest.param("the reviews are gone", "product-reviews", "reviews", id="a part of the name"),
        pytest.param("i made an advance", "ad", "", id="not a piece of another word"),
    ],
)
def test_a_service_is_recognised_by_what_people_call_it(text: str, service: str, word: str) -> None:
    assert named_in(text, service) == word
