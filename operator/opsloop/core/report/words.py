"""A report in words: headings, and under each of them lines of cells. What is not known is called unknown."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.meta import format_duration
from opsloop.core.postmortem.markdown import UNKNOWN, length, number, percent
from opsloop.core.report.changes import Failed, Stopped
from opsloop.core.report.facts import Budget
from opsloop.core.report.figures import Figures, Times
from opsloop.core.report.report import CaughtVersion, Report, Row
from opsloop.core.slo.objectives import label
from opsloop.names import COMMITTED

NOTHING = "–"
A_DAY, A_WEEK = timedelta(days=1), timedelta(days=7)
NOBODY_SERVED = "dark: it served nobody"


@dataclass(frozen=True, slots=True)
class Part:
    """What stands under one heading. Without a header the first of two cells names the second."""

    heading: str
    rows: tuple[tuple[str, ...], ...]
    header: tuple[str, ...] = ()


def title(report: Report, namespace: str) -> str:
    """`namespace` is "" for all of them."""
    where = f"namespace {namespace}" if namespace else "all namespaces"
    window = report.window
    span = f"{_minute(window.since)} to {_minute(window.until)} UTC"
    return (
        f"opsloop report: {where}, {span} ({format_duration(timedelta(seconds=round(window.length.total_seconds())))})"
    )


def parts(report: Report) -> list[Part]:
    """All of it; headings without anything below are left out."""
    whole, several = report.whole, len(report.by_namespace) > 1
    spaces = [(name, *_columns(figures, report.knows_changes(name))) for name, figures in report.by_namespace.items()]
    every = [
        Part("Incidents", tuple(_incidents(whole))),
        Part("Changes", tuple(_changes(report))),
        Part("By namespace", tuple(spaces) if several else (), ("Namespace", *COLUMNS)),
        Part("By Release", tuple((_name(row, several), *_columns(row.figures, row.knows_changes)) for row in report.rows), ("Release", *COLUMNS)),
        Part("Error budgets", tuple(_budget(b, several) for row in report.rows for b in row.budgets), BUDGET),
        Part("Changes that failed", tuple(_failed(one, several) for one in report.failed), CHANGE),
        Part("Changes that a canary stopped", tuple(_stopped(one, several) for one in report.stopped), CHANGE),
        Part("Cases that caught something", tuple(_caught(one, several) for one in report.caught), CAUGHT),
        Part("Known in part", tuple((remark,) for remark in report.remarks), ("",)),
    ]  # fmt: skip
    return [part for part in every if part.rows]


# --- the figures of all


def _incidents(whole: Figures) -> Iterable[tuple[str, str]]:
    kinds = ", ".join(f"{n} {severity}" for severity, n in sorted(whole.severities.items()))
    more = [f"{whole.open} not resolved"] if whole.open else []
    more += [f"reopened {whole.reopened} times"] if whole.reopened > 1 else ["one reopened"] if whole.reopened else []
    more += [f"{whole.merged} more were merged into these"] if whole.merged else []
    yield "Incidents", f"{whole.incidents}" + (f": {'; '.join([kinds, *more])}" if whole.incidents else "")
    if whole.incidents:
        causes = sorted(whole.causes.items(), key=lambda pair: (-pair[1], pair[0]))
        yield "Causes", ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in causes)
        yield "Time to detect", _times(whole.detect)
        yield "Time to mitigate", _times(whole.mitigate)
        yield "Time to resolve", _times(whole.resolve)


def _changes(report: Report) -> Iterable[tuple[str, str]]:
    """DORA's four, and what never became live."""
    whole, since = report.whole, report.changes_since
    if since is None:
        yield "Deployment frequency", f"{UNKNOWN}: no history of changes is stored"
    else:
        how = f": {whole.promoted} by canary, {whole.pushed} without one" if whole.deployments else ""
        yield "Deployment frequency", f"{whole.deployments}{how}{_frequency(whole, report.window.until - since)}"
    yield "Lead time for changes", UNKNOWN if since is None else _lead(whole)
    rate = whole.failure_rate
    said = UNKNOWN if since is None else "nothing was deployed" if rate is None else f"{percent(rate)}: {whole.failed} of {whole.deployments}"  # fmt: skip
    yield "Change failure rate", said
    yield "Time to restore", _times(whole.restore) if whole.restore.count else "nothing harmed users"
    stopped = whole.stopped_dark + whole.stopped_serving
    if stopped:
        dark = f"{whole.stopped_dark} dark, which served nobody, {whole.stopped_serving} while serving a share"
        yield "Stopped by a canary", f"{stopped}: {dark}"


