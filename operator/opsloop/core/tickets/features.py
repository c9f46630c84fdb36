"""What the model sees of a text: cues with their negation, words, pairs of words, and the letters within words.

Each feature has a weight of its own in every class and nothing else, so that a judgement is a sum and its greatest terms are the
reason. Values of one family are scaled to length 1: a long mail weighs as much as a short one.
"""

import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from opsloop.core.tickets.lexicon import BREAKS, CUES, NEGATORS, NEGATORS_AFTER, NOT_NEGATIONS

LONGEST = 4000  # characters of a text that are judged: people say what it is about first
SCOPE = 5  # words after a negator that it turns into their opposite
SCOPE_BEFORE = 3  # words before it, where the language says "geht nicht"
GRAMS = (3, 4, 5)  # letters
LONGEST_PHRASE = 5
MOST_PAIRS = 60  # of cues: a long text has many

_TOKEN = re.compile(r"[a-z]+|\d+(?:[.:,]\d+)*|[?!.;:,\n]+|[€$£%]")
_LINK = re.compile(r"\b(?:https?://|www\.)\S+|\b[\w.+-]+@[\w-]+\.[\w.-]+")
_ELISION = re.compile(r"\b(l|d|j|n|s|c|m|t|qu|jusqu)'", re.IGNORECASE)
_TEXTING = re.compile(r"\b2(?=day|night|nite|morrow)")  # "2day"
_END = frozenset(".;!?\n:")
Phrases = dict[tuple[str, ...], tuple[str, ...]]  # words → cues
PhraseStems = dict[
    tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]
]  # words before the last → beginnings of the last, with cues
_VOWEL = re.compile(r"[aeiouy]+")


