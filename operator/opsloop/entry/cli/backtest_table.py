"""A backtest as text for people, and as JSON for programs."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import isinf
from typing import Any

from opsloop.api.meta import format_duration, format_time
from opsloop.core.backtest.results import Backtest, Each, Episode, Tried
from opsloop.core.backtest.rollouts import Rollout
from opsloop.core.slo.canary import rough_duration
from opsloop.core.text import line

MOST_DEPLOYS = 40  # that are shown, the latest; all are in the JSON
HEAD = ("objective", "pages", "a month", "open", "tickets", "budget spent", "stopped", "rolled back", "known")


def table(result: Backtest) -> list[str]:
    """Lines: objectives side by side, then pages, deploys, the SLI, and what a canary needs."""
    length, step = format_duration(result.span), format_duration(result.step)
    head = f"{result.release} in {result.namespace}, {_at(result.since)} to {_at(result.until)} UTC ({length} in steps of {step})"
    lines = [head, "", *_columns([HEAD, *(_row(result, one) for one in result.tried)])]
    lines += [f"  {text}" for one in result.tried for text in one.dropped]
    for one in result.tried:
        lines += ["", f"an objective of {one.objective:g} would have paged{'' if one.paged else ' nobody'}"]
        lines += list(_pages(result, one))
    lines += ["", *_deploys(result), "", *_quality(result), "", _canary(result)]
    lines += [f"note: {text}" for text in result.notes]
    return [line(text) for text in lines]


def _row(result: Backtest, one: Tried) -> tuple[str, ...]:
    first = one.each[0]
    open_for = sum((e.open_for(result.until) for e in one.paged), timedelta(0))
    stopped = sum(r.outcome == "stopped" for _, r in one.rollouts)
    rolled = sum(e.rollback is not None for e in one.episodes)
    deploys = len(one.rollouts) if result.deploys.how else None
    return (
        f"{one.objective:g}",
        str(sum(len(e.calls) for e in one.episodes)),
        f"{one.calls_a_month(result.span):.1f}",
        _long(open_for) if open_for else "-",
        str(sum(not e.pages for e in one.episodes)),
        "?" if first.spent is None else f"{first.spent:.0%}",
        "?" if deploys is None else f"{stopped} of {deploys}",
        "?" if deploys is None else str(rolled),
        f"{first.sight.coverage:.1%}",
    )


def _pages(result: Backtest, one: Tried) -> Iterator[str]:
    for episode in one.paged:
        begin, called = episode.spans[0][0], episode.calls[0]
        over = episode.spans[-1][1] is not None
        long = f"open for {_long(episode.open_for(result.until))}{'' if over else ', still open'}"
        since = f", since {_at(begin)}" if called - begin > result.step else ""
        again = f", {len(episode.calls)} calls" if len(episode.calls) > 1 else ""
        yield f"  {_at(called)}  {episode.severity}  {long}{since}{again}: {episode.title}"
        if episode.rollback is not None:
            back = episode.rollback
            yield f"    rolled back at {_at(back.at)} from {back.version} to {back.to} (sure by {back.confidence:.2f}; {result.runbook})"
        elif episode.cause:
            yield f"    cause: {episode.cause}"
    quiet = [e for e in one.episodes if not e.pages]
    if quiet:
        yield f"  and {len(quiet)} that call nobody ({', '.join(sorted({e.severity for e in quiet}))}), the first at {_at(quiet[0].spans[0][0])}"


def _deploys(result: Backtest) -> Iterator[str]:
    if not result.deploys.how:
        yield "deploys: unknown"
        return
    shown = result.tried[0].rollouts[-MOST_DEPLOYS:]
    more = len(result.deploys.new) - len(shown)
    yield f"{len(result.deploys.new)} deploys, by {result.deploys.how}{f'; the last {len(shown)}' if more else ''}"
    for number, (deploy, _) in enumerate(shown, start=more):
        said = [(one.objective, one.rollouts[number][1]) for one in result.tried]
        yield f"  {_at(deploy.at)}  {deploy.version}"
        for texts in _alike(said):
            yield f"    {texts}"


def _alike(said: Sequence[tuple[float, Rollout]]) -> Iterator[str]:
    """One line for the objectives that come to the same."""
    by_text: dict[str, list[str]] = {}
    for objective, rollout in said:
        by_text.setdefault(_became(rollout), []).append(f"{objective:g}")
    for text, objectives in by_text.items():
        yield f"{', '.join(objectives)}: {text}"


def _became(one: Rollout) -> str:
    after = _long(timedelta(seconds=one.seconds))
    match one.outcome:
        case "stopped":
            instead = f"{one.bad:.0f} bad events instead of {one.served_bad:.0f} by then"
            return f"stopped after {after} at weight {one.weight}, {instead}: {one.message}"
        case "passed":
            return f"passed after {after}" + (f"; {one.message}" if one.message else "") if one.seconds else one.message
        case "waits":
            return f"waits for a person after {after} at weight {one.weight}: {one.message}"
        case "replaced":
            return f"undecided after {after}: {one.message}"
        case _:
            return f"not known: {one.message}"


def _quality(result: Backtest) -> Iterator[str]:
    quality = result.quality
    yield "the SLI"
    for one in result.tried[0].each:
        yield f"  {one.name}: {_seen(result, one)}"
        for remark, looks in one.sight.remarks.values():
            yield f"  {one.name}: {remark.reason} for {looks / max(1, one.sight.looks):.0%} of the time: {remark.message}"
    for part in quality.parts:
        if part.series:
            yield f"  {part.field}: {part.series} series at most, {part.share:.0%} of the time"
        else:
            yield f"  {part.field}: never matched anything: {part.selector}; {part.guilty}"
    yield f"  pods: {quality.pods}"
    yield f"  versions: {'' if quality.apart is not False else 'NOT told apart: '}{quality.told}"


def _seen(result: Backtest, one: Each) -> str:
    sight = one.sight
    text = f"data for {sight.coverage:.1%} of the time"
    if one.error_ratio is not None:
        text += f", {one.error_ratio:.3%} bad"
    if sight.blind:
        text += f"; longest without: {_long(sight.blind)}"
    for reason, looks in sight.unknown.most_common(3):
        detail = sight.detail.get(reason, "")
        text += f"; {reason} for {_long(looks * result.step)}{f' ({detail})' if detail else ''}"
    return text


def _canary(result: Backtest) -> str:
    seen = result.traffic
    if seen.rate is None:
        return "canary: no traffic in the last day, so no canary could be judged"
    if not seen.has:
        return "canary: the first step has weight 100, so nothing is tried before all users meet it"
    beside = f" beside {seen.pods} pods" if seen.pods else ""
    needs = "for ever" if isinf(seen.needs) else rough_duration(seen.needs)
    enough = (
        ""
        if seen.needs <= seen.has
        else "; NOT ENOUGH TRAFFIC: raise its weight, hold or patience, or lower the objective"
    )
    return (
        f"canary: at {seen.rate:.3g} events/s{beside} its first step takes {needs} to rule out what would page,"
        f" and has {rough_duration(seen.has)} in hold and patience{enough}"
    )


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _long(span: timedelta) -> str:
    return format_duration(timedelta(seconds=round(span.total_seconds())))


# --- JSON


def as_json(result: Backtest) -> str:
    """All of it."""
    return json.dumps(
        {
            "release": result.release,
            "namespace": result.namespace,
            "since": format_time(result.since),
            "until": format_time(result.until),
            "stepSeconds": result.step.total_seconds(),
            "objectives": [_tried(result, one) for one in result.tried],
            "deploysBy": result.deploys.how or None,
            "deploys": [
                {
                    "at": format_time(one.at), "version": one.version, "name": one.name, "before": one.before,
                    "pods": one.pods or None,
                    "outcomes": {f"{t.objective:g}": _rollout(t.rollouts[n][1]) for t in result.tried},
                }
                for n, one in enumerate(result.deploys.new)
            ],
            "sli": {
                "parts": [
                    {"field": p.field, "selector": p.selector, "series": p.series, "share": round(p.share, 4), "problem": p.guilty or None}
                    for p in result.quality.parts
                ],
                "pods": result.quality.pods,
                "versionsToldApart": result.quality.apart,
                "versions": result.quality.told,
            },
            "canary": {
                "eventsPerSecond": result.traffic.rate,
                "pods": result.traffic.pods or None,
                "firstStepNeedsSeconds": None if isinf(result.traffic.needs) else round(result.traffic.needs),
                "firstStepHasSeconds": result.traffic.has,
            },
            "queries": result.queries,
            "notes": list(result.notes),
        },
        indent=2,
    )  # fmt: skip


def _tried(result: Backtest, one: Tried) -> dict[str, Any]:
    return {
        "objective": one.objective,
        "pages": sum(len(e.calls) for e in one.episodes),
        "pagesPerMonth": round(one.calls_a_month(result.span), 2),
        "minutesOpen": round(sum(e.open_for(result.until).total_seconds() for e in one.paged) / 60, 1),
        "incidents": [_episode(e) for e in one.episodes],
        "each": [
            {
                "name": e.name, "objective": e.objective, "budgetSpent": e.spent, "errorRatio": e.error_ratio,
                "coverage": round(e.sight.coverage, 5), "longestWithoutDataSeconds": e.sight.blind.total_seconds(),
                "unknownSeconds": {k: n * result.step.total_seconds() for k, n in e.sight.unknown.items()},
                "remarks": {k: {"looks": n, "message": r.message} for k, (r, n) in e.sight.remarks.items()},
            }
            for e in one.each
        ],
        "droppedTiers": list(one.dropped),
    }  # fmt: skip


def _episode(one: Episode) -> dict[str, Any]:
    back = one.rollback
    return {
        "name": one.name,
        "severity": one.severity,
        "title": one.title,
        "open": [[format_time(begin), format_time(end) if end else None] for begin, end in one.spans],
        "calls": [format_time(at) for at in one.calls],
        "cause": one.cause or None,
        "rollback": {"at": format_time(back.at), "from": back.version, "to": back.to, "confidence": back.confidence}
        if back
        else None,
    }


def _rollout(one: Rollout) -> dict[str, Any]:
    return {
        "outcome": one.outcome, "seconds": round(one.seconds), "weight": one.weight, "canaryBad": round(one.bad, 1),
        "canaryEvents": round(one.total), "servedBad": round(one.served_bad), "message": one.message,
    }  # fmt: skip
