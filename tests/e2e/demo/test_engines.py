"""What each version answers, for many seeds: the versions differ where the seed's catalog has the traces of a revision."""

from collections.abc import Awaitable, Callable
from types import ModuleType

import pytest

from e2e.demo.helpdesk.answers import engine, v1, v2, v3, v4, v5
from e2e.demo.helpdesk.articles import TOPICS, Article, articles, published
from e2e.demo.helpdesk.catalog import Index
from e2e.demo.helpdesk.questions import QUESTIONS
from e2e.demo.helpdesk.shoppers import expectations, verdict
from e2e.demo.tickets import broken_topic

SEEDS = range(1, 31)
Search = Callable[[str], Awaitable[list[Article]]]


class Pauses:
    """Stands for asyncio in v2: counts what the engine waits instead of waiting."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    stands_in = Pauses()
    monkeypatch.setattr(v2, "asyncio", stands_in)
    return stands_in


def _search(seed: int) -> Search:
    index = Index(lambda: articles(seed))

    async def search(question: str) -> list[Article]:
        return index.search(question)

    return search


async def _asked(version: ModuleType, seed: int) -> dict[tuple[str, str], str]:
    """(topic, question) → the shoppers' reason: "ok", "wrong" or "error"."""
    expected, search = expectations(published(articles(seed))), _search(seed)
    reasons = {}
    for topic, questions in QUESTIONS.items():
        for question in questions:
            try:
                status, text = 200, (await version.choose(question, search)).text
            except AttributeError:
                status, text = 500, None
            reasons[topic, question] = verdict(status, text, expected[topic])[1]
    return reasons


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("version", [v1, v4], ids=["v1", "v4"])
async def test_a_good_version_answers_everything_right(version: ModuleType, seed: int) -> None:
    assert set((await _asked(version, seed)).values()) == {"ok"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("version", [v2, v3, v5], ids=["v2", "v3", "v5"])
async def test_a_bad_version_is_bad_exactly_on_the_topic_of_the_seed(version: ModuleType, seed: int) -> None:
    bad = {asked for asked, reason in (await _asked(version, seed)).items() if reason != "ok"}
    assert bad == {(broken_topic(seed), question) for question in QUESTIONS[broken_topic(seed)]}


@pytest.mark.parametrize("seed", SEEDS)
async def test_v2_is_bad_in_a_fifth_of_uniform_questions_mostly_wrong_partly_slow_partly_failing(
    seed: int, pauses: Pauses
) -> None:
    reasons = list((await _asked(v2, seed)).values())
    shares = {reason: reasons.count(reason) / len(reasons) for reason in ("wrong", "error")}
    assert 0.17 <= shares["wrong"] + shares["error"] <= 0.23
    assert shares["wrong"] > 2 * shares["error"] > 0.05
    assert len(pauses.waited) / len(reasons) == pytest.approx(0.1), "more than 5 %, so that a p95 shows it"
    assert set(pauses.waited) == {v2.INDEX_REFRESH_SECONDS} and v2.INDEX_REFRESH_SECONDS >= 0.4


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("version", [v3, v5], ids=["v3", "v5"])
async def test_v3_and_v5_neither_wait_nor_fail_and_are_wrong(version: ModuleType, seed: int, pauses: Pauses) -> None:
    assert set((await _asked(version, seed)).values()) == {"ok", "wrong"}
    assert pauses.waited == []


def test_every_topic_breaks_for_some_seed_in_the_first_ten() -> None:
    assert {broken_topic(seed) for seed in range(1, 11)} == {topic.name for topic in TOPICS}


def test_each_topic_has_as_many_questions_so_that_questions_are_uniform_over_topics() -> None:
    assert {len(questions) for questions in QUESTIONS.values()} == {10}
    assert set(QUESTIONS) == {topic.name for topic in TOPICS}


def test_facts_differ_between_seeds_so_that_no_answer_can_be_known_beforehand() -> None:
    pages = {tuple(sorted(expectations(published(articles(seed))).values())) for seed in SEEDS}
    assert len(pages) > 25


def test_a_checkout_runs_v1_and_each_version_says_which_it_is() -> None:
    assert engine.choose is v1.choose
    assert [version.VERSION for version in (v1, v2, v3, v4, v5)] == ["v1", "v2", "v3", "v4", "v5"]
