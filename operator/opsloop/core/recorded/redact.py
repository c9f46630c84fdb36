"""What a recorded request must not carry into an object that many people may read: credentials, and who sent it.

Names decide, as in OpenTelemetry's advice on `url.query`; and a few forms of values that nobody mistakes. Of headers only
those are kept that say what was asked for: any other may be a credential of somebody's own making.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

INSTEAD = "redacted"
KEPT_HEADERS = frozenset({"accept", "accept-language", "content-type"})

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_SECRET_WORDS = {
    "token", "tokens", "secret", "secrets", "password", "passwd", "passphrase", "pwd", "auth", "authorization",
    "signature", "sig", "session", "sessionid", "sid", "jwt", "credential", "credentials", "otp", "pin", "apikey",
    "accesskey", "key", "bearer", "cookie", "csrf", "xsrf", "nonce",
}  # fmt: skip
_SECRET_VALUES = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]+\.?[\w-]*"  # a JSON Web Token
    r"|(?i:bearer|basic)(?: |%20|\+)[\w.~+/=-]{8,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[opsu]_\w{20,}|\bxox[abp]-[\w-]{10,}|\bsk-[\w-]{16,}"
)


def is_secret_name(name: str) -> bool:
    """True for a name of a parameter or field that holds a credential by its name: `api_key`, `X-Amz-Signature`, `accessToken`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return any(word in _SECRET_WORDS for word in words)


def target(path: str) -> tuple[str, list[str]]:
    """(path and query without credentials, names of what was replaced). A parameter stays, with another value."""
    where, mark, query = path.partition("?")
    cleaned, found = _SECRET_VALUES.subn(INSTEAD, where)
    gone = ["a part of the path"] if found else []
    if not mark:
        return cleaned, gone
    pairs = parse_qsl(query, keep_blank_values=True)
    secret = [name for name, value in pairs if value and (is_secret_name(name) or _SECRET_VALUES.search(value))]
    if not secret:
        return f"{cleaned}?{query}", gone
    kept = [(name, INSTEAD if name in secret else value) for name, value in pairs]
    return f"{cleaned}?{urlencode(kept, quote_via=quote)}", [
        *gone,
        *(f"query parameter {name}" for name in dict.fromkeys(secret)),
    ]


def headers(given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """(headers that say what was asked for, names of those that were left out)."""
    kept = {n: v for n, v in given.items() if n.lower() in KEPT_HEADERS and not _SECRET_VALUES.search(v)}
    return kept, [f"header {name}" for name in given if name not in kept]


def body(text: str) -> tuple[str, list[str]]:
    """(body without credentials, names of what was replaced): fields of JSON or of a form by their names, values anywhere."""
    gone: list[str] = []
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return _plain(text)
    if isinstance(document, dict | list):
        cleaned = _within(document, gone)
        text = json.dumps(cleaned, ensure_ascii=False) if gone else text
    text, found = _SECRET_VALUES.subn(INSTEAD, text)
    return text, [*dict.fromkeys(gone), *(["a value of the body"] if found else [])]


def _plain(text: str) -> tuple[str, list[str]]:
    if re.fullmatch(r"[\w.~%+*-]+=[^\s&=]*(&[\w.~%+*-]+=[^\s&=]*)*", text):
        cleaned, gone = target(f"?{text}")
        return cleaned[1:], [name.replace("query parameter", "field") for name in gone]
    text, found = _SECRET_VALUES.subn(INSTEAD, text)
    return text, ["a value of the body"] if found else []


def _within(value: Any, gone: list[str]) -> Any:
    if isinstance(value, dict):
        return {n: _field(n, v, gone) for n, v in value.items()}
    return [_within(v, gone) for v in value] if isinstance(value, list) else value


def _field(name: str, value: Any, gone: list[str]) -> Any:
    if value not in ("", None) and is_secret_name(name):
        gone.append(f"field {name}")
        return INSTEAD
    return _within(value, gone)
