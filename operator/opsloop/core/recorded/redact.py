"""What a recorded request must not carry into an object that many people may read: credentials, and who sent it.

Names decide, as in OpenTelemetry's advice on `url.query`; and forms of values. Of headers only those are kept that say what was
asked for: any other may be a credential of somebody's own making. A body is kept only as JSON or as a form, in which names can be
told from values: of XML, multipart and others nothing is kept.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

INSTEAD = "redacted"
LONGEST_HEADER = 1024  # of an EvalCase
KEPT_HEADERS = frozenset({"accept", "accept-language", "content-type"})

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_SECRET_WORDS = {
    "token", "tokens", "secret", "secrets", "password", "passwd", "passphrase", "pwd", "auth", "authorization",
    "signature", "sig", "session", "sessionid", "sid", "jwt", "credential", "credentials", "otp", "pin", "apikey",
    "accesskey", "key", "bearer", "cookie", "csrf", "xsrf", "nonce", "assertion", "saml", "verifier", "hmac", "mfa",
}  # fmt: skip
# Credentials only where they are long, or of these kinds: `code=DE` and `ticket=HD-7` are none, OAuth's code and CAS' ticket are
_SHORT_WORDS = {"code", "ticket", "hash", "state"}
_OF_PEOPLE = {
    "access", "activation", "backup", "confirm", "confirmation", "device", "invitation", "invite", "login", "magic", "recovery", "reset",
    "security", "sms", "unlock", "user", "verification", "verify",
}  # fmt: skip
_SHORT = 5  # characters: a one-time code has six
_SECRET_ENDS = (
    "token", "secret", "password", "passwd", "passcode", "signature", "sessionid", "sessid", "apikey", "accesskey", "privatekey", "jwt",
)  # fmt: skip
# Names within a value: parameters, those that ; divides, elements and attributes of XML, fields of JSON
_NESTED = re.compile(r"(?:^|[?&;#\s])([^\s=&;?#<>\"]+)=|<([^\s<>/=\"]+)|\"([^\"\\]{1,64})\\?\"\s*:")
_MATRIX = re.compile(r";([^=;/]+)=([^;/]+)")
_FIELD = re.compile(
    r'"((?:[^"\\]|\\.)*+)(?:(")(\s*:\s*)("(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^\s,"{}\[\]]+))?+(?:"|\\?\Z)?', re.DOTALL
)
_SECRET_VALUES = re.compile(
    r"(?<![A-Za-z0-9])eyJ[\w-]{8,1024}+\.[\w-]++\.?[\w-]*+"  # a JSON Web Token; bounded, for each eyJ begins a search
    r"|(?i:bearer|basic)(?: |%20|\+)[\w.~+/=-]{8,}"
    r"|(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9][A-Za-z_-]*[0-9])(?=[0-9A-Z_-]*[a-z])(?=[0-9a-z_-]*[A-Z])[A-Za-z0-9_-]{20,}"  # random
    r"|(?<![A-Za-z0-9-])(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{32,}(?![A-Za-z0-9-])"  # a key in hexadecimal digits
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[opsu]_\w{20,}|\bxox[abp]-[\w-]{10,}|\bsk-[\w-]{16,}"
)


def is_secret_name(name: str) -> bool:
    """True for a name of a parameter or field that holds a credential by its name: `api_key`, `X-Amz-Signature`, `accessToken`."""
    words = _words(name)
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words) or _is_code_of_people(words)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def _is_code_of_people(words: Collection[str]) -> bool:
    return not _SHORT_WORDS.isdisjoint(words) and not _OF_PEOPLE.isdisjoint(words)


def target(path: str) -> tuple[str, list[str]]:
    """(path and query without credentials, names of what was replaced). A parameter stays, with another value."""
    where, mark, query = path.partition("?")
    matrix = [name for name, value in _MATRIX.findall(where) if is_secret(name, value)]
    where = _MATRIX.sub(lambda m: f";{m[1]}={INSTEAD}" if is_secret(m[1], m[2]) else m[0], where)
    cleaned, found = _SECRET_VALUES.subn(INSTEAD, where)
    found += len(matrix)
    gone = ["a part of the path"] if found else []
    if not mark:
        return cleaned, gone
    pairs = parse_qsl(query, keep_blank_values=True)
    secret = [name for name, value in pairs if value and is_secret(name, value)]
    if not secret:
        return f"{cleaned}?{query}", gone
    kept = [(name, INSTEAD if name in secret else value) for name, value in pairs]
    return f"{cleaned}?{urlencode(kept, quote_via=quote)}", [
        *gone,
        *(f"query parameter {name}" for name in dict.fromkeys(secret)),
    ]


def is_secret(name: str, value: str) -> bool:
    """True where a value is a credential, by the name that it has or by its own form."""
    if is_secret_name(name) or (len(value) > _SHORT and _words(name)[-1:] in [[word] for word in _SHORT_WORDS]):
        return True
    named = (next(filter(None, found), "") for found in _NESTED.findall(value))
    return bool(_SECRET_VALUES.search(value)) or any(map(is_secret_name, named))


def headers(given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """(headers that say what was asked for, names of those that were left out)."""
    kept = {
        n: v
        for n, v in given.items()
        if n.lower() in KEPT_HEADERS and len(v) <= LONGEST_HEADER and not _SECRET_VALUES.search(v)
    }
    return kept, [f"header {name}" for name in given if name not in kept]


def body(text: str) -> tuple[str, list[str]]:
    """(body without credentials, names of what was replaced): fields of JSON or of a form, by name and value; of any other body nothing."""
    gone: list[str] = []
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return _plain(text)
    if isinstance(document, dict | list | str):
        cleaned = _within(document, gone)
        text = json.dumps(cleaned, ensure_ascii=False) if gone else text
    text, found = _SECRET_VALUES.subn(INSTEAD, text)
    return text, [*dict.fromkeys(gone), *(["a value of the body"] if found else [])]


def _plain(text: str) -> tuple[str, list[str]]:
    if re.fullmatch(r"[^\s=&\"{<]+=[^\s&]*(&[^\s=&]+=[^\s&]*)*", text.strip()):
        cleaned, gone = target(f"?{text.strip()}")
        return cleaned[1:], [name.replace("query parameter", "field") for name in gone]
    if not text.lstrip().startswith(("{", "[")):
        return "", ["the body, which is neither JSON nor a form"]
    gone = list[str]()  # of JSON that was cut

    def without(field: re.Match[str]) -> str:
        if not field[4] or not is_secret(field[1], field[4].strip('"')):
            return field[0]
        gone.append(f"field {field[1]}")
        return f'"{field[1]}"{field[3]}"{INSTEAD}"'

    text, found = _SECRET_VALUES.subn(INSTEAD, _FIELD.sub(without, text))
    return text, [*dict.fromkeys(gone), *(["a value of the body"] if found else [])]


def _within(value: Any, gone: list[str]) -> Any:
    if isinstance(value, dict):
        return {n: _field(n, v, gone) for n, v in value.items()}
    if isinstance(value, str) and is_secret("", value):
        gone.append("a value of the body")
        return INSTEAD
    return [_within(v, gone) for v in value] if isinstance(value, list) else value


def _field(name: str, value: Any, gone: list[str]) -> Any:
    if value not in ("", None) and (is_secret_name(name) or (isinstance(value, str) and is_secret(name, value))):
        gone.append(f"field {name}")
        return INSTEAD
    return _within(value, gone)