@lru_cache(maxsize=1024)
def fold(text: str) -> str:
    """Lower case without accents; signs that mean the same are one."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'").replace("ß", "ss")).lower()
    return "".join(c for c in text if not unicodedata.combining(c))


def tokens_of(text: str) -> list[str]:
    """Words, numbers as "0" (an HTTP status stays), and signs."""
    text = _TEXTING.sub("to", fold(_LINK.sub(" link ", text[:LONGEST])))
    text = _ELISION.sub(r"\1 ", text).replace("cannot", "can not")
    text = re.sub(r"\bcan'?t\b", "can not", re.sub(r"\bwon'?t\b", "will not", text))
    text = re.sub(r"\b(do|does|did|is|are|was|were|could|would|should|has|have|had)n'?t\b", r"\1 not", text)
    found = _TOKEN.findall(text)
    return [_number(t) if t[0].isdigit() else t[0] if not t[0].isalpha() else t for t in found]


def words_in(tokens: Iterable[str]) -> list[str]:
    """The tokens that are words."""
    return [t for t in tokens if t[0].isalpha()]


def features_of(subject: str, body: str) -> dict[str, float]:
    """Feature → value above 0. Families: `k:` cue, `n:` its opposite, `x:` two cues, `b:` beginning of a sentence, `h:` harm, `w:` word,
    `p:` pair, `c:` letters, `s:` shape."""
    tokens = [*tokens_of(subject), "\n", *tokens_of(body)] if subject.strip() else tokens_of(body)
    words = words_in(tokens)
    places = placed_cues(tokens)
    cues = Counter(name for _, name in places)
    letters = Counter(gram for word in words for gram in _grams(word))
    pairs = [f"p:{a} {b}" for a, b in itertools.pairwise(tokens) if a not in "\n" and b not in "\n"]
    families: list[tuple[float, Mapping[str, float]]] = [
        (1.6, {name: 1.0 + 0.5 * math.log(n) for name, n in cues.items()}),
        (1.0, {f"w:{word}": 1.0 + math.log(n) for word, n in Counter(t for t in tokens if t not in _END and t != ",").items()}),
        (0.7, dict.fromkeys(pairs, 1.0)),
        (1.0, {name: 1.0 + math.log(n) for name, n in letters.items()}),
        (0.5, _shape(tokens, words)),
        (0.5, _together(cues)),
        (0.7, _beginnings(tokens, places)),
        (0.5, _harm(cues)),
    ]  # fmt: skip
    found: dict[str, float] = {}
    for weight, values in families:
        norm = math.sqrt(sum(v * v for v in values.values())) or 1.0
        found |= {name: weight * value / norm for name, value in values.items()}
    return found


def cues_of(tokens: Sequence[str]) -> list[str]:
    """`k:CUE` for each cue of the text, `n:CUE` where it is negated."""
    return [name for _, name in placed_cues(tokens)]


def placed_cues(tokens: Sequence[str]) -> list[tuple[int, str]]:
    """The cues with the places of their first tokens."""
    negated = _negated(tokens)
    found: list[tuple[int, str]] = []
    covered = 0  # words before this place are part of a phrase: they may begin another one, and are no cue alone
    for i, token in enumerate(tokens):
        names, length = _phrase_at(tokens, i)
        if names:
            covered = max(covered, i + length)
        elif i >= covered:
            names = cues_of_word(token)
        found += [(i, f"{'n' if negated[i] else 'k'}:{name}") for name in names]
    return found


def phrases_of(tokens: Sequence[str]) -> list[tuple[int, int, tuple[str, ...]]]:
    """(place, number of words, cues) of each phrase of the text that is a cue."""
    found = ((i, *_phrase_at(tokens, i)) for i in range(len(tokens)))
    return [(i, length, names) for i, names, length in found if names]


def _phrase_at(tokens: Sequence[str], i: int) -> tuple[tuple[str, ...], int]:
    """Cues of the longest phrase that begins here, with its number of words."""
    for length in range(min(LONGEST_PHRASE, len(tokens) - i), 1, -1):
        *first, last = tokens[i : i + length]
        if names := _PHRASES.get((*first, last)):
            return names, length
        for stem, names in _PHRASE_STEMS.get(tuple(first), ()):
            if last.startswith(stem):
                return names, length
    return (), 0


@lru_cache(maxsize=8192)
def cues_of_word(word: str) -> tuple[str, ...]:
    """Cues of one word: as it stands, by its beginning, or with its vowels left out ("wrng")."""
    names = set(_WORDS.get(word, ()))
    for length in range(3, len(word) + 1):
        names.update(_STEMS.get(word[:length], ()))
    if not names and len(word) >= 4 and (bare := _bare(word)) in _BARE and 3 * len(_VOWEL.findall(word)) < len(word):
        names.update(_BARE[bare])
    return tuple(sorted(names))


def _negated(tokens: Sequence[str]) -> list[bool]:
    marks = [False] * len(tokens)
    for i, token in enumerate(tokens):
        if token not in NEGATORS or " ".join(tokens[i : i + 2]) in NOT_NEGATIONS:
            continue
        for j in range(i + 1, min(len(tokens), i + 1 + SCOPE)):
            if tokens[j][0] in ".;!?\n:," or tokens[j] in BREAKS:
                break
            marks[j] = True
        if token in NEGATORS_AFTER:
            for j in range(i - 1, max(-1, i - 1 - SCOPE_BEFORE), -1):
                if tokens[j] in _END or tokens[j] in BREAKS or tokens[j] == ",":
                    break
                marks[j] = marks[j] or _is_verb_cue(tokens[j])
    return marks


def _is_verb_cue(word: str) -> bool:
    names = cues_of_word(word)
    return "works" in names or "can" in names


def _together(cues: Mapping[str, int]) -> dict[str, float]:
    """Cues that one text has in common: "fails" and "today" are an outage, "fails" and "always" a defect."""
    both = itertools.islice(itertools.combinations(sorted(cues), 2), MOST_PAIRS)
    return {f"x:{a} {b}": 1.0 for a, b in both}


def _beginnings(tokens: Sequence[str], places: Sequence[tuple[int, str]]) -> dict[str, float]:
    """The first word of each sentence, and its cues: there questions and wishes say what they are."""
    starts = {
        i for i, t in enumerate(tokens) if t[0].isalpha() and (i == 0 or tokens[i - 1] in _END or tokens[i - 1] == ",")
    }
    return {f"b:{tokens[i]}": 1.0 for i in starts} | {f"b:{name}": 1.0 for i, name in places if i in starts}


def _harm(cues: Mapping[str, int]) -> dict[str, float]:
    """Whether the text speaks of harm at all, when everything that it denies is taken out."""
    harmed = (
        any(f"k:{name}" in cues for name in ("fail", "wrong", "lost", "slow", "others"))
        or "n:works" in cues
        or "n:can" in cues
    )
    denied = any(f"n:{name}" in cues for name in ("fail", "wrong", "lost", "slow"))
    return {"h:harm" if harmed else "h:denied" if denied else "h:none": 1.0}


def _shape(tokens: Sequence[str], words: Sequence[str]) -> dict[str, float]:
    signs = [t for t in tokens if t in ("?", "!")]
    shape = {
        "s:asks": float("?" in signs),
        "s:ends asking": float(next((t for t in reversed(tokens) if t not in ".\n,"), "") == "?"),
        "s:shouts": float("!" in signs),
        "s:no question": float("?" not in signs),
        "s:one word": float(len(words) <= 2),
        "s:one word asked": float(len(words) <= 2 and "?" in signs),
        "s:short": float(2 < len(words) <= 8),
        "s:long": float(len(words) > 25),
    }
    return {name: value for name, value in shape.items() if value}


def _grams(word: str) -> Iterable[str]:
    padded = f"_{word}_"
    for n in GRAMS:
        for i in range(len(padded) - n + 1):
            yield f"c:{padded[i : i + n]}"


def _number(text: str) -> str:
    return text if re.fullmatch(r"[45]\d\d", text) else "0"


def _bare(word: str) -> str:
    return word[0] + re.sub(r"[aeiouy]", "", word[1:])


def _parts(entry: str) -> tuple[str, ...]:
    """The words of a phrase as texts have them: "can't" is "can not" there."""
    return tuple(tokens_of(entry.rstrip("*").replace("_", " ")))


def _table() -> tuple[Phrases, PhraseStems, dict[str, set[str]], dict[str, set[str]], dict[str, set[str]]]:
    phrases: dict[tuple[str, ...], set[str]] = {}
    endings: dict[tuple[str, ...], dict[str, set[str]]] = {}
    words: dict[str, set[str]] = {}
    stems: dict[str, set[str]] = {}
    bare: dict[str, set[str]] = {}
    for cue, entry in ((cue, entry) for cue, entries in CUES.items() for entry in entries):
        parts = _parts(entry)
        if len(parts) > 1 and entry.endswith("*"):
            endings.setdefault(parts[:-1], {}).setdefault(parts[-1], set()).add(cue)
        elif len(parts) > 1:
            phrases.setdefault(parts, set()).add(cue)
        elif entry.endswith("*"):
            stems.setdefault(entry[:-1], set()).add(cue)
        else:
            words.setdefault(parts[0], set()).add(cue)
        if len(parts) == 1 and len(_bare(entry.rstrip("*"))) >= 4:
            bare.setdefault(_bare(entry.rstrip("*")), set()).add(cue)
    return (
        {k: tuple(sorted(v)) for k, v in phrases.items()},
        {k: tuple((stem, tuple(sorted(names))) for stem, names in sorted(v.items())) for k, v in endings.items()},
        words,
        stems,
        bare,
    )


_PHRASES, _PHRASE_STEMS, _WORDS, _STEMS, _BARE = _table()
