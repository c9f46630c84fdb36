"""Which texts are in a language that the model did not learn."""

import time

import pytest

from opsloop.core.tickets.languages import foreign
from opsloop.core.tickets.triage import triage
from tests.builders.correlation import ticket
from tools.triage.corpus import read


@pytest.mark.parametrize(
    ("text", "language"),
    [
        pytest.param("Sinds vanochtend kunnen wij niet meer bestellen en het duurt maar", "Dutch", id="Dutch"),
        pytest.param("Non riesco a pagare con la carta, sono due ore che provo", "Italian", id="Italian"),
        pytest.param("Não consigo entrar, já tentei com o meu telefone também", "Portuguese", id="Portuguese"),
        pytest.param("Jag kan inte logga in och det är inte bara jag", "Swedish", id="Swedish"),
        pytest.param("Nie mogę zapłacić, proszę o pomoc", "Polish", id="Polish"),
        pytest.param("Từ sáng nay tôi không thể đặt hàng được", "another language", id="one of which only the letters are known"),
        pytest.param("Mr Dvořák and Ms Łukasiewicz cannot pay by card since this morning", "", id="names in an English text"),
        pytest.param("No funciona nada desde esta mañana, no se puede pagar", "", id="Spanish, though Italian and Portuguese are near"),
        pytest.param("Der Kunde war in Oslo og Bergen og kan nicht zahlen", "", id="a few strange words in a German text"),
        pytest.param("", "", id="nothing"),
    ],
)  # fmt: skip
def test_the_language_is_told_by_its_function_words(text: str, language: str) -> None:
    assert foreign(text) == language


def test_no_ticket_of_the_four_languages_is_taken_for_another() -> None:
    taken = [(t.language, t.body) for t in read() if t.language != "un" and foreign(f"{t.subject}. {t.body}")]
    assert not taken


def test_what_is_written_in_another_language_is_unknown_and_says_which() -> None:
    found = triage(ticket("Il sito", "Da stamattina non riesco a pagare, sono due ore che provo"))
    assert found.category == "unknown" and "Italian" in found.because


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "since this morning nothing works and we cannot order. " * 2_000, id="a hundred kilobytes of complaints"
        ),
        pytest.param("a" * 100_000, id="one word of a hundred kilobytes"),
        pytest.param("no " * 30_000, id="nothing but a negation"),
        pytest.param("n't can't won't d' l' qu' " * 4_000, id="apostrophes"),
        pytest.param("?!.,;:\n" * 15_000, id="signs"),
        pytest.param("ạ̈̈̈̈" * 10_000, id="marks on marks"),
        pytest.param("€1.2.3.4,5,6:7:8 " * 6_000, id="numbers"),
    ],
)
def test_long_and_odd_texts_stay_quick(text: str) -> None:
    before = time.process_time()
    triage(ticket(text[:500], text))
    assert time.process_time() - before < 1.0
