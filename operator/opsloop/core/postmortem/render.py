"""A document through a template: Jinja2 in its sandbox, HTML escaped, Markdown escaped, nothing loaded but the default templates.

A team's template is somebody's code. What it may reach is bounded here; how long it may run and how much memory it may take
is bounded by the process that it runs in (`entry.cli.rendering`): it never runs in the operator.
"""

import traceback
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from jinja2 import DictLoader, StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.runtime import BlockReference, Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from opsloop.core.postmortem import svg
from opsloop.core.postmortem.document import Document
from opsloop.core.postmortem.markdown import UNKNOWN, clock, code, day, number, percent, stamp, text
from opsloop.core.postmortem.markup import Block, Inline
from opsloop.errors import Invalid

Form = Literal["md", "html"]
MOST_TEMPLATE = 128 * 1024  # characters of a team's template
MOST_OUTPUT = 4 * 1024 * 1024  # characters of what it makes
MOST_RANGE = 1000  # numbers of one range()
DEFAULTS: dict[Form, str] = {"md": "default.md", "html": "default.html"}
_PART = """{% extends "default.html" %}{% block page %}{{ self.body() }}{% endblock %}"""
_FORBIDDEN_FILTERS = ("safe", "xmlattr")  # they would print foreign text as markup, or as attributes


def render(document: Document, form: Form, template: str | None = None, name: str = "template") -> str:
    """The document by a team's `template`, else by the default one, which a team's may extend as "default.md" or "default.html".

    Raises Invalid, which names the template and its line, where it is wrong or makes too much.
    """
    if template is not None and len(template) > MOST_TEMPLATE:
        raise Invalid(f"{name}: {len(template)} characters; a template may have {MOST_TEMPLATE}")
    environment = _environment(form)
    try:
        made = environment.get_template(DEFAULTS[form]) if template is None else _own(environment, template, name)
        return _collected(made.generate(**_context(document)), name)
    except Invalid:
        raise
    except TemplateSyntaxError as error:
        raise Invalid(f"{error.name or name}, line {error.lineno}: {error.message}") from error
    except (
        TemplateError,
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        said = str(error) or type(error).__name__
        raise Invalid(f"{name}, line {_line(error, name)}: {said}") from error


def part(document: Document) -> str:
    """The default HTML without its head, for a page that has the styles itself."""
    made = _own(_environment("html"), _PART, "part")
    return _collected(made.generate(**_context(document, styled=False)), "part")


def _own(environment: ImmutableSandboxedEnvironment, source: str, name: str) -> Any:
    for node in environment.parse(source, name).find_all(nodes.ScopedEvalContextModifier):
        raise Invalid(
            f"{name}, line {node.lineno}: autoescape cannot be changed: what a postmortem quotes comes from outside"
        )
    compiled = environment.compile(source, name, filename=name)
    return environment.template_class.from_code(environment, compiled, environment.make_globals(None))


def _line(error: BaseException, name: str) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    return str(lines[-1]) if lines else UNKNOWN


def _collected(parts: Any, name: str) -> str:
    collected, size = [], 0
    for part in parts:
        size += len(part)
        if size > MOST_OUTPUT:
            raise Invalid(f"{name}: it makes more than {MOST_OUTPUT} characters")
        collected.append(part)
    return "".join(collected)


def _context(document: Document, styled: bool = True) -> dict[str, Any]:
    """The document as mappings and lists, whose Markdown is still known as such; and the drawing, where there is a curve."""
    moments = [(moment.what, moment.at) for moment in document.times]
    curve = document.curve
    chart = Markup(svg.draw(curve, moments, styled=styled)) if curve and curve.points else None
    return {**document.model_dump(), "chart": chart}


class _Sandbox(ImmutableSandboxedEnvironment):
    """What a macro or a block makes has been escaped already: in HTML Jinja2 says so itself, in Markdown this does."""

    def call(self, context: Context, made_by: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Calls; refuses what the sandbox refuses."""
        made = super().call(context, made_by, *args, **kwargs)
        return Block(made) if isinstance(made_by, Macro | BlockReference) and not self.autoescape else made


@cache
def _environment(form: Form) -> ImmutableSandboxedEnvironment:
    made = _Sandbox(
        loader=DictLoader(_defaults()),
        autoescape=form == "html",
        undefined=StrictUndefined,
        finalize=_as_html if form == "html" else _as_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in _FORBIDDEN_FILTERS:
        made.filters.pop(name)
    helpers: dict[str, Callable[..., Any]] = {
        "clock": clock, "day": day, "stamp": stamp, "percent": percent, "number": number, "cells": _cells,
        "code": lambda value: Inline(code(_plain(value))),
    }  # fmt: skip
    made.filters.update(helpers)
    made.globals = {"range": _range}
    return made


@cache
def _defaults() -> dict[str, str]:
    folder = files("opsloop.core.postmortem").joinpath("templates")
    return {name: folder.joinpath(f"{name}.j2").read_text(encoding="utf-8") for name in DEFAULTS.values()}


def _range(*limits: int) -> range:
    made = range(*limits)
    if len(made) > MOST_RANGE:
        raise ValueError(f"range of {len(made)}: a template may count to {MOST_RANGE}")
    return made


def _as_markdown(value: Any) -> Any:
    """What stands for a value in Markdown: Markdown as it is, everything else escaped."""
    if isinstance(value, Inline | Block | Undefined):
        return value
    return text(_plain(value), most=10_000)


def _as_html(value: Any) -> Any:
    return value if isinstance(value, Inline | Block | Undefined | Markup) else _plain(value)


def _plain(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, datetime):
        return stamp(value)
    return number(value) if isinstance(value, float) else str(value)


def _cells(value: Any) -> Inline:
    """Markdown parts side by side in one cell of a table: joined by semicolons."""
    return Inline("; ".join(p if isinstance(p, Inline) else text(_plain(p)) for p in value))
