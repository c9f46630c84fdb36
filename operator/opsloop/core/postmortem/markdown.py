"""Text of unknown origin as Markdown that can break no table, hide nothing and link nowhere; times and durations."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

UNKNOWN = "unknown"
_SPECIAL = re.compile(r"([\\`*|<\[\]])")
_EDGE_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def plain(text: str, most: int = 300) -> str:
    """One line without control, format (bidirectional, zero-width) and unassigned characters, cut at `most`."""
    visible = (" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join("".join(visible).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def text(value: str, most: int = 300) -> str:
    """Foreign text as inline Markdown that means only itself."""
    escaped = _SPECIAL.sub(r"\\\1", plain(value, most))
    return _EDGE_UNDERSCORE.sub(r"\\_", escaped)


def quoted(value: str, most: int = 300) -> str:
    """What somebody wrote, in typographic quotation marks."""
    return f"“{text(value, most)}”"


def code(value: str, most: int = 200) -> str:
    """A name or number in code style; "" stays ""."""
    line = plain(value, most).replace("`", "'").replace("|", "\\|")
    return f"`{line}`" if line else ""


def block(value: str, most: int = 2000) -> str:
    """What somebody wrote, line by line, as a block quotation."""
    cut = value if len(value) <= most else value[: most - 1] + "…"
    lines = [text(line, most) for line in cut.splitlines()] or [""]
    return "\n".join(f"> {_no_block(line)}".rstrip() for line in lines)


def _no_block(line: str) -> str:
    """A line that starts no heading, list, rule or nested quotation."""
    return re.sub(r"^(\d*)([#>\-+=~.)])", r"\1\\\2", line)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {item}" for item in items)


def stamp(at: datetime | None) -> str:
    """Date and time in UTC with milliseconds, so that it can be compared with Prometheus and the audit log."""
    if at is None:
        return UNKNOWN
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d}"


def clock(at: datetime | None) -> str:
    """Time of day in UTC, to the second."""
    return UNKNOWN if at is None else f"{at.astimezone(UTC):%H:%M:%S}"


def day(at: datetime | None) -> str:
    """The date in UTC."""
    return UNKNOWN if at is None else f"{at.astimezone(UTC):%Y-%m-%d}"


def span(start: datetime | None, end: datetime | None) -> str:
    """From start to end in words; unknown where either is."""
    if start is None or end is None:
        return UNKNOWN
    told = length(abs(end - start))
    return told if end >= start else f"{told} earlier"


def length(value: timedelta) -> str:
    """A duration as people say it: its two largest units."""
    seconds = value.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    rest, parts = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def percent(share: float) -> str:
    """A share in percent, with decimals where they say something: 20 %, 20.4 %, 0.05 %."""
    digits = 1 if 0.01 <= share <= 0.99 else 3
    return f"{share * 100:.{digits}f}".rstrip("0").rstrip(".") + " %"


def number(value: float) -> str:
    """A count or rate: no decimals where there are none."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
