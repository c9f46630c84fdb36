"""Times as ticket systems write them, read as UTC.

Read are ISO 8601 with date and time (RFC 3339, Jira's `+0000`, Zendesk's without seconds, a space for the T), the date of a mail
(RFC 5322) and seconds or milliseconds since 1970. A time without a zone is UTC: so do the systems that leave it out.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from opsloop.api.meta import as_utc
from opsloop.errors import Invalid

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))? ?([Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_MAIL = re.compile(r"[A-Za-z]{3},? .{8,60}|\d{1,2} [A-Za-z]{3,9} \d{2,4} .{4,40}")
_NUMBER = re.compile(r"\d{9,14}", re.ASCII)
_MILLISECONDS = 100_000_000_000  # seconds would be in the year 5138 then, milliseconds in 1973
_ZERO_YEAR = 1  # Go's zero time: not set
FORMS = "an RFC 3339 time such as 2026-01-05T09:00:00Z, the date of a mail, or seconds since 1970"


def moment(value: Any, path: str) -> datetime | None:
    """The time as UTC; None for Go's zero time. Raises Invalid, which names `path` and the forms."""
    try:
        found = _number(value) if isinstance(value, int | float) else _text(value)
        return None if found.year == _ZERO_YEAR else as_utc(found)
    except (ValueError, OverflowError, OSError, TypeError, IndexError):
        shown = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
        raise Invalid(f"{path}: {shown if len(shown) <= 80 else shown[:77] + '...'} is not {FORMS}") from None


def _text(value: Any) -> datetime:
    text = value.strip() if isinstance(value, str) and len(value) <= 100 else ""
    if _NUMBER.fullmatch(text):
        return _number(int(text))
    if match := _ISO.fullmatch(text):
        date, time, fraction, zone = match.groups()
        zone = "+00:00" if zone is None or zone.upper() in ("Z", "UTC", "GMT") else zone
        # nanoseconds are cut: datetime knows microseconds
        return datetime.fromisoformat(f"{date}T{time}{'.' + fraction[:6].ljust(6, '0') if fraction else ''}{zone}")
    if _MAIL.fullmatch(text):
        found = parsedate_to_datetime(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    raise ValueError


def _number(value: float) -> datetime:
    if isinstance(value, bool) or not 100_000_000 <= value < 1000 * _MILLISECONDS:
        raise ValueError
    return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS else value, UTC)
