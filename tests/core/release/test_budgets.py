"""Condition BudgetMet: fewer pods than a PodDisruptionBudget wants are harm where as many had been available."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.release import Release, ReleaseStatus
from opsloop.core import conditions
from opsloop.core.facts import Beside, Budget, RolloutState, WorkloadFacts
from opsloop.core.release import decide as decisions
from opsloop.core.release.budgets import shortage_since, wanted_by
from opsloop.core.selectors import selects
from tests.builders.objects import V1, at, release, release_facts, workload
from tests.builders.rollouts import ADOPTED

NOW = at(100)
ALL = Beside(budgets=(Budget("web", "75%"),))  # 3 of 4


@pytest.mark.parametrize(
    ("budget", "replicas", "wanted"),
    [
        pytest.param(Budget("b", 3), 10, 3, id="a number that stays"),
        pytest.param(Budget("b", "50%"), 7, 4, id="a share that stays is rounded up"),
        pytest.param(Budget("b", None, 1), 10, 9, id="a number that may be missing"),
        pytest.param(Budget("b", None, "30%"), 10, 7, id="a share that may be missing"),
        pytest.param(Budget("b", None, "25%"), 7, 5, id="a share that may be missing is rounded up too"),
        pytest.param(Budget("b", None, 5), 3, 0, id="more may be missing than there are"),
        pytest.param(Budget("b", 3), 2, 3, id="more must stay than there are: it is never met"),
        pytest.param(Budget("b", None, 0), 4, 4, id="none may be missing"),
    ],
)
def test_how_many_pods_a_budget_wants(budget: Budget, replicas: int, wanted: int) -> None:
    """As Kubernetes' disruption controller computes status.desiredHealthy (getExpectedPodCount)."""
    assert wanted_by(budget, replicas) == wanted


@given(st.integers(1, 100), st.integers(0, 1000))
def test_a_share_that_stays_never_wants_less_than_its_share(percent: int, replicas: int) -> None:
    wanted = wanted_by(Budget("b", f"{percent}%"), replicas)
    assert percent * replicas <= 100 * wanted < percent * replicas + 100


def held(status: str, met: int = 3, since: float = 0) -> Release:
    known = [{"type": "BudgetMet", "status": status, "reason": "x", "message": "", "lastTransitionTime": at(since)}]
    body = {"live": V1, "revisions": [ADOPTED], "conditions": known if status else [], "budget_met": met}
    return release(status=ReleaseStatus.model_validate(body))


def rolling(available: int) -> WorkloadFacts:
    return replace(workload(available=available), rollout=RolloutState(replaced=False))


@pytest.mark.parametrize(
    ("item", "deployment", "beside", "expected", "event"),
    [
        pytest.param(held(""), workload(), ALL, ("True", "WithinBudget"), "", id="enough pods are available"),
        pytest.param(held("True"), workload(available=3), ALL, ("True", "WithinBudget"), "", id="just enough"),
        pytest.param(held("True"), workload(available=2), ALL, ("False", "BelowBudget"), "BelowBudget", id="too few, and there had been more"),
        pytest.param(held("False"), workload(available=2), ALL, ("False", "BelowBudget"), "", id="that is said once"),
        pytest.param(held("False"), workload(available=3), ALL, ("True", "WithinBudget"), "WithinBudget", id="enough again"),
        pytest.param(held("", met=0), workload(available=1), ALL, ("Unknown", "NotMetYet"), "", id="there never were so many: a first deploy"),
        pytest.param(held("True"), workload(replicas=8, available=4), ALL, ("Unknown", "NotMetYet"), "", id="scaled up, it wants more than ever ran"),
        pytest.param(held("True"), rolling(2), ALL, ("True", "x"), "", id="a rolling update replaces pods by its own strategy"),
        pytest.param(held("True"), workload(available=2), Beside(), ("Unknown", "NoBudget"), "", id="the budget was deleted"),
        pytest.param(held("True"), workload(available=2), Beside(budgets=(Budget("all", 9, None, True),)), ("Unknown", "NoBudget"), "", id="one over several workloads says nothing of this one"),
        pytest.param(held(""), workload(available=2), Beside(), ("", ""), "", id="there never was a budget"),
        pytest.param(held("True"), workload(available=2), None, ("True", "x"), "", id="it cannot be read: nothing is concluded"),
        pytest.param(held("False"), workload(replicas=2), ALL, ("True", "WithinBudget"), "WithinBudget", id="scaled down, it wants fewer"),
    ],
)  # fmt: skip
def test_the_condition(item: Release, deployment: Any, beside: Any, expected: tuple[str, str], event: str) -> None:
    decision = decisions.decide(release_facts(item, workload=deployment, beside=beside), NOW)
    assert isinstance(decision.status, ReleaseStatus)
    found = conditions.get(decision.status.conditions, "BudgetMet")
    assert ((found.status, found.reason) if found else ("", "")) == expected
    assert [e.reason for e in decision.events if e.reason in ("BelowBudget", "WithinBudget")] == ([event] if event else [])  # fmt: skip


def test_a_shortage_counts_from_when_pods_went_missing() -> None:
    assert shortage_since(held("False", since=40)) == at(40)
    assert shortage_since(held("True", since=40)) is None


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        pytest.param({}, True, id="an empty one fits all"),
        pytest.param({"matchLabels": {"app": "web"}}, True, id="labels"),
        pytest.param({"matchLabels": {"app": "other"}}, False, id="another label"),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "b"]}]}, True, id="In"),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False, id="NotIn"),
        pytest.param({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}, True, id="NotIn of a label that is not there"),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True, id="Exists"),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False, id="DoesNotExist"),
        pytest.param({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "v", "operator": "Exists"}]}, False, id="all must fit"),
    ],
)  # fmt: skip
def test_selectors(selector: dict[str, Any], fits: bool) -> None:
    assert selects(selector, {"app": "web"}) is fits
