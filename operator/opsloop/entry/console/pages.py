"""Pages as HTML: Jinja2 with everything escaped, in a thread, and kept while nothing in them changes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from opsloop.core.postmortem import render, svg
from opsloop.core.postmortem.curve import Curve
from opsloop.core.postmortem.document import Document

STATIC: Mapping[str, str] = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and by what a browser knows that it has this one already."""

    html: str
    etag: str


def part(template: str, **given: Any) -> Markup:
    """What a template makes of a view: the main part of a page, the same for everybody who sees it."""
    return Markup(_environment().get_template(f"{template}.html.j2").render(**given))


def page(main: Markup, trail: Sequence[tuple[str, str]], viewer: str = "", live: int = 0) -> Page:
    """A whole page. `trail`: names and addresses of the pages above it, itself the last; `live`: seconds between two looks, 0 = never."""
    html = _environment().get_template("layout.html.j2").render(main=main, trail=trail, viewer=viewer, live=live)
    return Page(html, f'"{hashlib.sha256(html.encode()).hexdigest()[:32]}"')


def chart(curve: Curve | None, moments: svg.Moments, name: str) -> Markup | None:
    """The SLI as a drawing; None where there is none. `svg.draw` escapes what it is given."""
    if curve is None or not curve.points:
        return None
    return Markup(svg.draw(curve, [(what, at) for what, at in moments if what], name, styled=False))


def told(document: Document) -> Markup:
    """A postmortem as the body of a page. Its template escapes; a team's own one never runs in the operator."""
    return Markup(render.part(document))


@cache
def static(name: str) -> tuple[bytes, str, str]:
    """Content, type and ETag of a file of the console; the style sheet with the drawing's. Raises KeyError for any other name."""
    kind = STATIC[name]
    content = files("opsloop.entry.console").joinpath("static", name).read_bytes()
    if name == "console.css":
        content += svg.STYLE.encode()
    return content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("opsloop.entry.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({"moment": moment, "clock": clock, "width": width, "path": path})
    return made


def moment(at: datetime | None) -> Markup:
    """A time that the page's script tells the age of."""
    if at is None:
        return Markup("<span>unknown</span>")
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M:%S}")


def clock(at: datetime) -> Markup:
    """The time of day, with its date for machines."""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%H:%M:%S}")


def width(share: float | None) -> int:
    """A share as a whole number of hundredths, 0 to 100."""
    return 0 if share is None else round(100 * min(max(share, 0.0), 1.0))


def path(namespace: str, plural: str = "", name: str = "") -> str:
    """The address of an object's page. Names are of letters, digits, dots and dashes; anything else is quoted all the same."""
    parts = ["", "namespaces", namespace, *([plural, name] if plural else [])]
    return "/".join(quote(part, safe="") for part in parts)
