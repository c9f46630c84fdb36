"""Rules of Prometheus for the SLO of a Release: recorded windows, and an alert for each tier that fires when opsloop's would.

    opsloop:slo_events:increase1h        all events in the window
    opsloop:slo_bad_events:increase1h    bad events in it
    opsloop:slo_error:ratio1h            error ratio if all time without data was good: what a tier is held against
    opsloop:slo_burn_rate:ratio1h        the same in error budgets
    opsloop:slo_objective:ratio          the objective

Each has the labels namespace, release and slo. The expressions are those that the operator asks (`core.slo.promql`), so that
births count and a window with gaps fires no sooner. Two things the operator knows and rules do not: whether what fires may be
one burst (`core.slo.bursts`), and whether a process has lost its bad events (`core.slo.vanished`).
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from opsloop.api.meta import PAGING, format_duration
from opsloop.api.release import Release
from opsloop.api.slo import Slo, Tier
from opsloop.core.slo import promql
from opsloop.core.slo.objectives import objectives, wrong
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.tiers import budget_of, tier_name, tiers_of
from opsloop.errors import Invalid

LEADER = "opsloop_leader"  # 1 in the replica of the operator that leads, by its own metrics
_LEAST, _MOST = timedelta(seconds=5), timedelta(minutes=1)  # between two evaluations of a group
_PER_WINDOW = 10  # evaluations in the short window of a tier

Rule = dict[str, Any]


def rule_groups(release: Release, scope: Scope, resolution: timedelta, operator: str | None = None) -> list[Rule]:
    """Groups of rules: one for each tier of each objective. `scope`: where the series are; `resolution`: the scrape interval.

    `operator`: matchers of the series of one installation; the alerts fire only while no replica of it leads. None: always.
    Raises Invalid with the field where there is no SLO or its SLI cannot be read.
    """
    if release.spec.slo is None:
        raise Invalid("spec.slo: there is none, so that there is nothing to record")
    groups: list[Rule] = []
    for slo in objectives(release.spec.slo):
        if problem := promql.problem(slo.sli):
            raise Invalid(problem.detail)
        groups += _of_objective(release, slo, scope, resolution, operator)
    return groups


def _of_objective(
    release: Release, slo: Slo, scope: Scope, resolution: timedelta, operator: str | None
) -> Iterable[Rule]:
    labels = {"namespace": release.metadata.namespace, "release": release.metadata.name, "slo": slo.name}
    seen: set[timedelta] = set()
    for number, tier in enumerate(tiers_of(slo)):
        rules = [] if number else [_record("objective:ratio", f"vector({slo.objective!r})", labels)]
        for window in (tier.long, tier.short):
            if window not in seen:
                seen.add(window)
                rules += _window(slo, window, scope, resolution, labels)
        rules.append(_alert(release, slo, tier, labels, operator))
        name = f"opsloop-{'-'.join(labels.values())}-{format_duration(tier.long)}-{format_duration(tier.short)}-{tier.factor:g}"
        yield {"name": name, "interval": format_duration(_interval(tier, resolution)), "rules": rules}


def _interval(tier: Tier, resolution: timedelta) -> timedelta:
    """Between two evaluations: nothing is new before the next scrape, and a short window is not skipped."""
    wanted = min(max(tier.short / _PER_WINDOW, _LEAST), _MOST)
    return timedelta(seconds=round(max(wanted, min(resolution, _MOST)).total_seconds()))


def _window(slo: Slo, window: timedelta, scope: Scope, resolution: timedelta, labels: dict[str, str]) -> list[Rule]:
    """The records of one window, each made of those before it: rules of a group are evaluated in order."""
    span = format_duration(window)
    total, bad, error = (
        _series(name, labels) for name in (f"events:increase{span}", f"bad_events:increase{span}", f"error:ratio{span}")
    )
    asked = promql.recorded(slo.sli, window, resolution, scope, total)
    return [
        _record(f"events:increase{span}", asked.total, labels),
        _record(f"bad_events:increase{span}", asked.bad, labels),
        _record(f"error:ratio{span}", f"{bad} / ({total} > 0) * on() group_left() ({asked.covered})", labels),
        _record(f"burn_rate:ratio{span}", f"{error} / {budget_of(slo.objective)!r}", labels),
    ]


def _alert(release: Release, slo: Slo, tier: Tier, labels: dict[str, str], operator: str | None) -> Rule:
    long, short = format_duration(tier.long), format_duration(tier.short)
    limit = tier.factor * budget_of(slo.objective)
    expression = (
        f"{_series(f'burn_rate:ratio{long}', labels)} and {_series(f'error:ratio{long}', labels)} > {limit!r}"
        f"\nand {_series(f'error:ratio{short}', labels)} > {limit!r}"
        f"\nand {_series(f'bad_events:increase{long}', labels)} >= {slo.min_bad_events}"
    )
    if operator is not None:
        expression += f"\nunless on() (max({LEADER}{{{operator}}}) == 1)"
    about = f"{release.metadata.namespace}/{release.metadata.name} ({slo.name})"
    return {
        "alert": "ErrorBudgetBurn",
        "expr": expression,
        "labels": {
            **labels,
            "service": release.metadata.name,
            "severity": "critical" if tier.severity in PAGING else "warning",
            "opsloop_severity": tier.severity,
            "tier": tier_name(tier),
        },
        "annotations": {
            "summary": f"{about} burns its error budget more than {tier.factor:g} times as fast as it may",
            "description": f"Over {long} and {short} more than {limit:.4g} of the events were {wrong(slo.sli)}; the objective"
            f" allows {budget_of(slo.objective):.4g}. Burn rate over {long}: {{{{ $value | humanize }}}}.",
        },
    }


def _record(name: str, expression: str, labels: dict[str, str]) -> Rule:
    return {"record": f"opsloop:slo_{name}", "expr": expression, "labels": dict(labels)}


def _series(name: str, labels: dict[str, str]) -> str:
    matchers = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"opsloop:slo_{name}{{{matchers}}}"
