"""Rules of Prometheus that fire when the operator's tiers do: both on the same samples, by the model of Prometheus."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.slo import burn_rate, promql, rules
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.pods import Labels, Scope
from opsloop.core.slo.tiers import tier_name, tiers_of, windows_of
from opsloop.errors import Invalid
from opsloop.shell.ports import Sample
from opsloop.simulator.prometheus.store import Store, milliseconds
from tests.builders.promtool import load
from tests.builders.rules import Firing, Model, World, evaluate

START = datetime(2026, 11, 23, 14, tzinfo=UTC)
SCRAPE = timedelta(seconds=15)
SCOPE = Scope("shop", "answers", Labels("pod", "namespace"))
POD = 'namespace="shop",pod="answers-7d9f8c6b5d-x2x4z"'
TIERS = [
    {"long": "5m", "short": "1m", "factor": 10, "severity": "sev1"},
    {"long": "15m", "short": "3m", "factor": 4, "severity": "sev3"},
]
REQUESTS = {"requests": {"counter": "hits_total", "bad": 'code="500"', "selector": 'job="a"'}}
LATENCY = {"latency": {"histogram": "took_seconds", "threshold": 0.3}}
GOOD = {"good": 'sum(increase(hits_total{code="200"}[{{window}}]))', "total": "sum(increase(hits_total[{{window}}]))"}
BAD = {"bad": 'sum(increase(hits_total{code="500"}[{{window}}]))', "total": "sum(increase(hits_total[{{window}}]))"}


def release(sli: dict[str, Any], **slo: Any) -> Release:
    whole = {"objective": 0.99, "sli": sli, "tiers": TIERS, **slo}
    spec = {"workloadRef": {"name": "answers"}, "version": "v1", "images": {"a": "b:1"}, "slo": whole}
    return Release.model_validate({"metadata": {"name": "answers", "namespace": "shop"}, "spec": spec})


def hits(code: str, values: str, pod: str = POD) -> dict[str, str]:
    return {"series": f'hits_total{{job="a",code="{code}",{pod}}}', "values": values}


def took(bound: str, values: str) -> dict[str, str]:
    name = "took_seconds_count{" if not bound else f'took_seconds_bucket{{le="{bound}",'
    return {"series": f"{name}{POD}}}", "values": values}


QUIET = hits("200", "0+30x240")
SERIES = {
    "all is well": [QUIET, hits("500", "0x240")],
    "errors begin and end": [QUIET, hits("500", "0x80 0+20x40 800x120")],
    "errors above one tier and below the other": [QUIET, hits("500", "0x40 0+2x200")],
    "errors without a series before": [QUIET, hits("500", "_x80 0+20x160")],
    "a series that is born with errors": [QUIET, hits("500", "_x80 300x160")],
    "no errors at all": [QUIET],
    "nothing but errors": [hits("200", "0x240"), hits("500", "0+3x240")],
    "a few errors only": [hits("200", "0+1x240"), hits("500", "0x80 0 1 2 3x160")],
    "scrapes that fail while errors go on": [hits("200", "0+30x70 _x20 2730+30x150"), hits("500", "0+8x70 _x20 728+8x150")],
    "scrapes that fail for long": [hits("200", "0+30x70 _x80 4530+30x90"), hits("500", "0+8x70 _x80 1208+8x90")],
    "a process that starts anew": [hits("200", "0+30x100 0+30x140"), hits("500", "0+6x100 0+6x140")],
    "no traffic": [hits("200", "5x240"), hits("500", "0x240")],
    "traffic that ends in errors": [hits("200", "0+30x100 3000x140"), hits("500", "0x100 0+1x140")],
    "nothing there": [],
    "slow requests": [took("", "0+30x240"), took("0.3", "0+30x80 2400+12x160"), took("+Inf", "0+30x240")],
    "no bucket of the threshold": [took("", "0+30x240"), took("0.5", "0+10x240")],
}  # fmt: skip
FORMS: dict[str, dict[str, Any]] = {"requests": REQUESTS, "good": GOOD, "bad": BAD, "latency": LATENCY}


def judged(item: Release, world: World, times: list[int]) -> Firing:
    """When the tiers fire by the operator's own reading of the same samples."""
    fired: Firing = {}
    assert item.spec.slo is not None
    for slo in objectives(item.spec.slo):
        for tier in tiers_of(slo):
            fired[slo.name, tier_name(tier)] = []
        query = promql.window_query(slo.sli, windows_of(slo), {}, SCRAPE, SCOPE)
        for at in times:
            now = START + timedelta(milliseconds=at - milliseconds(START))
            samples = [Sample(labels, value, now) for labels, value in world.ask(query, at)]
            read = promql.parse(samples, slo.sli, windows_of(slo), {}, SCOPE).windows
            for one in burn_rate.judge(slo, read, now).tiers:
                fired[slo.name, tier_name(one.tier)] += [at] if one.firing else []
    return fired


def times(step: int = 30, until: int = 3600) -> list[int]:
    return [milliseconds(START) + 1000 * second for second in range(20 * 15, until, step)]


