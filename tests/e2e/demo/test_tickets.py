"""The users' tickets: one is about the fault and its example is what the engines say, five are about something else."""

import pytest

from e2e.demo.helpdesk.answers import v1, v2, v3
from e2e.demo.helpdesk.articles import Article, articles
from e2e.demo.helpdesk.catalog import Index
from e2e.demo.helpdesk.questions import QUESTIONS
from e2e.demo.tickets import UNRELATED, broken_topic, linked_ticket, tickets
from e2e.demo.wording import LINKED

SEEDS = range(1, 31)


@pytest.mark.parametrize("seed", SEEDS)
def test_six_tickets_of_which_exactly_one_has_an_example_about_the_broken_topic(seed: int) -> None:
    written = tickets(seed)
    assert len(written) == 6
    assert [ticket["example"] for ticket in written if "example" in ticket] == [linked_ticket(seed)["example"]]
    assert linked_ticket(seed)["example"]["asked"] in QUESTIONS[broken_topic(seed)]
    for ticket in written:
        assert {"id", "subject", "body", "channel", "reporter"} <= ticket.keys()
        assert all(ticket.values()) and "{" not in ticket["body"] + ticket["subject"]


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_example_agrees_with_what_the_versions_answer(seed: int) -> None:
    index = Index(lambda: articles(seed))

    async def search(question: str) -> list[Article]:
        return index.search(question)

    example = linked_ticket(seed)["example"]
    answers = {version.VERSION: (await version.choose(example["asked"], search)).text for version in (v1, v2, v3)}
    assert answers == {"v1": example["expected"], "v2": example["got"], "v3": example["got"]}
    assert example["expected"] != example["got"]


def test_tickets_of_a_seed_are_the_same_each_time() -> None:
    assert tickets(7) == tickets(7)


def test_no_text_of_twenty_seeds_is_ever_repeated() -> None:
    bodies = [ticket["body"] for seed in range(1, 21) for ticket in tickets(seed)]
    assert len(set(bodies)) == len(bodies) == 120


def test_every_kind_of_ticket_has_at_least_six_phrasings_and_the_seeds_use_them_all() -> None:
    assert all(len({core for _, core in kind}) >= 6 for kind in (LINKED, *UNRELATED))
    subjects = {ticket["subject"].split(" ")[0] for seed in SEEDS for ticket in tickets(seed)}
    assert subjects == {subject.split(" ")[0] for kind in (LINKED, *UNRELATED) for subject, _ in kind}


def test_the_place_of_the_linked_ticket_differs_between_seeds() -> None:
    assert {tickets(seed).index(linked_ticket(seed)) for seed in SEEDS} == set(range(6))