def _frequency(whole: Figures, span: timedelta) -> str:
    """How often, over the time that is known, where that is a day at least."""
    if not whole.deployments or span < A_DAY:
        return ""
    unit, name = (A_DAY, "day") if whole.deployments >= span / A_DAY else (A_WEEK, "week")
    return f"; {number(round(whole.deployments * (unit / span), 1))} a {name}"


def _lead(whole: Figures) -> str:
    rollout = f"from the order to live: {_times(whole.rollout)}" if whole.rollout.count else ""
    if not whole.deployments:
        return "nothing was deployed"
    if not whole.lead.seconds:
        said = f"{UNKNOWN}: no version says when it was committed (annotation {COMMITTED})"
        return "; ".join(filter(None, (said, rollout)))
    return "; ".join(filter(None, (f"from commit to live: {_times(whole.lead)}", rollout)))


def _times(times: Times) -> str:
    """Median and p90, and of how many."""
    rest = [f"{n} {what}" for n, what in ((times.unknown, UNKNOWN), (times.ongoing, "not over")) if n]
    if times.median is None or times.p90 is None:
        return ", ".join(rest) or NOTHING
    known = len(times.seconds)
    if known == 1:
        return ", ".join([f"{length(times.median)} (once)", *rest])
    return ", ".join([f"median {length(times.median)}, p90 {length(times.p90)} ({known} times)", *rest])


# --- tables

COLUMNS = ("Incidents", "Detect", "Mitigate", "Resolve", "Deployed", "Failed", "Stopped", "Caught")


def _columns(figures: Figures, is_known: bool) -> tuple[str, ...]:
    """Medians and counts; `is_known`: is there a history of its changes?"""
    spans = (figures.detect, figures.mitigate, figures.resolve)
    middle = [length(times.median) if times.median is not None else NOTHING for times in spans]
    counts = (figures.deployments, figures.failed, figures.stopped_dark + figures.stopped_serving)
    changes = [str(count) if is_known else UNKNOWN for count in counts]
    return (str(figures.incidents), *middle, *changes, str(figures.caught))


def _name(row: Row, several: bool) -> str:
    return _of(row.namespace, row.release or "(no Release)", several)


def _of(namespace: str, name: str, several: bool) -> str:
    return f"{namespace}/{name}" if several else name


BUDGET = ("Release", "Objective", "Bad events", "Of all", "Budget spent")


def _budget(budget: Budget, several: bool) -> tuple[str, ...]:
    name = _of(budget.namespace, budget.release, several)
    goal = f"{label(budget.slo)}{percent(budget.objective)}"
    bad, every = (UNKNOWN if n is None else number(round(n)) for n in (budget.bad, budget.total))
    of = format_duration(budget.period)
    spent = f"{UNKNOWN}: {budget.why}" if budget.spent is None else f"{percent(budget.spent)} of {of}"
    return (name, goal, bad, every, spent)


CHANGE = ("When (UTC)", "Release", "Version", "What happened")


def _failed(one: Failed, several: bool) -> tuple[str, ...]:
    how = "by canary" if one.canaried else "without a canary"
    whose = f" ({one.incident})" if one.incident else ""
    return (_minute(one.at), _of(one.namespace, one.release, several), one.version, f"live {how}; {one.how}{whose}")


def _stopped(one: Stopped, several: bool) -> tuple[str, ...]:
    by = f" by {', '.join(one.cases)}" if one.cases else ""
    served = NOBODY_SERVED if one.dark else "while it served a share"
    return (_minute(one.at), _of(one.namespace, one.release, several), one.version, f"{one.reason}{by}; {served}")


CAUGHT = ("When (UTC)", "Case", "Learnt from", "Caught")


def _caught(one: CaughtVersion, several: bool) -> tuple[str, ...]:
    served = NOBODY_SERVED if one.dark else "while it served a share"
    case = _of(one.namespace, one.case, several)
    return (_minute(one.at), case, one.incident or NOTHING, f"{one.version} of {one.release}; {served}")


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
