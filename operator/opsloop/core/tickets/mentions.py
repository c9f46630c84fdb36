"""Which services a text mentions: by the words of the house, by their own names, and by what such a thing is called in general.

A word of the house is found in its other forms too, plural, case, and as a part of a compound ("Fahrplanauskunft" of "Fahrplan"). Where two
services claim the same words, the more exact one has them: in "vehicle positions fail" nobody means the map.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from opsloop.core.tickets.features import phrases_of, tokens_of, words_in
from opsloop.core.tickets.words import general_words, own_words_of

ENDINGS = ("ern", "as", "em", "en", "er", "es", "os", "a", "e", "i", "n", "o", "s", "x")  # plurals and cases
SHORTEST = 4  # letters of a word that may have endings
LONGEST = 40  # letters of a word that has forms: what anybody sends may be one word of thousands
COMPOUND = 6  # letters that a part of a compound has at least; the other part has half of it
HARM = frozenset({"fail", "wrong", "lost", "slow", "span"})  # within "error message" nobody means the messages
GENERAL, FORM, EXACT = 1, 2, 3  # how surely a word means a service


@dataclass(frozen=True, slots=True)
class Mention:
    """Where a text means a service: the words as they stand, their places, and how surely they mean it."""

    word: str
    places: frozenset[int]
    sure: int


class Text:
    """One text, searched for the names of services."""

    def __init__(self, text: str) -> None:
        """`text`: a person's own words."""
        tokens = tokens_of(text)
        self._words = words_in(tokens)
        self._places: dict[str, list[int]] = {}
        self._forms: dict[str, list[int]] = {}
        self._parts: dict[str, int] = {}
        harm = _harm_at(tokens)
        self._harm = frozenset(n for n, i in enumerate(i for i, t in enumerate(tokens) if t[0].isalpha()) if i in harm)
        for place, word in enumerate(self._words):
            self._places.setdefault(word, []).append(place)
            self._forms.setdefault(stem(word), []).append(place)
            for part in _parts(word):
                self._parts.setdefault(part, place)

    def mentions(self, services: Mapping[str, Collection[str]]) -> dict[str, Mention]:
        """Service → where it is meant. `services`: each with the words of the house for it."""
        found = {name: m for name, words in services.items() if (m := self._mention(name, tuple(words)))}
        return {name: m for name, m in found.items() if not any(_shadows(other, m) for other in found.values())}

    def names(self, service: str, known_as: Collection[str] = ()) -> str:
        """The word that means this service, "" if none does; the words of the house first."""
        mention = self._mention(service, tuple(known_as))
        return mention.word if mention else ""

    def has(self, words: Collection[str]) -> str:
        """The first of these words that stands in the text, "" if none does."""
        return min((word for word in words if word in self._places), default="")

    def _mention(self, service: str, known_as: tuple[str, ...]) -> Mention | None:
        best: Mention | None = None
        for phrase in _phrases(known_as):
            for mention in self._phrase(phrase):
                if best is None or (mention.sure, len(mention.places)) > (best.sure, len(best.places)):
                    best = mention
        for part in own_words_of(service):
            if best is None and (word := self.has((part, f"{part}s"))):
                best = Mention(word, frozenset(self._places[word]), FORM)
        return best or self._general(general_words(service))

    def _phrase(self, phrase: Sequence[str]) -> Iterator[Mention]:
        """Where it stands, word for word, or with other endings, or as a part of a compound."""
        first, *rest = phrase
        for place in self._forms.get(stem(first), ()):
            words = self._words[place : place + len(phrase)]
            if [stem(word) for word in words[1:]] == [stem(word) for word in rest]:
                sure = EXACT if words == list(phrase) else FORM
                yield Mention(" ".join(words), frozenset(range(place, place + len(phrase))), sure)
        if not rest and (place := self._parts.get(stem(first), -1)) >= 0:
            yield Mention(self._words[place], frozenset({place}), FORM)

    def _general(self, entries: Iterable[str]) -> Mention | None:
        for entry in entries:
            if "_" in entry:
                parts = entry.split("_")
                for place in self._places.get(parts[0], ()):
                    if self._words[place : place + len(parts)] == parts:
                        return Mention(" ".join(parts), frozenset(range(place, place + len(parts))), GENERAL)
            elif entry.endswith("*"):
                fits = (w for w in self._places if w.startswith(entry[:-1]) and self._outside_harm(w))
                if word := min(fits, default=""):
                    return Mention(word, frozenset(self._places[word]), GENERAL)
            elif entry in self._places and self._outside_harm(entry):
                return Mention(entry, frozenset(self._places[entry]), GENERAL)
        return None

    def _outside_harm(self, word: str) -> bool:
        return not self._harm.issuperset(self._places[word])


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """The word without its endings; a short one as it stands."""
    while len(word) <= LONGEST:
        ending = next((e for e in ENDINGS if word.endswith(e) and len(word) - len(e) >= SHORTEST), "")
        if not ending:
            break
        word = word[: -len(ending)]
    return word


def _parts(word: str) -> Iterator[str]:
    """What may be the first or the last part of a compound."""
    whole = stem(word) if len(word) <= LONGEST else ""
    for size in range(COMPOUND, len(whole) - COMPOUND // 2 + 1):
        yield stem(whole[:size])
        yield stem(whole[-size:])


@lru_cache(maxsize=4096)
def _phrases(known_as: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The words of the house, taken apart as texts are."""
    return tuple(filter(None, (tuple(words_in(tokens_of(name))) for name in known_as)))


def _harm_at(tokens: Sequence[str]) -> frozenset[int]:
    """Places of tokens that are parts of phrases for harm."""
    found = [(i, size) for i, size, names in phrases_of(tokens) if HARM.issuperset(names)]
    return frozenset(place for i, size in found for place in range(i, i + size))


def _shadows(one: Mention, other: Mention) -> bool:
    """True if `one` has all words of `other`, and is the more exact of the two."""
    return one.places >= other.places and (len(one.places), one.sure) > (len(other.places), other.sure)
