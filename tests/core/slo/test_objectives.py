"""Several objectives of one Release: each as an Slo of its own."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release, ReleaseSpec, WorkloadRef
from opsloop.api.slo import Objective, Sli, Slo, Tier
from opsloop.core.readings import Unknown
from opsloop.core.slo import promql
from opsloop.core.slo.objectives import label, objective_of, objectives, release_for
from opsloop.core.slo.tiers import tiers_of

ERRORS = Sli(bad="e[{{window}}]", total="t[{{window}}]")
SLOW = Sli(good="f[{{window}}]", total="d[{{window}}]")
FAST = Tier(long=timedelta(minutes=1), short=timedelta(seconds=5), factor=14.4, severity="sev1")
LATER = Tier(long=timedelta(minutes=9), short=timedelta(seconds=9), factor=2, severity="sev2")


def latency(**kwargs: Any) -> Objective:
    return Objective(name="latency", objective=0.95, sli=SLOW, **kwargs)


def slo(*also: Objective, **kwargs: Any) -> Slo:
    return Slo(name="availability", objective=0.999, sli=ERRORS, also=list(also), **kwargs)


def release(spec: Slo, **analysis: Any) -> Release:
    strategy: Any = {"canary": {"analysis": analysis}}
    ref = WorkloadRef(name="web")
    return Release(
        metadata=ObjectMeta(name="web", namespace="shop"),
        spec=ReleaseSpec(workload_ref=ref, version="v1", images={"app": "a:1"}, slo=spec, strategy=strategy),
    )


def test_one_objective_is_the_slo_itself() -> None:
    only = slo()
    assert objectives(only) == (only,)
    assert release_for(release(only), only).spec.slo == only


@pytest.mark.parametrize(
    ("own", "of_the_slo", "tiers", "events"),
    [
        pytest.param({}, {"tiers": [FAST], "min_bad_events": 9}, [FAST], 9, id="what it does not give is the Slo's"),
        pytest.param(
            {"tiers": [LATER], "min_bad_events": 2}, {"tiers": [FAST]}, [LATER], 2, id="what it gives is its own"
        ),
        pytest.param(
            {}, {}, tiers_of(Slo(objective=0.95, sli=SLOW)), 5, id="default tiers are those of its own objective"
        ),
    ],
)
def test_another_objective(own: dict[str, Any], of_the_slo: dict[str, Any], tiers: list[Tier], events: int) -> None:
    first, second = objectives(slo(latency(**own), bake_time=timedelta(hours=2), **of_the_slo))
    assert (first.name, first.objective, first.sli, first.also) == ("availability", 0.999, ERRORS, [])
    assert (second.name, second.objective, second.also, second.bake_time) == ("latency", 0.95, [], timedelta(hours=2))
    assert (second.sli.good, second.sli.total) == (SLOW.good, SLOW.total)
    assert (tiers_of(second), second.min_bad_events) == (tiers, events)


def test_an_objective_is_found_by_its_name_and_an_unknown_name_is_the_first() -> None:
    both = slo(latency())
    assert [objective_of(both, name).objective for name in ("latency", "availability", "gone", "")] == [
        0.95,
        0.999,
        0.999,
        0.999,
    ]


def test_a_mistake_names_the_field_of_its_objective() -> None:
    rate = Objective(name="rate", objective=0.9, sli=Sli(bad="rate(e[{{window}}])", total="t[{{window}}]"))
    *_, wrong = objectives(slo(latency(), rate))
    problem = promql.problem(wrong.sli)
    assert isinstance(problem, Unknown)
    assert (problem.reason, problem.detail.split(" ")[0].rstrip(":")) == ("NotACount", "spec.slo.also[1].sli.bad")
    assert promql.expressions(objectives(slo(latency()))[1].sli).field == "spec.slo.also[0].sli.good"


def test_false_rejects_are_split_and_ratios_of_the_first_objective_stay_with_it() -> None:
    whole = release(slo(latency()), falseRejects=0.01, abortBelow=0.99, ignoreBelow=0.002, margin=2)
    terms = [release_for(whole, one).spec.strategy.canary.analysis for one in objectives(slo(latency()))]
    assert [(t.false_rejects, t.abort_below, t.ignore_below, t.margin) for t in terms] == [
        (0.005, 0.99, 0.002, 2),
        (0.005, None, None, 2),
    ]


def test_the_only_objective_needs_no_label() -> None:
    assert [label(name) for name in ("sli", "", "latency")] == ["", "", "latency: "]
