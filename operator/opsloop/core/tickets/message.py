"""A mail as a mail server has it (RFC 5322), as JSON: `{"headers": {lower-case name: text}, "text": …, "html": …}`.

The standard library reads it; what would take it long is refused before: parts within parts cost it their number times their depth.
"""

import re
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from typing import Any

from opsloop.errors import Invalid

MAX_MESSAGE = 512 * 1024  # bytes that are read: what a mail says stands before its attachments
MOST_BOUNDARIES = 20  # times that it may speak of a boundary between its parts; one with attachments has a few
MOST_MESSAGES = 20  # mails within mails
MOST_HEADERS = 200
MAX_HEADER = 4096  # characters of one header that are decoded; of one that says what a part is, all
DEEPEST = 10
UNREADABLE = (
    MessageError,
    RecursionError,
    LookupError,
    ValueError,
)  # what the library raises on a mail that it cannot read
HEADERS = ("from", "date", "subject", "message-id", "received")  # a mail has at least one of them

_CONTENT = re.compile(rb"^content-[a-z-]{1,30}[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(rb"boundary\s{0,9}\*?\s{0,9}=", re.IGNORECASE)
_WITHIN = re.compile(rb"message/", re.IGNORECASE)


def read_message(raw: bytes) -> dict[str, Any]:
    """The headers of a mail's first MAX_MESSAGE bytes, of a name the last one, and its text and HTML, without attachments. Raises Invalid."""
    raw = raw[:MAX_MESSAGE].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if raw.partition(b"\n\n")[0].count(b"\n") > 20 * MOST_HEADERS:
        raise Invalid(f"body: a mail with more than {20 * MOST_HEADERS} lines of headers is not read")
    if any(len(match[0]) > MAX_HEADER for match in _CONTENT.finditer(raw)):
        raise Invalid(f"body: a mail with a header Content-… of more than {MAX_HEADER} characters is not read")
    for pattern, most in ((_BOUNDARY, MOST_BOUNDARIES), (_WITHIN, MOST_MESSAGES)):
        if sum(1 for _ in pattern.finditer(raw)) > most:
            raise Invalid(f"body: a mail with more than {most} parts is not read; send its text alone")
    try:
        message = message_from_bytes(raw, policy=policy.compat32)
    except UNREADABLE as error:
        raise Invalid(f"body: not a mail ({type(error).__name__})") from error
    headers = {name.lower(): _decoded(str(value)) for name, value in message.items()[:MOST_HEADERS]}
    if not any(name in headers for name in HEADERS):
        raise Invalid("body: neither JSON nor a mail: there is no header From, Date or Subject")
    found: dict[str, str] = {}
    _read_parts(message, found, 0)
    return {"headers": headers, **found}


def _read_parts(part: Message, found: dict[str, str], depth: int) -> None:
    """The first text and the first HTML that the mail shows; a mail that is attached to it is not its own words."""
    if depth > DEEPEST or part.get_content_disposition() == "attachment":
        return
    kind = part.get_content_type()
    if part.is_multipart():
        inner = part.get_payload()
        for item in inner if isinstance(inner, list) and part.get_content_maintype() == "multipart" else ():
            if isinstance(item, Message):
                _read_parts(item, found, depth + 1)
    elif (name := {"text/plain": "text", "text/html": "html"}.get(kind, "")) and not found.get(name, "").strip():
        found[name] = _content(part)


def _content(part: Message) -> str:
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    try:
        return raw.decode(part.get_content_charset() or "utf-8", errors="replace")
    except UNREADABLE:  # a charset that nobody knows, or that is none
        return raw.decode("utf-8", errors="replace")


def _decoded(value: str) -> str:
    """A header's text: encoded words (RFC 2047) become letters."""
    value = " ".join(value[:MAX_HEADER].split())
    try:
        text = str(make_header(decode_header(value)))
    except UNREADABLE:
        text = value
    return text.encode("utf-8", errors="replace").decode("utf-8")
