"""Makes `operator/opsloop/core/tickets/weights.json` from the tickets below `tools/triage/tickets`.

    python tools/triage/train.py            fit, write the weights, print how well each voice is judged without it
    python tools/triage/train.py --check    exit 1 if the stored weights are not the ones that the tickets give

Needs numpy (nothing else in the project does): pip install --requirement tools/triage/requirements.txt
"""

import argparse
import base64
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

import numpy as np  # noqa: E402

from opsloop.core.tickets import model as judged  # noqa: E402
from opsloop.core.tickets.features import cues_of_word, features_of, tokens_of, words_in  # noqa: E402
from tools.triage.corpus import Labelled, read  # noqa: E402
from tools.triage.model import Matrix, fit, targets, without  # noqa: E402

PENALTY = 1.0
VOICES = 2  # a feature that fewer trades use says more about them than about the category
CAP = 99.9  # per cent: greater weights are cut to this quantile
FILE = ROOT / "operator/opsloop/core/tickets/weights.json"


def matrix(tickets: Sequence[Labelled]) -> tuple[Matrix, list[str]]:
    """One row per ticket, and the names of the columns."""
    features = [features_of(t.subject, t.body) for t in tickets]
    trades: dict[str, set[str]] = {}
    for ticket, found in zip(tickets, features, strict=True):
        for name in found:
            trades.setdefault(name, set()).add(ticket.trade)
    names = [*sorted(name for name, used in trades.items() if len(used) >= VOICES), "bias"]
    columns = {name: i for i, name in enumerate(names)}
    rows = np.zeros((len(tickets), len(names)))
    rows[:, -1] = 1.0
    for row, found in zip(rows, features, strict=True):
        for name, value in found.items():
            if name in columns:
                row[columns[name]] = value
    return rows, names


def learn(tickets: Sequence[Labelled]) -> tuple[Matrix, list[str], Matrix]:
    """Weights by feature and output, the features, and the scores of each ticket by a model that never saw its trade."""
    rows, names = matrix(tickets)
    known = np.array([t.category != "unknown" for t in tickets])
    category = np.array([judged.CATEGORIES.index(t.category) if t.category != "unknown" else 0 for t in tickets])
    severity = np.array([t.severity - 1 for t in tickets])
    trades = np.unique([t.trade for t in tickets], return_inverse=True)[1]
    scores = np.zeros((len(tickets), len(judged.OUTPUTS)))
    weights = np.zeros((len(names), len(judged.OUTPUTS)))
    first = len(judged.CATEGORIES)
    wanted = np.hstack([targets(category[known], first), targets(severity[known], 4)])
    weights[:, :-1], hat = fit(rows[known], wanted, PENALTY)
    scores[known, :-1] = without(hat, wanted, trades[known])
    scores[~known, :-1] = rows[~known] @ weights[:, :-1]
    wanted = targets((~known).astype(int), 2)[:, 1:]
    weights[:, -1:], hat = fit(rows, wanted, PENALTY)
    scores[:, -1:] = without(hat, wanted, trades)
    return weights, names, scores


def file_of(weights: Matrix, names: Sequence[str]) -> str:
    """The weights as JSON: one line per feature, one byte per output."""
    unit = float(np.percentile(np.abs(weights[:-1]), CAP)) / 127
    unit = max(unit, float(np.abs(weights[-1]).max()) / 127)
    small = np.clip(np.rint(weights / unit), -127, 127).astype(np.int8)
    kept = {name: base64.b64encode(row.tobytes()).decode() for name, row in zip(names, small, strict=True) if row.any()}
    rows = ",\n".join(f"{json.dumps(name)}:{json.dumps(row)}" for name, row in kept.items())
    return f'{{"unit":{unit:.6g},"rows":{{\n{rows}\n}}}}\n'


def verdicts(tickets: Sequence[Labelled], scores: Matrix) -> list[tuple[str, int]]:
    """Category and severity of each ticket by scores of a model that never saw its trade."""
    trades_of: dict[str, set[str]] = {}
    for ticket in tickets:
        for word in words_in(tokens_of(f"{ticket.subject}. {ticket.body}")) if ticket.category != "unknown" else ():
            trades_of.setdefault(word, set()).add(ticket.trade)
    found = []
    for ticket, row in zip(tickets, scores, strict=True):
        words = words_in(tokens_of(f"{ticket.subject}. {ticket.body}"))
        known = sum(bool(trades_of.get(w, set()) - {ticket.trade}) or bool(cues_of_word(w)) for w in words)
        if (
            not words
            or known / len(words) < judged.READABLE
            or row[-1] > judged.NOTHING_SAID
            or row[: len(judged.CATEGORIES)].max() < judged.CLEAR
        ):
            found.append(("unknown", 3))
            continue
        category = judged.CATEGORIES[int(row[: len(judged.CATEGORIES)].argmax())]
        if judged.is_over(category, features_of(ticket.subject, ticket.body)):
            found.append((category, 3))
            continue
        levels = [judged.SEVERITIES.index(s) for s in judged.POSSIBLE[category]]
        found.append((category, max(levels, key=lambda k: row[len(judged.CATEGORIES) + k]) + 1))
    return found


def report(tickets: Sequence[Labelled], scores: Matrix) -> str:
    """Leave-one-trade-out shares, by language. A trade's voices in all languages are left out together."""
    found = verdicts(tickets, scores)
    lines = ["language  tickets  category  severity  within one  unknown found"]
    for language in ("all", *sorted({t.language for t in tickets} - {"un"})):
        pairs = [(t, v) for t, v in zip(tickets, found, strict=True) if language in ("all", t.language)]
        clear = [(t, v) for t, v in pairs if t.category != "unknown"]
        dim = [v for t, v in pairs if t.category == "unknown"]
        shares = [
            np.mean([t.category == v[0] for t, v in clear]),
            np.mean([t.severity == v[1] for t, v in clear]),
            np.mean([abs(t.severity - v[1]) <= 1 for t, v in clear]),
            np.mean([v[0] == "unknown" for v in dim]),
        ]
        lines.append(f"{language:8}  {len(pairs):7}  " + "  ".join(f"{share:8.3f}" for share in shares))
    return "\n".join(lines)


def main() -> int:
    """Writes or checks the weights."""
    parser = argparse.ArgumentParser(description="Train the model that judges tickets.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the stored weights differ")
    arguments = parser.parse_args()
    tickets = read()
    weights, names, scores = learn(tickets)
    made = file_of(weights, names)
    if arguments.check:
        return 0 if _same(made, FILE.read_text(encoding="ascii")) else 1
    FILE.write_text(made, encoding="ascii")
    print(f"{len(tickets)} tickets of {len({t.writer for t in tickets})} voices, {len(made) // 1024} KiB of weights")
    print(report(tickets, scores))
    return 0


def _same(made: str, stored: str) -> bool:
    """Equal up to the last bit of a weight, which depends on the linear algebra library."""
    new, old = (json.loads(text)["rows"] for text in (made, stored))
    rows = [(np.frombuffer(base64.b64decode(new[name]), np.int8), np.frombuffer(base64.b64decode(old[name]), np.int8)) for name in new.keys() & old.keys()]  # fmt: skip
    near = all(np.abs(a.astype(int) - b).max() <= 1 for a, b in rows)
    return near and len(new.keys() ^ old.keys()) <= len(new) // 500


if __name__ == "__main__":
    raise SystemExit(main())
