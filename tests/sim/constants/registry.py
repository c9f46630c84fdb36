"""The constants of the judgement: which there are, and how one of them is changed meanwhile.

A constant is a number, a duration, or numbers in a tuple or a dataclass, that a module of the rooms below gives a name.
Each is named here: as one of the judgement, or as none with the reason (`tests/sim/constants/test_registry.py`).
"""

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from math import log
from pathlib import Path
from types import ModuleType
from typing import Any

from opsloop.core.statistics import sequential
from tests.sim.constants.names import JUDGED

ROOMS = ("opsloop.core.statistics", "opsloop.core.slo", "opsloop.core.incident", "opsloop.core.release")
FACTORS = (0.7, 1.3)
_RATIOS = "statistics.sequential.RATE_RATIOS"


def found() -> list[str]:
    """All constants that the rooms define: ROOM.MODULE.NAME, with .FIELD for those in a dataclass."""
    names = []
    for room in ROOMS:
        package = importlib.import_module(room)
        for entry in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{room}.{entry.name}")
            for name in _assigned(module):
                names += _parts(f"{room.rpartition('.')[2]}.{entry.name}.{name}", getattr(module, name))
    return names


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
    """The constant is changed meanwhile, wherever it was imported to; what was computed from it is forgotten. "" is none."""
    if not name:
        yield
        return
    module, constant, field = _found(name)
    before = getattr(module, constant)
    if name == _RATIOS:
        after = tuple(ratio**factor for ratio in before)
    else:
        after = (
            replace(before, **{field: changed(getattr(before, field), factor)}) if field else changed(before, factor)
        )
    places = [module, *(m for m in _opsloop() if m is not module and _imports(m, module, constant))]
    logs = sequential._RATIOS_AND_LOGS
    try:
        for place in places:
            setattr(place, constant, after)
        if name == _RATIOS:
            sequential._RATIOS_AND_LOGS = tuple((ratio, log(ratio)) for ratio in after)
        _forget()
        yield
    finally:
        for place in places:
            setattr(place, constant, before)
        sequential._RATIOS_AND_LOGS = logs
        _forget()


def _found(name: str) -> tuple[ModuleType, str, str]:
    room, module, constant, *field = name.split(".")
    return importlib.import_module(f"opsloop.core.{room}.{module}"), constant, "".join(field)


def _assigned(module: ModuleType) -> Iterator[str]:
    """Names in capitals that the module itself assigns."""
    assert module.__file__ is not None
    for node in ast.parse(Path(module.__file__).read_text()).body:
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
    tree = ast.parse(Path(str(module.__file__)).read_text())
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == owner.__name__
        and any(a.name == constant for a in node.names)
        for node in tree.body
    )


def _forget() -> None:
    """Empties what functions of opsloop remember of earlier calls."""
    for module in _opsloop():
        if module.__name__.startswith("opsloop.core") or module.__name__.startswith("opsloop.api"):
            for value in list(vars(module).values()):
                if callable(getattr(value, "cache_clear", None)):
                    value.cache_clear()
