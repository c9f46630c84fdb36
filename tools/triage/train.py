"""Makes `operator/opsloop/core/tickets/weights.json` from the tickets below `tools/triage/tickets`.

    python tools/triage/train.py            fit, write the weights, print how well each voice is judged without it
    python tools/triage/train.py --check    exit 1 if the stored weights are not, byte for byte, the ones that the tickets give
    python tools/triage/train.py --held-out FOLDER    print how the stored weights judge other tickets

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
from opsloop.core.tickets.features import features_of  # noqa: E402
from tools.triage.corpus import Labelled, fingerprint, read  # noqa: E402
from tools.triage.model import Matrix, fit, targets, without  # noqa: E402

PENALTY = 1.0
VOICES = 2  # a feature that fewer trades use says more about them than about the category
OF_LETTERS = 4  # the same of letters within words, of which there are many
CAP = 99.9  # per cent: greater weights are cut to this quantile
FILE = ROOT / "operator/opsloop/core/tickets/weights.json"


def matrix(tickets: Sequence[Labelled]) -> tuple[Matrix, list[str]]:
    """One row per ticket, and the names of the columns."""
    features = [features_of(t.subject, t.body) for t in tickets]
    trades: dict[str, set[str]] = {}
    for ticket, found in zip(tickets, features, strict=True):
        for name in found:
            trades.setdefault(name, set()).add(ticket.trade)
    names = [*sorted(name for name, used in trades.items() if len(used) >= _enough(name)), "bias"]
    columns = {name: i for i, name in enumerate(names)}
    rows = np.zeros((len(tickets), len(names)))
    rows[:, -1] = 1.0
    for row, found in zip(rows, features, strict=True):
        for name, value in found.items():
            if name in columns:
                row[columns[name]] = value
    return rows, names


def _enough(feature: str) -> int:
    return OF_LETTERS if feature.startswith("c:") else VOICES


def learn(tickets: Sequence[Labelled], groups: Matrix | None = None) -> tuple[Matrix, list[str], Matrix]:
    """Weights by feature and output, the features, and the scores of each ticket by a model that never saw its group (trade)."""
    rows, names = matrix(tickets)
    known = np.array([t.category != "unknown" for t in tickets])
    category = np.array([judged.CATEGORIES.index(t.category) if t.category != "unknown" else 0 for t in tickets])
    severity = np.array([t.severity - 1 for t in tickets])
    trades = np.unique([t.trade for t in tickets], return_inverse=True)[1] if groups is None else groups
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


def file_of(weights: Matrix, names: Sequence[str], learnt_from: str) -> str:
    """The weights as JSON: what they were learnt from, then one line per feature, one byte per output."""
    unit = float(np.percentile(np.abs(weights[:-1]), CAP)) / 127
    unit = max(unit, float(np.abs(weights[-1]).max()) / 127)
    small = np.clip(np.rint(weights / unit), -127, 127).astype(np.int8)
    kept = {name: base64.b64encode(row.tobytes()).decode() for name, row in zip(names, small, strict=True) if row.any()}
    rows = ",\n".join(f"{json.dumps(name)}:{json.dumps(row)}" for name, row in kept.items())
    return f'{{"learntFrom":"{learnt_from}","unit":{unit:.6g},"rows":{{\n{rows}\n}}}}\n'


def verdicts(tickets: Sequence[Labelled], scores: Matrix) -> list[tuple[str, int]]:
    """Category and severity of each ticket by scores of a model that never saw its trade, nor knows words of it alone."""
    features = [features_of(t.subject, t.body) for t in tickets]
    trades_of: dict[str, set[str]] = {}
    for ticket, row in zip(tickets, features, strict=True):
        for name in row:
            trades_of.setdefault(name, set()).add(ticket.trade)
    found = []
    for ticket, row, sums in zip(tickets, features, scores, strict=True):
        known = {
            name: bytes(len(judged.OUTPUTS)) for name in row if len(trades_of[name] - {ticket.trade}) >= _enough(name)
        }
        said = judged.verdict(
            f"{ticket.subject}. {ticket.body}",
            row,
            dict(zip(judged.OUTPUTS, sums, strict=True)),
            judged.Weights(known, 0.0),
            {},
        )
        found.append((said.category, int(said.severity[-1])))
    return found


def report(tickets: Sequence[Labelled], found: Sequence[tuple[str, int]]) -> str:
    """Shares of right judgements, by language; `unknown` counts as wrong where it is not."""
    lines = ["language  tickets  category  severity  within one  unknown found"]
    for language in ("all", *sorted({t.language for t in tickets if t.category != "unknown"})):
        pairs = [(t, v) for t, v in zip(tickets, found, strict=True) if language in ("all", t.language)]
        clear = [(t, v) for t, v in pairs if t.category != "unknown"]
        dim = [v for t, v in pairs if t.category == "unknown"]
        shares = [
            np.mean([t.category == v[0] for t, v in clear]),
            np.mean([t.severity == v[1] for t, v in clear]),
            np.mean([abs(t.severity - v[1]) <= 1 for t, v in clear]),
            np.mean([v[0] == "unknown" for v in dim]) if dim else np.nan,
        ]
        lines.append(f"{language:8}  {len(pairs):7}  " + "  ".join(f"{share:8.3f}" for share in shares))
    return "\n".join(lines)


def main() -> int:
    """Writes or checks the weights."""
    parser = argparse.ArgumentParser(description="Train the model that judges tickets.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the stored weights differ")
    parser.add_argument(
        "--held-out",
        type=Path,
        metavar="FOLDER",
        help="train nothing; print how the stored weights judge these tickets",
    )
    arguments = parser.parse_args()
    if arguments.held_out:
        others = read(arguments.held_out)
        judgements = [judged.judge(t.subject, t.body) for t in others]
        print(report(others, [(j.category, int(j.severity[-1])) for j in judgements]))
        return 0
    tickets = read()
    weights, names, scores = learn(tickets)
    made = file_of(weights, names, fingerprint(tickets))
    if arguments.check:
        return 0 if made == FILE.read_text(encoding="ascii") else 1
    FILE.write_text(made, encoding="ascii")
    print(f"{len(tickets)} tickets of {len({t.writer for t in tickets})} voices, {len(made) // 1024} KiB of weights")
    print("Each ticket by a model that saw no voice of its trade, in any language:")
    print(report(tickets, verdicts(tickets, scores)))
    writers = np.unique([t.writer for t in tickets], return_inverse=True)[1]
    print("By a model that saw all but its own writer:")
    print(report(tickets, verdicts(tickets, learn(tickets, writers)[2])).splitlines()[1])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
