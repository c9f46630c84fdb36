"""The learnt linear model of tickets: weights that ship as data, made by `tools/triage/train.py`.

A score is a sum over the features of a text, each with a capped weight, so that no single word decides, and the terms are the
reason. Categories and severities are judged side by side; which severities a category can have is its definition.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from opsloop.api.meta import Severity
from opsloop.core.reported import Category
from opsloop.core.tickets.features import cues_of_word, features_of, tokens_of, words_in
from opsloop.core.tickets.languages import foreign

CATEGORIES: tuple[Category, ...] = ("outage", "performance", "bug", "billing", "account", "question", "feature_request")
SEVERITIES: tuple[Severity, ...] = ("sev1", "sev2", "sev3", "sev4")
OUTPUTS = (*CATEGORIES, *SEVERITIES, "unknown")
# By the definitions: sev4 is no harm; one person's matter is sev3, unless other people's data or money are touched
POSSIBLE: Mapping[Category, tuple[Severity, ...]] = {
    "outage": ("sev1", "sev2", "sev3"),
    "performance": ("sev2", "sev3"),
    "bug": ("sev1", "sev3"),
    "billing": ("sev1", "sev3"),
    "account": ("sev1", "sev3"),
    "question": ("sev4",),
    "feature_request": ("sev4",),
    "unknown": ("sev3",),  # nobody knows whether it harms: a person reads it
}
# Chosen on the training tickets, each judged by a model without its trade
READABLE = 0.25  # share of the words that the model must know
NOTHING_SAID = 0.4  # score of "unknown" from which on a text may say nothing that could be judged
CLEAR = 0.25  # score that the best category needs
_BIAS = "bias"
_SPOKEN = {"h:harm": "harm is told", "h:denied": "harm is denied", "h:none": "no harm is told", "s:asks": "a question mark", "s:ends asking": "it ends with a question", "s:shouts": "an exclamation mark", "s:no question": "no question mark"}  # fmt: skip


Pulls = Mapping[tuple[Category, Category], float]
"""(judged, meant) → what people's corrections add to the score of the meant category."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Category and severity of a text, and why: the strongest features for the category over its best rival."""

    category: Category
    severity: Severity
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """`rows`: feature → one byte per output, from -127 to 127 (two's complement), each `unit` of a score."""

    rows: Mapping[str, bytes]
    unit: float

    def scores(self, features: Mapping[str, float]) -> dict[str, float]:
        """Score of each output."""
        sums = [0.0] * len(OUTPUTS)
        for name, value in features.items():
            if row := self.rows.get(name):
                for i, byte in enumerate(row):
                    sums[i] += value * (byte - 256 if byte > 127 else byte)
        return {output: total * self.unit for output, total in zip(OUTPUTS, sums, strict=True)}

    def weight(self, feature: str, output: str) -> float:
        """The weight of one feature for one output."""
        byte = self.rows[feature][OUTPUTS.index(output)] if feature in self.rows else 0
        return (byte - 256 if byte > 127 else byte) * self.unit


@lru_cache(maxsize=1)
def weights() -> Weights:
    """The weights that ship with the package."""
    content = json.loads(files("opsloop.core.tickets").joinpath("weights.json").read_text(encoding="ascii"))
    return Weights({name: base64.b64decode(row) for name, row in content["rows"].items()}, content["unit"])


def judge(subject: str, body: str, pulls: Pulls | None = None) -> Judgement:
    """The judgement on a person's own words; `unknown` where the model cannot read them. `pulls`: of the house."""
    model = weights()
    features = features_of(subject, body)
    return verdict(f"{subject}. {body}", features, model.scores(features | {_BIAS: 1.0}), model, pulls or {})


def verdict(
    text: str, features: Mapping[str, float], scores: Mapping[str, float], model: Weights, pulls: Pulls
) -> Judgement:
    """What follows from the scores. `model`: which words it knows, and why it says so."""
    if language := foreign(text):
        return Judgement("unknown", "sev3", (f"it is not in English, German, French or Spanish, but {language}",))
    known = readable(text, model)
    if known < READABLE:
        why = f"only {known:.0%} of the words are known" if known else "no word that the model knows"
        return Judgement("unknown", "sev3", (why,))
    ranked = sorted(CATEGORIES, key=lambda c: -scores[c])
    category, rival = ranked[0], ranked[1]
    if scores["unknown"] > max(NOTHING_SAID, scores[category]):
        return Judgement("unknown", "sev3", ("it says nothing that could be judged",))
    if scores[category] < CLEAR:
        return Judgement("unknown", "sev3", (f"as much {category} as {rival}: neither is clear",))
    pulled = max(ranked[1:], key=lambda c: scores[c] + pulls.get((category, c), 0.0))
    pull = pulls.get((category, pulled), 0.0)
    if scores[pulled] + pull > scores[category]:
        why = f"nearly as much {pulled} as {category}, and people corrected {category} to {pulled} here (+{pull:.2f})"
        return Judgement(pulled, severity_of(pulled, scores), (why,))
    severity: Severity = "sev3" if is_over(category, features) else severity_of(category, scores)
    terms = {
        name: value * (model.weight(name, category) - model.weight(name, rival)) for name, value in features.items()
    }
    best = sorted((name for name in terms if terms[name] > 0), key=lambda n: -terms[n])
    return Judgement(category, severity, tuple(f"{_spoken(name)} {terms[name]:+.2f}" for name in best[:4]))


def severity_of(category: Category, scores: Mapping[str, float]) -> Severity:
    """Of the severities that the category can have the one from which the text's is the least far: they are an order, not names."""
    shares = [max(0.0, scores[severity]) for severity in SEVERITIES]
    at = SEVERITIES.index

    def distance(severity: Severity) -> float:
        return sum(share * abs(at(severity) - n) for n, share in enumerate(shares))

    return min(POSSIBLE[category], key=lambda severity: (distance(severity), -scores[severity]))


def is_over(category: Category, features: Mapping[str, float]) -> bool:
    """True of harm that the text puts into the past *and* calls ended: by the definitions that is sev3, whatever it was."""
    return category in ("outage", "performance") and "k:past" in features and "k:over" in features


def readable(text: str, model: Weights) -> float:
    """Share of the words that the model knows; letters of other scripts count as unknown words, one for five."""
    words = words_in(tokens_of(text))
    foreign_letters = sum(c.isalpha() and not _is_latin(c) for c in text) / 5
    known = sum(f"w:{word}" in model.rows or bool(cues_of_word(word)) for word in words)
    return known / (len(words) + foreign_letters) if words else 0.0


def _is_latin(letter: str) -> bool:
    return ord(letter) < 0x250 or 0x1E00 <= ord(letter) < 0x1F00


def _spoken(feature: str) -> str:
    family, _, name = feature.partition(":")
    if family == "x":
        return " with ".join(_spoken(cue) for cue in name.split(" "))
    if family == "b":
        return f"{_spoken(name) if ':' in name else f'“{name}”'} at the beginning"
    words = {"k": f"a word for “{name}”", "n": f"“{name}”, negated", "w": f"“{name}”", "p": f"“{name}”", "c": f"letters “{name.strip('_')}”"}  # fmt: skip
    return words.get(family, _SPOKEN.get(feature, name))
