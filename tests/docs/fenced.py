"""Fenced blocks of the pages, and the commands in those of a shell."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "charts" / "opsloop" / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md")),
]
OPENING = re.compile(r"^( *)```([\w-]*)[^\n`]*\n(.*?)^\1```[ ]*$", re.DOTALL | re.MULTILINE)
INSIDE = re.compile(r"\$\(((?:[^()]|\([^()]*\))*)\)")
SEPARATORS = re.compile(r"\s(?:&&|\|\||\||&|;)(?=\s|$)|;(?=\s)")
REDIRECTION = re.compile(r"\s\d?(?:>>?|<<?)(?:&\d|\s*[^\s<>]+)")
HEREDOC = re.compile(r"<<-?'?(\w+)'?[^\n]*\n(.*?)^\1$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: where it begins, its language and its text without the fence's indent."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.language or 'output'}"


def blocks() -> list[Block]:
    """All fenced blocks of all pages."""
    found = []
    for page in PAGES:
        whole = page.read_text()
        for match in OPENING.finditer(whole):
            text = "".join(line.removeprefix(match[1]) for line in match[3].splitlines(keepends=True))
            found.append(Block(str(page.relative_to(ROOT)), whole[: match.start()].count("\n") + 1, match[2], text))
    return found


def commands(text: str) -> list[list[str]]:
    """The words of each simple command of a shell text, those in `$(…)` as well; comments and here-documents are left out."""
    found: list[list[str]] = []
    for line in _lines(HEREDOC.sub("<<END\n", text)):
        for inner in INSIDE.findall(line):
            found += commands(inner)
        for part in _parts(INSIDE.sub("VALUE", line)):
            words = shlex.split(part)
            while words and re.fullmatch(r"[A-Za-z_]\w*=.*|do|then|eval|sudo", words[0], re.DOTALL):
                words = words[1:]
            if words and words[0] not in ("for", "done", "if", "fi", "while", "in"):
                found.append(words)
    return found


def _parts(line: str) -> Iterator[str]:
    """A line split where the shell begins another command, without redirections; not inside of quotes."""
    begin = 0
    for match in SEPARATORS.finditer(line):
        if not _open(line[: match.start()]):
            yield _undirected(line[begin : match.start()])
            begin = match.end()
    yield _undirected(line[begin:])


def _undirected(part: str) -> str:
    for match in reversed(list(REDIRECTION.finditer(part))):
        if not _open(part[: match.start()]):
            part = part[: match.start()] + part[match.end() :]
    return part


def _lines(text: str) -> Iterator[str]:
    """Logical lines without comments: a quote or a backslash at the end goes on."""
    kept = ""
    for line in text.splitlines():
        kept = f"{kept}\n{line}" if kept and _open(kept) else kept + line
        if not _open(kept):
            kept = _uncommented(kept)
        if kept.endswith("\\"):
            kept = kept[:-1]
        elif not _open(kept):
            if kept.strip():
                yield kept.strip()
            kept = ""


def _open(text: str) -> str:
    """The quote that is open at the end of a text, "" for none."""
    quote = ""
    for before, char in zip(" " + text, text, strict=False):
        if char in "'\"" and before != "\\" and (not quote or quote == char):
            quote = "" if quote else char
    return quote


def _uncommented(line: str) -> str:
    for match in re.finditer(r"(^|\s)#", line):
        if not _open(line[: match.start()]):
            return line[: match.start()].rstrip()
    return line.rstrip()
