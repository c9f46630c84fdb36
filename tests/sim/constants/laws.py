"""What one value of a constant changes on samples: canaries, pages and blame, each a part of the laws (`tests/sim/laws`).

A part is drawn from its number alone, so that every value of a constant meets the same samples.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from random import Random
from typing import Final

from opsloop.api.slo import Slo
from opsloop.core.incident import weights
from opsloop.simulator.figures import Goal, Sample
from tests.sim.laws import blame, causes, nulls, pages, power, words
from tests.sim.laws.rollouts import analysis_of, hold_of, roll_out, slo_of
from tests.sim.laws.weather import Weather

Measured = tuple[list[Sample], list[str]]
"""What a part adds to the figures, and its decisions one by one."""

HARM_PAGED: Final = "harm-paged"
SAID: Final = "said"
GOALS: Final = (
    Goal(HARM_PAGED, "harm that goes on paged within two scrapes of the shipped tiers' ratios", 0.995, "least"),
    Goal(SAID, "what is said to be caught with 80 % is caught with 65 to 95 %", 0.8, "least"),
    *(Goal(row.name, row.name, *((0.5, "least") if row.hits is blame._bad else (0.2, "most"))) for row in blame.ROWS),
)
"""Figures that only the laws have; those of blame have limits that say what is no small change."""

_HEALTHY: Final = (
    ("bursts of 5–100", 5.0, 0.999),
    ("live above the floor", 5.0, 0.999),
    ("outages of both", 5.0, 0.999),
    ("at the margin, 1.5 × live", 100.0, 0.999),
    ("as good as live", 5.0, 0.99),
    ("1.3 × live", 5.0, 0.99),
    ("below ¼ of the budget", 100.0, 0.999),
    ("outages of both", 1000.0, 0.99),
)
"""(kind, requests/s, objective): the hardest rows of the law of healthy canaries, and easy ones."""
_HARMFUL: Final = ((3, 100.0), (10, 5.0), (10, 100.0), (40, 5.0), (40, 1000.0))
"""(multiple of live's errors, requests/s)"""
_ROLLOUTS: Final = 5  # of each in a part
_DAYS: Final = 500
_HARMS: Final = ((1.0, 0.0288), (100.0, 0.0288), (1.0, 0.2), (1.0, 1.0), (100.0, 1.0))  # (requests/s, error ratio)
_SITUATIONS: Final = 12  # weathers of a kind in a part


def canaries(part: int) -> Measured:
    """Healthy canaries of the hardest kinds, and harmful ones."""
    samples, decisions, analysis = list[Sample](), list[str](), analysis_of()
    for number, (kind, rps, objective) in enumerate(_HEALTHY * _ROLLOUTS):
        random, slo = Random(f"healthy {part} {number}"), slo_of(objective)
        weather = nulls.healthy(kind, rps, objective, random)
        end = roll_out(weather, slo, analysis, random)
        decisions.append(f"{kind} {end.state} {end.seconds:.0f}")
        samples.append(Sample("healthy-rejected", 1, end.state == "rejected"))
        if objective < 0.999 or rps > 5:  # else ten minutes have too few events: docs/laws.md
            late = end.seconds > nulls.LATE * hold_of(weather).total_seconds()
            samples.append(Sample("promoted-in-time", 1, end.state != "promoted" or late))
    for number, (multiple, rps) in enumerate(_HARMFUL * _ROLLOUTS):
        most = power.goal(multiple, rps)
        weather = Weather(
            rps, power.LIVE, multiple * power.LIVE, scrape=power.SCRAPE, weights=((100 * power.SHARE, 86_400.0),)
        )
        random = Random(f"harmful {part} {number}")
        end = roll_out(weather, slo_of(power.OBJECTIVE), analysis, random, most=most / rps + power.SCRAPE)
        late = end.state != "rejected" or end.requests > most
        decisions.append(f"{multiple} × {end.state} {end.seconds:.0f}")
        samples.append(Sample(f"harmful-{multiple}", 1, late))
    return samples, decisions


def tiers(part: int) -> Measured:
    """Service-days at half the budget, half of it in bursts; and harm that goes on."""
    samples, decisions = list[Sample](), list[str]()
    for rps, objective, figure in ((1.0, 0.999, "false-pages"), (0.1, 0.99, "false-pages-quiet")):
        case = pages.Case(rps, objective, 0.5)
        found = pages.days(case, _DAYS, slo_of(objective), Random(f"days {part} {case}"))
        samples.append(Sample(figure, found.days, found.pages))
        decisions.append(f"{rps:g} {found.pages} {found.crossed}")
    for number, (rps, ratio) in enumerate(_HARMS):
        due, (at,) = _due(part, number), pages.detections(*_harm(rps, ratio, part, number)).found
        samples.append(Sample(HARM_PAGED, 1, at > due))
        decisions.append(f"{rps:g} {ratio:g} {at:.0f}")
    return samples, decisions


@cache
def _due(part: int, number: int) -> float:
    """Two scrapes after a tier as shipped burns over both windows."""
    found = pages.detections(*_harm(*_HARMS[number], part, number))
    return found.found[0] - found.added[0] + 2 * pages.SCRAPE


def _harm(rps: float, ratio: float, part: int, number: int) -> tuple[pages.Case, float, int, Slo, Random]:
    return pages.Case(rps, 0.999, 0.0), ratio, 1, slo_of(0.999), Random(f"harm {part} {number}")


def said(part: int) -> Measured:
    """What is said of a canary that went on, tried out."""
    claim = words.claim(5.0, 0.99, 40, 100, Random(f"said {part}"))
    return [Sample(SAID, 1, not 0.65 <= claim.caught <= 0.95)], [f"{claim.ratio:.4f} {claim.caught:.2f}"]


def blamed(part: int) -> Measured:
    """Which change is named for a harm. Its counts are drawn once; what is read of them, and concluded, is done again."""
    found = {kind: list(_situations(kind, part)) for kind in blame.KINDS}
    rows = blame.table(found, weights.WEIGHTS)
    samples = [
        Sample(one.row.name, one.of, one.hits if one.row.hits is not blame._bad else one.of - one.hits) for one in rows
    ]
    concluded = [(kind, one.blame(weights.WEIGHTS)) for kind, those in found.items() for one in those]
    return samples, [f"{kind} {b.version} {b.confidence >= blame.SURE}" for kind, b in concluded]


def _situations(kind: str, part: int) -> Iterator[causes.Situation]:
    yield from map(causes.known, _skies(kind, part))


@cache
def _skies(kind: str, part: int) -> list[causes.Sky]:
    """Those in which a tier fires, at the scrape that shows it."""
    found = []
    for number in range(_SITUATIONS):
        random = Random(f"blame {part} {kind} {number}")
        sky = causes.Sky(random, causes.weather(random, kind))
        while sky.now <= sky.weather.begins + causes.LONGEST:
            sky.scrape()
            if sky.now > sky.weather.begins and (sky.weather.harm == 0 or sky.fires()):
                found.append(sky)
                break
    return found


LAWS: Final[Mapping[str, Callable[[int], Measured]]] = {
    "canaries": canaries,
    "tiers": tiers,
    "said": said,
    "blamed": blamed,
}


def prepare(law: str, part: int) -> None:
    """Draws what is drawn once, with every constant as shipped."""
    if law == "tiers":
        for number in range(len(_HARMS)):
            _due(part, number)
    if law == "blamed":
        for kind in blame.KINDS:
            _skies(kind, part)
