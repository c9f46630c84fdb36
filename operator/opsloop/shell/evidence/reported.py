"""What a report over weeks is made of: the stored objects, and the events of each objective as Prometheus counts them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import ObjectModel
from opsloop.api.release import Release
from opsloop.api.slo import DEFAULT_SOURCE, Slo
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.report.facts import Budget, ReportFacts, Window
from opsloop.core.slo import budget as budgets
from opsloop.core.slo.burn_rate import NO_EVENTS, UNREACHABLE
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.splits import scope_of
from opsloop.errors import NotFound, OpsloopError, Unavailable
from opsloop.shell.evidence.history import as_promql
from opsloop.shell.ports import EVALCASES, INCIDENTS, RELEASES, Reader, Resource, Telemetry
from opsloop.shell.slo.query import SliQuery

PATIENCE = timedelta(seconds=60)  # for all events of a month
RESOLUTION = timedelta(
    minutes=1
)  # Prometheus' own default between two scrapes: where it is shorter, no data are missed
YOUNGEST = timedelta(minutes=1)  # age of a Release whose events are counted
NO_ANSWER = "no answer from Prometheus"

M = TypeVar("M", bound=ObjectModel)
TelemetryOf = Callable[[str], Telemetry]  # by namespace


async def gather(reader: Reader, telemetry: TelemetryOf, namespace: str, window: Window) -> ReportFacts:
    """All of one namespace, or with "" of all. What cannot be read is a sentence in `unread`."""
    unread: list[str] = []
    releases = await _all(reader, RELEASES, namespace, Release, unread)
    incidents = await _all(reader, INCIDENTS, namespace, Incident, unread)
    cases = await _all(reader, EVALCASES, namespace, EvalCase, unread)
    found, away = list[Budget](), dict[str, str]()
    for release in sorted(releases, key=lambda one: one.key):
        for slo in objectives(release.spec.slo) if release.spec.slo else ():
            found.append(await _budget(telemetry, release, slo, window, away))
    unread += [f"namespace {name}: {NO_ANSWER}, {why}; --prometheus names another one" for name, why in away.items()]
    others = sorted({r.metadata.name for r in releases if r.spec.slo and r.spec.slo.source != DEFAULT_SOURCE})
    if others:
        unread.append(
            f"{', '.join(others)}: spec.slo.source names another Prometheus; budgets are as the one of --prometheus says"
        )
    return ReportFacts(window, tuple(incidents), tuple(releases), tuple(cases), tuple(found), tuple(unread))


async def _all(reader: Reader, resource: Resource, namespace: str, model: type[M], unread: list[str]) -> list[M]:
    """The objects of a kind; one that does not fit its schema is told of and left out."""
    found = []
    for item in await reader.list(resource, namespace):
        try:
            found.append(model.model_validate(item))
        except ValidationError as error:
            meta, first = item["metadata"], error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            unread.append(
                f"{resource.kind} {meta.get('namespace', '')}/{meta['name']} is left out: {where}: {first['msg']}"
            )
    return found


async def _budget(telemetry: TelemetryOf, release: Release, slo: Slo, window: Window, away: dict[str, str]) -> Budget:
    """`away`: namespaces whose Prometheus did not answer, with the reason: it is not asked again."""
    namespace, name = release.key
    empty = Budget(namespace, name, slo.name, slo.objective, slo.period)
    if namespace in away:
        return replace(empty, why=NO_ANSWER)
    source, at = telemetry(namespace), window.until
    try:
        asked = await as_promql(source, release, slo, at)
    except OpsloopError as error:
        if isinstance(error, Unavailable | NotFound):
            away[namespace] = str(error)
        return replace(empty, why=NO_ANSWER if namespace in away else str(error))
    age = min(slo.period, max(YOUNGEST, at - (release.metadata.creation_timestamp or at - slo.period)))
    spans = {span: timedelta(seconds=round(span.total_seconds())) for span in (window.length, slo.period, age)}
    answer = await SliQuery(source, PATIENCE, RESOLUTION).readings(
        asked, scope_of(release), set(spans.values()), {}, at
    )
    within, whole, young = (answer.windows[spans[span]] for span in (window.length, slo.period, age))
    if isinstance(within, Unknown):
        if within.reason == UNREACHABLE:
            away[namespace] = within.detail
        return replace(empty, why=NO_ANSWER if namespace in away else _why(within))
    rate = budgets.rate(whole, slo.period) or budgets.rate(young, age)
    return _known(empty, within, rate)


def _known(empty: Budget, within: Value, rate: float | None) -> Budget:
    counted = replace(empty, bad=within.bad, total=within.total)
    if not rate:
        return replace(counted, why="there are data for too little of the period")
    return replace(counted, spent=budgets.share(within.bad, empty.objective, rate, empty.period))


def _why(reading: Reading) -> str:
    assert isinstance(reading, Unknown)
    return "no event was counted" if reading.reason == NO_EVENTS else f"{reading.reason} {reading.detail}".strip()


def window_until(now: datetime, length: timedelta) -> Window:
    """The window that ends now, to the second: so Prometheus' own grid says the same for it."""
    until = now.replace(microsecond=0)
    return Window(until - length, until)
