"""What a namespace has learnt of its alert rules: the lessons of Incidents that are over, and their stored form."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from opsloop.api.incident import Incident
from opsloop.api.meta import format_time, parse_time
from opsloop.core.correlation.facts import Reader, Reading, weighted_median
from opsloop.core.correlation.lags import MOST_PAST, Lessons
from opsloop.core.facts import CorrelationFacts, Experience
from opsloop.errors import Invalid

KEY = "lags.json"  # of the ConfigMap's data
MOST_RULES = 500  # of which lessons are kept: those that spoke last


def learnt(facts: CorrelationFacts, reader: Reader, grace: timedelta, now: datetime) -> Experience:
    """The experience with the lessons of Incidents that ended since; the same object where none did."""
    experience = facts.experience
    for incident in teachers(facts.incidents, experience, grace, now):
        ledger, ended = facts.ledgers.get(incident.metadata.name), incident.status.resolved_at
        if ledger is None or ended is None:
            continue
        lessons = Lessons(experience.past)
        if readings := [reading for alert in ledger.alerts if (reading := reader(alert)).kind]:
            lessons = lessons.after_fault(_began(incident, readings), readings, reader.rules)
        experience = Experience(dict(list(lessons.past.items())[-MOST_RULES:]), ended)
    return experience


def teachers(incidents: Iterable[Incident], experience: Experience, grace: timedelta, now: datetime) -> list[Incident]:
    """Incidents with alerts that ended within `grace` and after the last one that taught, in that order."""
    ended = [
        (i.status.resolved_at, i.metadata.name, i)
        for i in incidents
        if i.status.alerts.count
        and i.status.resolved_at
        and i.resolved_within(grace, now)
        and (experience.until is None or i.status.resolved_at > experience.until)
    ]
    return [incident for _, _, incident in sorted(ended, key=lambda found: found[:2])]


def dump(experience: Experience) -> dict[str, str]:
    """`data` of the ConfigMap; its size is bounded by the numbers above."""
    late = {rule: [round(seconds, 1) for seconds in known] for rule, known in experience.past.items()}
    until = format_time(experience.until) if experience.until else None
    return {KEY: json.dumps({"late": late, "until": until})}


def load(data: Mapping[str, str]) -> Experience:
    """The inverse of `dump`. Raises Invalid for what opsloop did not write."""
    try:
        content = json.loads(data[KEY])
        past = {rule: _seconds(known) for rule, known in content["late"].items()}
        until = parse_time(content["until"]) if content["until"] else None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"data.{KEY}: not the lags that opsloop learnt ({error!r:.200})") from error
    return Experience(dict(list(past.items())[-MOST_RULES:]), until)


def _seconds(known: Sequence[Any]) -> tuple[float, ...]:
    numbers = tuple(float(late) for late in known[-MOST_PAST:])
    if not numbers or not all(isfinite(late) for late in numbers):
        raise ValueError("late: a rule needs finite numbers of seconds")
    return numbers


def _began(incident: Incident, readings: Sequence[Reading]) -> float:
    """When its fault began: as measured, else as all of its alerts say."""
    if incident.status.onset_at is not None:
        return incident.status.onset_at.timestamp()
    return weighted_median([(reading.onset, reading.spread**-2) for reading in readings])
