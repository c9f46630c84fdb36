"""What rollbacks said of themselves, against what the oracle knows: it counts what each version served."""

from typing import Final

from opsloop.simulator.burn import objectives
from opsloop.simulator.episode import Episode
from opsloop.simulator.record import PlayEnd
from opsloop.simulator.weather import MAIN

LOOKED_AT: Final = 60.0  # seconds before a play ended, in which the pods that run after it were well or not
FEWEST: Final = 20  # requests that say so
BY_CHANCE: Final = 2  # bad ones among few are no harm
STILL: Final = (
    300.0  # seconds after the effect in which users still fail, so that the play has to be named: its timeout
)


def wrongly_unhelped(episode: Episode) -> list[str]:
    """Rollbacks that ended as DidNotHelp while the versions that do no harm served well."""
    found = []
    for play in episode.record.plays:
        if (play.type, play.state, play.reason) != ("rollback", "DidNotHelp", "StillHarmed") or play.effect is None:
            continue
        if _is_well(episode, play, max(play.effect, play.at - LOOKED_AT), play.at) is True:
            found.append(f"DidNotHelp at {play.at:.0f} s, {play.at - play.effect:.0f} s after it was in effect")
    return found


def not_named(episode: Episode) -> list[str]:
    """An entry for each rollback after which users failed as before until its time was over; empty where it says so."""
    outage, plays = episode.weather.outage, episode.record.plays
    if outage is None or episode.weather.kind != "starved-outage":
        return []
    begin, _, length = outage
    owed = [p for p in plays if p.type == "rollback" and p.service == MAIN and p.effect is not None]
    owed = [p for p in owed if begin <= (p.effect or 0.0) and (p.effect or 0.0) + STILL <= begin + length]
    owed = [p for p in owed if _is_well(episode, p, p.effect or 0.0, (p.effect or 0.0) + STILL) is False]
    return ["" if p.state == "DidNotHelp" else f"{p.state} {p.reason} at {p.at:.0f} s" for p in owed]


def _is_well(episode: Episode, play: PlayEnd, begin: float, end: float) -> bool | None:
    """Whether the versions that do no harm met every objective then; None where too few requests say so."""
    service = next(s for s in episode.weather.services if s.name == play.service)
    tallies = [t for t in episode.tallies[service.name] if begin < t.at <= end and t.version]
    own = [t for t in tallies if not episode.weather.harmful(service.name, t.version)]
    total = sum(t.total for t in own)
    if total < FEWEST:
        return None
    return all(sum(map(one.bad, own)) <= max(BY_CHANCE, 2 * one.budget * total) for one in objectives(service))
