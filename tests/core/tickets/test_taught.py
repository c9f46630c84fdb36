"""What corrections teach: words that two tickets agree on, categories up to a cap; what speaks against it, and what is taken back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.reported import Answer, Lesson, Taught
from opsloop.core.tickets import taught
from opsloop.core.tickets.model import judge
from opsloop.errors import Invalid
from tests.builders.correlation import NOW, ticket


def says(number: int, service: str, means: bool = True, words: tuple[str, ...] = ("larder",)) -> Lesson:
    return Lesson(f"id{number}-{service}", f"T-{number}", service, means, words=words)


def corrected(number: int, before: str, after: str) -> Lesson:
    return Lesson(f"id{number}", f"T-{number}", before=before, after=after)


@pytest.mark.parametrize(
    ("lessons", "learnt"),
    [
        pytest.param([says(1, "stock")], {}, id="one ticket may be anything"),
        pytest.param([says(1, "stock"), says(2, "stock")], {"stock": {"larder": 2}}, id="two agree"),
        pytest.param([says(1, "stock"), says(1, "stock")], {}, id="one ticket that was corrected twice is one"),
        pytest.param([says(1, "stock"), says(2, "stock"), says(2, "stock", False)], {}, id="what was taken out again does not count"),
        pytest.param([says(1, "stock"), says(2, "stock"), says(3, "stock", False)], {}, id="another ticket speaks against it"),
        pytest.param([says(1, "stock"), says(2, "stock"), says(3, "cart")], {}, id="a word for two services names neither"),
        pytest.param([*(says(n, "stock") for n in range(5)), says(7, "cart")], {"stock": {"larder": 5}}, id="many against one"),
    ],
)  # fmt: skip
def test_a_word_is_learnt_where_corrections_agree(lessons: list[Lesson], learnt: dict[str, dict[str, int]]) -> None:
    assert taught.learnt_words(taught.with_lessons(Taught(), lessons)) == learnt


def test_words_of_general_language_are_no_names_and_those_of_a_house_are() -> None:
    text = "Since this morning nothing works, please help: the zwirbelix and the trolley on your page are broken"
    assert taught.words_to_learn(ticket(text)) == ("zwirbelix", "trolley")


@pytest.mark.parametrize(
    ("number", "back", "pull"),
    [
        pytest.param(1, 0, None, id="one correction teaches nothing"),
        pytest.param(2, 0, 0.05, id="the second one does"),
        pytest.param(3, 2, None, id="those the other way count against it"),
        pytest.param(40, 0, 0.2, id="never more than the cap"),
    ],
)
def test_corrections_of_a_category_teach_up_to_a_cap(number: int, back: int, pull: float | None) -> None:
    lessons = [corrected(n, "bug", "billing") for n in range(number)]
    lessons += [corrected(100 + n, "billing", "bug") for n in range(back)]
    assert taught.pulls(taught.with_lessons(Taught(), lessons)).get(("bug", "billing")) == (
        pytest.approx(pull) if pull else None
    )


def test_a_category_that_people_choose_wins_where_the_model_doubts_and_not_where_it_is_sure() -> None:
    doubtful, sure = "The invoice page shows a typo", "Nothing works, I cannot order anything right now"
    plain = judge("", doubtful)
    other = "billing" if plain.category != "billing" else "bug"
    pulled = judge("", doubtful, {(plain.category, other): 1.0})  # type: ignore[dict-item]
    assert pulled.category == other and "people corrected" in pulled.because[0]
    assert judge("", sure, {("outage", "question"): taught.MOST_PULL}).category == "outage"


def test_what_was_learnt_is_taken_back_and_must_be_taught_anew() -> None:
    known = taught.with_lessons(
        Taught(), [says(1, "stock"), says(2, "stock"), *(corrected(n, "bug", "billing") for n in (8, 9))]
    )
    without, text = taught.forget(known, "stock larder")
    assert taught.learnt_words(without) == {} and text == "“larder” is no word for stock any more"
    without, _ = taught.forget(without, "bug billing")
    assert taught.pulls(without) == {}
    assert taught.learnt_words(taught.with_lessons(without, [says(3, "stock")])) == {}
    with pytest.raises(Invalid, match="'stock cup' was not learnt; learnt is stock larder, bug billing"):
        taught.forget(known, "stock cup")


WORDS = st.lists(st.sampled_from(["larder", "oven", "till"]), unique=True, max_size=3).map(tuple)
LESSONS = st.lists(
    st.builds(says, st.integers(0, 9), st.sampled_from(["a", "b"]), st.booleans(), WORDS)
    | st.builds(corrected, st.integers(0, 9), st.sampled_from(["bug", "billing"]), st.just("question")),
    max_size=40,
)


@given(LESSONS)
def test_lessons_are_stored_as_they_were_and_the_same_one_twice_is_once(lessons: list[Lesson]) -> None:
    known = taught.with_answers(taught.with_lessons(Taught(), lessons), [Answer("a", NOW, "alice", "T", True, "done")])
    assert taught.load(taught.dump(known)) == known
    assert set(taught.with_lessons(known, known.lessons).lessons) == set(known.lessons)


@pytest.mark.parametrize("data", [{}, {"taught.json": "7"}, {"taught.json": '{"lessons": [[1]], "answers": []}'}])
def test_what_opsloop_did_not_write_is_invalid(data: dict[str, str]) -> None:
    with pytest.raises(Invalid, match=r"data\.taught\.json: not what opsloop was taught"):
        taught.load(data)
