"""The constants of the judgement: which there are, and how one of them is changed meanwhile.

A constant is a number, a duration, or numbers in a tuple or a dataclass, that a module of the rooms below gives a name.
Each is named here: as one of the judgement, or as none with the reason (`tests/sim/constants/test_registry.py`).
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from functools import cache
from math import log
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.sim.constants.names import JUDGED

ROOMS = ("opsloop.core.statistics", "opsloop.core.slo", "opsloop.core.incident", "opsloop.core.release")
FACTORS = (0.7, 1.3)
_RATIOS = "statistics.sequential.RATE_RATIOS"


def found() -> list[str]:
    """All constants that the rooms define: ROOM.MODULE.NAME, with .FIELD for those in a dataclass."""
    return [
        part
        for module in modules()
        for name in _assigned(module)
        for part in _parts(f"{module.__name__.removeprefix('opsloop.core.')}.{name}", getattr(module, name))
    ]


def modules() -> list[ModuleType]:
    """The modules of the rooms."""
    entries = (
        (room, entry.name) for room in ROOMS for entry in pkgutil.iter_modules(importlib.import_module(room).__path__)
    )
    return [importlib.import_module(f"{room}.{name}") for room, name in entries]


def judged() -> list[str]:
    """The names of the constants of the judgement, those of the table that is printed."""
    return [f"{module}.{name}" for module, names in JUDGED.items() for name in names.split()]


def value_of(name: str) -> Any:
    """The value as shipped."""
    module, constant, field = _found(name)
    value = getattr(module, constant)
    return getattr(value, field) if field else value


def changed(value: Any, factor: float) -> Any:
    """The value times the factor: a whole number changes by at least one."""
    if isinstance(value, tuple):
        rows = any(
            isinstance(item, float) for item in value
        )  # (share, long window, …): windows scaled alike change nothing
        return tuple(
            changed(item, factor) if item and (isinstance(item, float) or not rows) else item for item in value
        )
    if isinstance(value, int) and not isinstance(value, bool):
        scaled = round(value * factor)
        return max(0, scaled if scaled != value else value + (1 if factor > 1 else -1))
    if isinstance(value, float) and value == 0:
        return log(factor)  # log odds: of one to one
    return value * factor if isinstance(value, float | timedelta) else value


def said(value: Any) -> str:
    """A value for the table."""
    if isinstance(value, tuple):
        return ", ".join(said(item) for item in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@contextmanager
def patched(name: str, factor: float) -> Iterator[None]:
    """The constant is changed meanwhile, wherever it was imported to, with what was computed from it: other constants of its
    module, defaults of arguments, and what functions remember. "" is no constant."""
    if not name:
        yield
        return
    module, constant, field = _found(name)
    before = getattr(module, constant)
    if name == _RATIOS:
        after = tuple(ratio**factor for ratio in before)
    elif field:
        after = replace(before, **{field: changed(getattr(before, field), factor)})
    else:
        after = changed(before, factor)
    undo: list[tuple[Any, str, Any]] = []
    try:
        _put(module, constant, after, undo)
        for derived, value in _computed_from(module, constant):
            _put(
                module, derived, eval(compile(ast.Expression(value), str(module.__file__), "eval"), vars(module)), undo
            )
        _forget()
        yield
    finally:
        for place, attribute, value in reversed(undo):
            setattr(place, attribute, value)
        _forget()


def _put(module: ModuleType, constant: str, value: Any, undo: list[tuple[Any, str, Any]]) -> None:
    """Gives a constant another value in its module and wherever it was imported to."""

    def put(place: Any, attribute: str, new: Any) -> None:
        undo.append((place, attribute, getattr(place, attribute)))
        setattr(place, attribute, new)

    for place in (module, *(m for m in _opsloop() if m is not module and _imports(m, module, constant))):
        put(place, constant, value)
        for node, function in _functions(place):
            names = [_name(default) for default in node.args.defaults]
            if constant in names:
                old = function.__defaults__
                new = tuple(value if n == constant else o for n, o in zip(names, old, strict=True))
                put(function, "__defaults__", new)
            named = {
                arg.arg
                for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                if _name(default) == constant
            }
            if named:
                put(function, "__kwdefaults__", {**function.__kwdefaults__, **dict.fromkeys(named, value)})


def _functions(module: ModuleType) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, Any]]:
    """Functions and methods of a module, with their text."""
    for node in _tree(module).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        home = vars(getattr(module, node.name)) if isinstance(node, ast.ClassDef) else vars(module)
        for one in inside:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name in home:
                found = home[one.name]
                found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
                if found is not None:
                    yield one, inspect.unwrap(found)


def _computed_from(module: ModuleType, constant: str) -> Iterator[tuple[str, ast.expr]]:
    """Names that the module computes from a constant as it is loaded, in order."""
    known = {constant}
    for node in _tree(module).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(target, ast.Name) and value is not None and known & set(_loads(value)):
            known.add(target.id)
            yield target.id, value


def unseen(module: ModuleType) -> list[str]:
    """Constants that a module uses as it is loaded where a change is not brought to: class bodies, decorators, parts of defaults."""
    found: list[str] = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ClassDef):
            found += [
                name
                for one in node.body
                if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
                for name in _loads(one)
            ]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
            parts = [default for default in defaults if not isinstance(default, ast.Name)]
            found += [name for part in (*parts, *node.decorator_list) for name in _loads(part)]
    return found


def _loads(node: ast.AST) -> list[str]:
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)]


def _name(node: ast.expr | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text())


def _found(name: str) -> tuple[ModuleType, str, str]:
    room, module, constant, *field = name.split(".")
    return importlib.import_module(f"opsloop.core.{room}.{module}"), constant, "".join(field)


def _assigned(module: ModuleType) -> Iterator[str]:
    """Names in capitals that the module itself assigns."""
    for node in _tree(module).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (target.id for target in targets if isinstance(target, ast.Name) and target.id.isupper())


def _parts(name: str, value: Any) -> list[str]:
    if is_dataclass(value) and not isinstance(value, type):
        return [f"{name}.{field.name}" for field in fields(value) if _is_number(getattr(value, field.name))]
    return [name] if _is_number(value) else []


def _is_number(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_is_number(item) for item in value)
    if isinstance(value, dict):
        return any(_is_number(item) for item in value.values())
    return isinstance(value, int | float | timedelta) and not isinstance(value, bool)


def _opsloop() -> list[ModuleType]:
    return [module for name, module in list(sys.modules.items()) if name.startswith("opsloop.") and module]


def _imports(module: ModuleType, owner: ModuleType, constant: str) -> bool:
    """Does the module hold this constant of the owner under its name?"""
    if getattr(module, constant, None) is None or not getattr(module, "__file__", None):
        return False
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == owner.__name__
        and any(a.name == constant for a in node.names)
        for node in _tree(module).body
    )


def _forget() -> None:
    """Empties what functions of opsloop remember of earlier calls."""
    for module in _opsloop():
        if module.__name__.startswith("opsloop.core") or module.__name__.startswith("opsloop.api"):
            for value in list(vars(module).values()):
                if callable(getattr(value, "cache_clear", None)):
                    value.cache_clear()