def model(series: list[dict[str, str]]) -> Model:
    store = Store()
    load(store, series, START)
    return Model(store)


@pytest.mark.soak
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SERIES)
def test_an_alert_fires_at_the_moments_of_its_tier(name: str, form: str) -> None:
    item, series = release(FORMS[form]), SERIES[name]
    moments = times(30 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 60)
    by_rules = evaluate(rules.rule_groups(item, SCOPE, SCRAPE), model(series), moments)
    assert by_rules == judged(item, model(series), moments)


def test_the_samples_of_the_table_make_tiers_fire_and_end() -> None:
    """Else the comparison would say nothing."""
    for form in ("requests", "good", "bad"):
        fired = judged(release(FORMS[form]), model(SERIES["errors begin and end"]), times())
        assert all(0 < len(moments) < len(times()) for moments in fired.values()), fired
    assert any(judged(release(LATENCY), model(SERIES["slow requests"]), times()).values())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()), min_size=60, max_size=120))
def test_they_agree_on_any_course_of_a_counter(course: list[tuple[int, int, bool]]) -> None:
    def values(which: int) -> str:
        level, words = 0, []
        for step in course:
            level += step[which]
            words.append("_" if step[2] else str(level))
        return " ".join(words)

    series = [hits("200", values(0)), hits("500", values(1))]
    moments = times(step=45, until=15 * len(course))
    item = release(BAD)
    by_rules = evaluate(rules.rule_groups(item, SCOPE, SCRAPE), model(series), moments)
    assert by_rules == judged(item, model(series), moments)


def test_several_objectives_each_with_its_labels() -> None:
    also = [{"name": "latency", "objective": 0.95, "sli": LATENCY}]
    item = release(REQUESTS, name="availability", also=also, tiers=TIERS)
    series = SERIES["slow requests"] + SERIES["errors begin and end"]
    by_rules = evaluate(rules.rule_groups(item, SCOPE, SCRAPE), model(series), times(step=60))
    assert by_rules == judged(item, model(series), times(step=60))
    assert {name for name, _ in by_rules} == {"availability", "latency"}


def test_a_backup_is_silent_while_the_operator_leads() -> None:
    item, series = release(BAD), SERIES["nothing but errors"]
    leading = {"series": 'opsloop_leader{namespace="ops"}', "values": "1x120 0x120"}
    groups = rules.rule_groups(item, SCOPE, SCRAPE, operator='namespace="ops"')
    fired = evaluate(groups, model([*series, leading]), times())
    by_tier = judged(item, model(series), times())
    down = milliseconds(START + 121 * SCRAPE)
    assert fired == {key: [at for at in moments if at >= down] for key, moments in by_tier.items()}
    assert evaluate(groups, model(series), times(60)) == judged(item, model(series), times(60)), "nobody scrapes it"
    another = {"series": 'opsloop_leader{namespace="others"}', "values": "1x240"}
    assert evaluate(groups, model([*series, another]), times(60)) == judged(item, model(series), times(60))


def test_names_are_those_that_the_docs_promise() -> None:
    groups = rules.rule_groups(release(BAD), SCOPE, SCRAPE)
    recorded = [rule["record"] for group in groups for rule in group["rules"] if "record" in rule]
    assert recorded[:5] == [
        "opsloop:slo_objective:ratio",
        "opsloop:slo_events:increase5m",
        "opsloop:slo_bad_events:increase5m",
        "opsloop:slo_error:ratio5m",
        "opsloop:slo_burn_rate:ratio5m",
    ]
    assert len(recorded) == len(set(recorded)), "a window of two tiers is recorded once"


def test_a_window_that_two_tiers_share_is_recorded_once() -> None:
    tiers = [TIERS[0], {**TIERS[0], "factor": 5, "severity": "sev2"}]
    groups = rules.rule_groups(release(BAD, tiers=tiers), SCOPE, SCRAPE)
    assert [sum("record" in rule for rule in group["rules"]) for group in groups] == [9, 0]
    assert len({group["name"] for group in groups}) == 2, "Prometheus refuses a file with two groups of one name"


@pytest.mark.parametrize(
    ("slo", "sentence"),
    [
        pytest.param(None, "spec.slo: there is none", id="no SLO"),
        pytest.param({"bad": "sum(rate(a[{{window}}]))", "total": "b[{{window}}]"}, "spec.slo.sli.bad gives events per second", id="a rate"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_said(slo: dict[str, Any] | None, sentence: str) -> None:
    item = release(slo or BAD)
    if slo is None:
        item = item.model_copy(update={"spec": item.spec.model_copy(update={"slo": None})})
    with pytest.raises(Invalid, match=sentence.replace(".", "[.]")):
        rules.rule_groups(item, SCOPE, SCRAPE)


def test_default_tiers_are_recorded_by_their_windows() -> None:
    item = release(BAD, tiers=[])
    assert isinstance(item.spec.slo, Slo)
    intervals = [group["interval"] for group in rules.rule_groups(item, SCOPE, SCRAPE)]
    assert intervals == ["30s", "1m", "1m", "1m"]
