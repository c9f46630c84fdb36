"""Which service a text means, where several could be meant."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.tickets.features import tokens_of, words_in
from opsloop.core.tickets.mentions import EXACT, FORM, Text, stem

HOUSE = {
    "fleetpos": ("vehicle positions", "Fahrzeugpositionen"),
    "map-tiles": (),
    "timetable": ("Fahrplan", "horaires"),
    "chat": (),
    "giftcards": ("cartes cadeaux",),
    "cart": (),
    "login-gateway": (),
    "erx": ("Rezepte", "ordonnances"),
}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        pytest.param("vehicle positions are wrong", {"fleetpos"}, id="words of the house shadow a general word within them"),
        pytest.param("positions are wrong", {"map-tiles"}, id="alone the general word counts"),
        pytest.param("Die Fahrplanauskunft geht nicht", {"timetable"}, id="a part of a compound"),
        pytest.param("Alle Fahrpläne sind weg", {"timetable"}, id="a plural with an umlaut"),
        pytest.param("l'horaire ne s'affiche plus", {"timetable"}, id="the singular of what the house has in the plural"),
        pytest.param("carte cadeau refusée", {"giftcards"}, id="a phrase with other endings, and no card or cart in it"),
        pytest.param("j'ai un message d'erreur", set(), id="within an error message nobody means the messages"),
        pytest.param("my message did not arrive", {"chat"}, id="a message is one"),
        pytest.param("the page is broken", set(), id="a login gateway is no page"),
        pytest.param("ordonnance introuvable", {"erx"}, id="French singular"),
        pytest.param("I ate a cake", set(), id="nothing"),
    ],
)  # fmt: skip
def test_who_is_meant(text: str, means: set[str]) -> None:
    assert set(Text(text).mentions(HOUSE)) == means


def test_how_surely_a_word_means_a_service() -> None:
    assert Text("der Fahrplan fehlt").mentions(HOUSE)["timetable"].sure == EXACT
    assert Text("die Fahrpläne fehlen").mentions(HOUSE)["timetable"].sure == FORM


@pytest.mark.parametrize(
    ("word", "same"),
    [("fahrplan", "fahrplane"), ("horarios", "horario"), ("cadeaux", "cadeau"), ("points", "point"), ("nota", "notas")],
)
def test_forms_of_a_word_have_one_stem(word: str, same: str) -> None:
    assert stem(word)[:5] == stem(same)[:5] and len(stem(word)) >= 4


def test_a_word_of_thousands_of_letters_costs_little() -> None:
    began = time.process_time()
    assert set(Text("seas" * 900 + " and the Fahrplan").mentions(HOUSE)) == {"timetable"}
    assert time.process_time() - began < 0.2


@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from(["Fahrplan", "vehicle", "positions", "error", "message", "cart"])).map(" ".join)
)
def test_what_is_mentioned_stands_in_the_text(text: str) -> None:
    words = words_in(tokens_of(text))
    for mention in Text(text).mentions(HOUSE).values():
        assert set(mention.word.split()) <= set(words) and all(0 <= place < len(words) for place in mention.places)
