"""Several objectives of one Release as one: the worst decides, and says its name.

    firing    the most severe tier of any; of equals the one that burns most above its factor
    burning   any burns; unknown ones beside it hide nothing
    unknown   any is unknown, however well the others are
    ok        all are, apart from quiet ones
    back      all are; False if one surely is not

An objective is quiet where nothing happened in it and its windows hold no harm: a rare kind of request. It is neither
harmed nor unread while another objective is known; where all are quiet, the Release is unknown (NoEvents) as ever.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from opsloop.core.readings import Readings, Told, Verdict
from opsloop.core.slo.burn_rate import NO_EVENTS, TRAFFIC_GONE
from opsloop.core.slo.objectives import label


def merged(each: Mapping[str, Readings]) -> Readings:
    """The readings of a Release from those of its objectives, by name and in their order. `each` is not empty."""
    named = {name: _named(name, readings) for name, readings in each.items()}
    if len(named) == 1:
        return next(iter(named.values()))
    verdict = _verdict([readings.verdict for readings in named.values()])
    worst = named[verdict.name] if verdict else next(iter(named.values()))
    onsets = [r.onset for r in named.values() if r.onset is not None]
    return replace(
        worst,
        verdict=verdict,
        onset=worst.onset or min(onsets, default=None),
        told=_told({name: readings.told for name, readings in named.items()}),
        silent=max(readings.silent for readings in named.values()),
        harm=worst.harm or next((r.harm for r in named.values() if r.harm), None),
        remarks=tuple(
            replace(remark, message=f"{label(name)}{remark.message}")
            for name, readings in named.items()
            for remark in readings.remarks
        ),
        each=named,
    )


def readings_of(readings: Readings, name: str) -> Readings:
    """Those of one objective; empty ones where it was not read (yet)."""
    if readings.each:
        return readings.each.get(name, Readings())
    return readings if readings.verdict is None or readings.verdict.name == name else Readings()


def about(readings: Readings, name: str) -> Readings:
    """Those of an objective that something was decided on; all as one where the Release does not have it any more."""
    return readings_of(readings, name) if name in each_of(readings) else readings


def each_of(readings: Readings) -> Mapping[str, Readings]:
    """By name of the objective, also where there is only one."""
    return readings.each or {readings.verdict.name if readings.verdict else "": readings}


def verdicts(verdict: Verdict) -> tuple[Verdict, ...]:
    """The verdict on each objective."""
    return verdict.each or (verdict,)


def unread(verdict: Verdict) -> Verdict | None:
    """The verdict on an objective that is unknown now, whatever the others say; None where all are known or quiet."""
    unknown = [v for v in verdicts(verdict) if v.band == "unknown"]
    loud = [v for v in unknown if not is_quiet(v)]
    if loud:
        return min(loud, key=_rank)
    return unknown[0] if len(unknown) == len(verdicts(verdict)) else None


def is_quiet(verdict: Verdict) -> bool:
    """True where nothing happened lately in this objective, and no window holds harm from before."""
    if verdict.band != "unknown" or verdict.reason != NO_EVENTS:
        return False
    return all((burn or 0.0) <= 1 for tier in verdict.tiers for burn in (tier.burn_long, tier.burn_short))


def _named(name: str, readings: Readings) -> Readings:
    verdict = readings.verdict
    if verdict is None or verdict.name == name:
        return readings
    return replace(readings, verdict=replace(verdict, name=name))


def _verdict(each: Iterable[Verdict | None]) -> Verdict | None:
    """The worst one, with what all of them say; None while one was not read yet and none fires."""
    every = list(each)
    known = [verdict for verdict in every if verdict is not None]
    if not known or (len(known) < len(every) and not any(v.firing for v in known)):
        return None
    worst = min(known, key=_rank)
    return replace(
        worst,
        back=all_back(v for v in known if not is_quiet(v)),
        burning=any(v.burning for v in known),
        each=tuple(known),
    )


def _rank(verdict: Verdict) -> tuple[int, str, float]:
    """Smaller is worse."""
    if verdict.firing is not None:
        tier = verdict.firing.tier
        return 0, tier.severity, -(verdict.firing.burn_long or 0.0) / tier.factor
    if verdict.band in ("fast", "slow"):
        return 1, "", 0.0 if verdict.burning else 1.0
    if verdict.band == "unknown" and not is_quiet(verdict):
        return 2, "", 0.0 if verdict.reason == TRAFFIC_GONE else 1.0
    return (4, "", 0.0) if verdict.band == "unknown" else (3, "", 0.0)


def all_back(each: Iterable[Verdict]) -> bool | None:
    """True where each of these objectives is back, False where one surely is not, None where nobody can say."""
    answers = [verdict.back for verdict in each]
    if False in answers:
        return False
    return None if None in answers or not answers else True


def _told(each: Mapping[str, Told | None]) -> Told | None:
    """Apart only if all are; the message is of those that are not."""
    found = [(label(name), told) for name, told in each.items() if told is not None]
    if not found:
        return None
    apart = False if any(t.apart is False for _, t in found) else None if len(found) < len(each) else True
    if apart and any(t.apart is None for _, t in found):
        apart = None
    same = [(prefix, told) for prefix, told in found if told.apart is apart] or found
    message = "; ".join(f"{prefix}{told.message}" for prefix, told in same)
    return Told(apart, same[0][1].reason, message[:1024])
