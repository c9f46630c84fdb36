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
from opsloop.core.tickets.features import cues_of_word, features_of, tokens_of

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
READABLE = 0.4  # share of the words that the model must know
NOTHING_SAID = 0.4  # score of "unknown" above which a text says nothing that could be judged
CLEAR = 0.35  # score that the best category needs; both chosen on the training tickets, each judged by a model without its trade
_BIAS = "bias"


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
    known = readable(subject, body)
    if known < READABLE:
        why = "no word" if not known else f"only {known:.0%} of the words are known"
        return Judgement("unknown", "sev3", (why if known else "no word that the model knows",))
    model = weights()
    features = features_of(subject, body) | {_BIAS: 1.0}
    scores = model.scores(features)
    if scores["unknown"] > NOTHING_SAID:
        return Judgement("unknown", "sev3", ("it says nothing that could be judged",))
    ranked = sorted(CATEGORIES, key=lambda c: -scores[c])
    category, rival = ranked[0], ranked[1]
    if scores[category] < CLEAR:
        return Judgement("unknown", "sev3", (f"as much {category} as {rival}: neither is clear",))
    pulled = max(ranked[1:], key=lambda c: scores[c] + (pulls or {}).get((category, c), 0.0))
    pull = (pulls or {}).get((category, pulled), 0.0)
    if scores[pulled] + pull > scores[category]:
        why = f"nearly as much {pulled} as {category}, and people corrected {category} to {pulled} here (+{pull:.2f})"
        return Judgement(pulled, max(POSSIBLE[pulled], key=lambda s: scores[s]), (why,))
    severity: Severity = "sev3" if is_over(category, features) else max(POSSIBLE[category], key=lambda s: scores[s])
    terms = {
        name: value * (model.weight(name, category) - model.weight(name, rival)) for name, value in features.items()
    }
    best = sorted((name for name in terms if terms[name] > 0 and name != _BIAS), key=lambda n: -terms[n])
    return Judgement(category, severity, tuple(f"{_spoken(name)} {terms[name]:+.2f}" for name in best[:4]))


def is_over(category: Category, features: Mapping[str, float]) -> bool:
    """True of harm that the text puts into the past *and* calls ended: by the definitions that is sev3, whatever it was."""
    return category in ("outage", "performance") and "k:past" in features and "k:over" in features


def readable(subject: str, body: str) -> float:
    """Share of the words that the model knows; letters of other scripts count as unknown words, one for five."""
    model = weights()
    tokens = tokens_of(f"{subject}. {body}")
    words = [t for t in tokens if t[0].isalpha()]
    foreign = sum(c.isalpha() and not _is_latin(c) for c in subject + body) / 5
    known = sum(f"w:{word}" in model.rows or bool(cues_of_word(word)) for word in words)
    return known / (len(words) + foreign) if words else 0.0


def _is_latin(letter: str) -> bool:
    return ord(letter) < 0x250 or 0x1E00 <= ord(letter) < 0x1F00


def _spoken(feature: str) -> str:
    family, _, name = feature.partition(":")
    words = {"k": f"a word for “{name}”", "n": f"“{name}”, negated", "w": f"“{name}”", "p": f"“{name}”", "c": f"letters “{name.strip('_')}”"}  # fmt: skip
    return words.get(family, name)
