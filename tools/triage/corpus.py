"""The tickets that the model learns from: `tickets/*.txt`, by language and voice."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from opsloop.core.tickets.features import features_of

FOLDER = Path(__file__).parent / "tickets"
CATEGORIES = {
    "o": "outage", "p": "performance", "b": "bug", "i": "billing", "a": "account", "q": "question", "f": "feature_request",
    "u": "unknown",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labelled:
    """One ticket, who wrote it, and the right judgement. Voices of one trade share `trade`, in whatever language."""

    language: str
    writer: str
    trade: str
    category: str
    severity: int  # 1 to 4
    subject: str
    body: str


def read(folder: Path = FOLDER) -> list[Labelled]:
    """All tickets, in the order of the files. Raises ValueError that names the line."""
    return [ticket for path in sorted(folder.glob("*.txt")) for ticket in _file(path)]


def _file(path: Path) -> list[Labelled]:
    found: list[Labelled] = []
    writer = trade = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("@ "):
            _, writer, trade = line.split()
            continue
        parts = [part.strip() for part in line.split("|", 2)]
        label = parts[0]
        if len(parts) != 3 or len(label) != 2 or label[0] not in CATEGORIES or label[1] not in "1234" or not writer:
            raise ValueError(f"{path.name}:{number}: not `CATEGORY SEVERITY | subject | body` below a writer: {line!r}")
        found.append(Labelled(path.stem[:2], writer, trade, CATEGORIES[label[0]], int(label[1]), parts[1], parts[2]))
    return found


def fingerprint(tickets: Iterable[Labelled]) -> str:
    """Of what a model learns from: the labels, and what it sees of the texts. Weights that say another one are out of date."""
    digest = hashlib.sha256()
    for ticket in tickets:
        seen = sorted((name, round(value, 6)) for name, value in features_of(ticket.subject, ticket.body).items())
        digest.update(f"{ticket.trade} {ticket.category} {ticket.severity} {seen}\n".encode())
    return digest.hexdigest()
