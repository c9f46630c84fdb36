"""Jinja2 templates of notifications: bodies that are JSON, and URLs. In a sandbox, and without what has no end.

In a body each `{{ … }}` makes a whole JSON value, quotes included, so that nothing of an alert or a ticket can break out of it:
`{"text": {{ title ~ ": " ~ message }}}`. In a URL each is percent-encoded, and one that is empty leaves the whole URL out.
Only administrators write templates; the sandbox keeps a mistake from reaching the process, and what they make is bounded.
"""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from opsloop.errors import Invalid

MOST_TEMPLATE = 32 * 1024  # characters
MOST_BODY = 28 * 1024  # bytes: what Teams takes, which takes least
_WITHOUT = (
    "center",
    "format",
    "indent",
    "wordwrap",
    "xmlattr",
    "pprint",
    "random",
)  # may make anything large, or no JSON
_ENDLESS = ("*", "**", "%", "<<")  # of texts and numbers: one operator could take all memory


class _Left(Exception):
    """A URL names something that this message has not."""


class _Json(str):
    """JSON already."""


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(_ENDLESS)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuses operators that could take all memory."""
        raise TemplateError(f"the operator {operator} is not allowed")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Methods that pad a text could take all memory."""
        return attr not in ("ljust", "rjust", "zfill", "center", "format", "expandtabs", "format_map") and super().is_safe_attribute(obj, attr, value)  # fmt: skip

    def call(self, context: Context, made_by: Any, /, *args: Any, **kwargs: Any) -> Any:
        """What a macro makes is JSON already."""
        made = super().call(context, made_by, *args, **kwargs)
        return _Json(made) if isinstance(made_by, Macro) else made


def body(template: str, message: Mapping[str, Any], name: str = "template") -> Any:
    """The JSON value that a template makes of a message. Raises Invalid, which names the template and its line."""
    text = _render(_environment("body"), template, message, name)
    try:
        made = json.loads(text)
    except ValueError as error:
        raise Invalid(f"{name}: what it makes is not JSON: {error}") from error
    if len(sent(made)) > MOST_BODY:
        raise Invalid(f"{name}: what it makes is larger than {MOST_BODY // 1024} KiB")
    return made


def url(template: str, message: Mapping[str, Any], name: str = "url") -> str:
    """The URL that a template makes; "" where it names something that the message has not. Raises Invalid."""
    try:
        return _render(_environment("url"), template, message, name)
    except _Left:
        return ""


def sent(made: Any) -> bytes:
    """A body as it goes over the wire: JSON in UTF-8."""
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


@cache
def shipped(name: str) -> str:
    """A template of opsloop's own."""
    return files(__package__).joinpath("templates", f"{name}.json.j2").read_text(encoding="utf-8")


def _render(environment: ImmutableSandboxedEnvironment, template: str, message: Mapping[str, Any], name: str) -> str:
    if len(template) > MOST_TEMPLATE:
        raise Invalid(f"{name}: {len(template)} characters; a template may have {MOST_TEMPLATE}")
    try:
        return _compiled(environment, template).render(message)
    except TemplateSyntaxError as error:
        raise Invalid(f"{name}, line {error.lineno}: {error.message}") from error
    except (
        TemplateError,
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise Invalid(f"{name}: {error or type(error).__name__}") from error


@lru_cache(maxsize=64)
def _compiled(environment: ImmutableSandboxedEnvironment, template: str) -> Template:
    return environment.from_string(template)


@cache
def _environment(what: str) -> ImmutableSandboxedEnvironment:
    made = _Sandbox(
        autoescape=False,
        undefined=StrictUndefined,
        finalize=_as_json if what == "body" else _as_part,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in _WITHOUT:
        made.filters.pop(name)
    made.filters |= {"cut": cut, "label": label, "slack": _slack, "markdown": _markdown}
    made.globals = {}
    return made


def cut(value: Any, most: int) -> str:
    """The beginning of a text, with a mark where something is left out."""
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def label(name: str) -> str:
    """The name of a detail or link as a person reads it."""
    return str(name)[:1].upper() + str(name)[1:]


def _as_json(value: Any) -> Any:
    if isinstance(value, Undefined):
        return str(value)  # raises, and says its name
    return value if isinstance(value, _Json) else json.dumps(value, ensure_ascii=False)


def _as_part(value: Any) -> str:
    if value is None or str(value) == "":
        raise _Left
    return quote(str(value), safe="")


def _slack(value: Any) -> str:
    """Text for Slack's mrkdwn, which has three characters of its own: nothing mentions a channel or becomes a link."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _markdown(value: Any) -> str:
    """Text for a card, whose Markdown has links and emphasis."""
    return "".join(f"\\{c}" if c in "\\`*_[]()#<>!" else c for c in str(value))
