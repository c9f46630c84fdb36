"""Which URLs Runbooks may call: those that begin as one of the administrator's, read as a browser reads them, not as text."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, unquote, urlsplit

from opsloop.core.facts import Address

_PARTS = re.compile(r"([^?#]*)([?#]?)(.*)", re.DOTALL)
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_WORD = re.compile(r"[a-z]{1,20}(?:[-_.][a-z]{1,20}){0,3}|v[0-9]{1,2}")
PORTS = {"http": 80, "https": 443}


def allowed(addresses: Iterable[Address], url: str, namespace: str) -> Address | None:
    """The administrator's address that allows this URL to this namespace; None where none does."""
    return next((one for one in addresses if _is_for(one, namespace) and _begins_so(one.url, url)), None)


def problem(url: str) -> str:
    """Why an administrator's address cannot be one; empty where it can."""
    parts = _split(url)
    if parts is None:
        return f"{shown(url)!r} is no URL; write for example https://hooks.example.com/opsloop/"
    if parts.query:
        return f"{shown(url)!r}: what follows ? is no beginning of a URL"
    return ""


def shown(url: str) -> str:
    """The URL as people may read it wherever opsloop tells of it: without what may be a key, that is user, password, the values of
    its query, and segments of its path that are no plain words. Works on any text, also on what is no URL."""
    place, mark, rest = _PARTS.fullmatch(_USER.sub("…@", url)).groups()  # type: ignore[union-attr]
    start = place.find("/", place.find("://") + 3 if "://" in place else 0)
    if start >= 0:
        segments = place[start + 1 :].split("/")
        place = "/".join([place[:start], *(one if not one or _WORD.fullmatch(one) else "…" for one in segments)])
    named = (part.partition("=")[:2] for part in re.split("[&;#]", rest)) if rest else ()
    return place + mark + "&".join(f"{name}=…" if equals else "…" for name, equals in named)


def _is_for(address: Address, namespace: str) -> bool:
    return not address.namespaces or namespace in address.namespaces


def _begins_so(beginning: str, url: str) -> bool:
    """Scheme, host and port are the same, and the path begins with whole segments of the other one."""
    known, asked = _split(beginning), _split(url)
    if known is None or asked is None or _place(known) != _place(asked):
        return False
    path, under = asked.path or "/", (known.path or "/").rstrip("/")
    return path == under or path.startswith(f"{under}/")


def _place(parts: SplitResult) -> tuple[str, str, int]:
    assert parts.hostname is not None
    return parts.scheme, parts.hostname.rstrip("."), parts.port or PORTS[parts.scheme]


def _split(url: str) -> SplitResult | None:
    """The parts of a plain URL; None for one with a user name, a fragment, an odd port, or a path that goes up."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        return None
    if "@" in parts.netloc or parts.fragment or "#" in url or any(c.isspace() or ord(c) < 32 or c == "\\" for c in url):
        return None
    path = parts.path
    while (plain := unquote(path)) != path:
        path = plain
    segments = [segment.partition(";")[0] for segment in path.split("/")]
    return None if ".." in segments or "." in segments or "" in segments[1:-1] else parts
