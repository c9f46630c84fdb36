"""What every format is read into, and how SLOs of one service become the objectives of one Release."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from opsloop.api.meta import PAGING, format_duration
from opsloop.api.slo import MOST_ALSO, Slo
from opsloop.core.slo.foreign.counters import surely_counts
from opsloop.core.slo.tiers import default_tiers
from opsloop.errors import Invalid

_LONGEST_NAME = 32
_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0, "w": 168.0}
_DAYS = {"M": 30, "Q": 90, "Y": 365}  # of what is no fixed time


@dataclass(frozen=True, slots=True)
class Foreign:
    """One SLO of another tool. `sli` is None where it cannot be taken over; `left` says what was left out, and why."""

    tool: str
    service: str
    name: str
    objective: float
    period: timedelta
    sli: dict[str, Any] | None
    pages: bool = True
    tickets: bool = True
    left: tuple[str, ...] = ()


@dataclass(slots=True)
class Fragment:
    """`slo` of a Release's spec; empty where no SLO of this service could be taken over."""

    title: str
    slo: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    lost: int = 0  # SLOs that could not be taken over


def joined(every: Iterable[Foreign]) -> list[Fragment]:
    """SLOs of one service and period as objectives of one Release, at most five; others as fragments of their own."""
    groups: dict[tuple[str, str, timedelta], list[Foreign]] = {}
    for one in every:
        groups.setdefault((one.tool, one.service, one.period), []).append(one)
    made = []
    for (tool, service, period), members in groups.items():
        title = f"{tool}, service {service}, {format_duration(period)}"
        usable = [one for one in members if one.sli is not None]
        batches = [usable[at : at + 1 + MOST_ALSO] for at in range(0, len(usable), 1 + MOST_ALSO)] or [[]]
        for number, batch in enumerate(batches):
            fragment = Fragment(title if number == 0 else f"{title}, for another Release")
            fragment.slo = _slo(batch, period) if batch else {}
            fragment.left = [text for one, name in zip(batch, _names(batch), strict=True) for text in _left(one, name)]
            made.append(fragment)
        lost = [one for one in members if one.sli is None]
        made[-len(batches)].left += [text for one in lost for text in _left(one)]
        made[-len(batches)].lost = len(lost)
    return made


def _left(one: Foreign, name: str = "") -> list[str]:
    said = list(one.left)
    if name and name != one.name:
        said.append(f"is called {name} here")
    if one.sli is not None and not surely_counts(one.sli):
        said.append(
            "its queries are taken as they are; whether they count events, the condition TelemetryKnown will say"
        )
    return [f"{one.name}: {text}" for text in said]


def _slo(members: Sequence[Foreign], period: timedelta) -> dict[str, Any]:
    names = _names(members)
    first, *others = [
        {"name": name, "objective": one.objective, "sli": one.sli, **_tiers(one)}
        for one, name in zip(members, names, strict=True)
    ]
    slo = {"name": first.pop("name"), "objective": first.pop("objective"), "period": format_duration(period), **first}
    if others:
        slo["also"] = others
    Slo.model_validate(slo)
    return slo


def _tiers(one: Foreign) -> dict[str, Any]:
    """Tiers where alerts are switched off there; else none, so that opsloop's defaults apply."""
    if one.pages and one.tickets:
        return {}
    tiers = []
    for tier in default_tiers(one.objective, one.period)[0]:
        is_page = tier.severity in PAGING
        if is_page and not one.pages:
            tiers.append(tier.model_copy(update={"severity": "sev3"}))
        elif is_page or one.tickets or not one.pages:
            tiers.append(tier)
    return {"tiers": [tier.dump() for tier in tiers]} if tiers else {}


def _names(members: Sequence[Foreign]) -> list[str]:
    """Names as an objective may have them, each once."""
    found: list[str] = []
    for one in members:
        name = re.sub(r"[^a-z0-9]+", "-", one.name.lower()).strip("-")[:_LONGEST_NAME].strip("-")
        name = name if re.match("[a-z]", name) else f"slo-{name}"[:_LONGEST_NAME].strip("-")
        unique, number = name, 2
        while unique in found:
            ending = f"-{number}"
            unique, number = name[: _LONGEST_NAME - len(ending)].strip("-") + ending, number + 1
        found.append(unique)
    return found


def fraction(percent: Any) -> float:
    """99.9 as 0.999, without the rounding of a division. Raises Invalid."""
    return share(_decimal(percent) / 100)


def share(value: Any) -> float:
    """A fraction between 0 and 1. Raises Invalid."""
    number = float(_decimal(value))
    if not 0 < number < 1:
        raise Invalid(f"an objective of {number:g} is no fraction between 0 and 1")
    return number


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value).strip().removesuffix("%"))
    except InvalidOperation as error:
        raise Invalid(f"{value!r} is no number") from error


def period(text: Any) -> tuple[timedelta, str]:
    """A duration such as 28d, 4w, 1M or 1Q, and a sentence where it is not the same time here. Raises Invalid."""
    found = re.fullmatch(r"([0-9]{1,4})([mhdwMQY])", str(text).strip())
    if not found or not int(found[1]):
        raise Invalid(f"{text!r} is no duration such as 28d, 4w or 1M")
    number, unit = int(found[1]), found[2]
    if unit in _DAYS:
        days = number * _DAYS[unit]
        return timedelta(days=days), f"a period of {text} is taken as {days}d, which is always as long"
    return timedelta(hours=number * _HOURS[unit]), ""
