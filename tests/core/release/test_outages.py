"""Condition Available: an outage is a workload whose pods had been available, where pods are wanted and none is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.release import Release, ReleaseStatus
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import decide as decisions
from opsloop.core.release.outages import OUTAGE_AFTER, outage_lasts, outage_since
from tests.builders.objects import T0, V1, at, release, release_facts, workload
from tests.builders.rollouts import ADOPTED

NOW = at(100)
GONE: Any = None


def before(status: str, reason: str = "x", since: float = 0) -> Release:
    condition = {"type": "Available", "status": status, "reason": reason, "message": ""}
    held = {"live": V1, "revisions": [ADOPTED], "conditions": [{**condition, "lastTransitionTime": at(since)}]}
    return release(status=ReleaseStatus.model_validate(held if status else {"live": V1, "revisions": [ADOPTED]}))


def below(available: int) -> WorkloadFacts:
    return replace(workload(available=available), below_minimum=True)


@pytest.mark.parametrize(
    ("item", "deployment", "expected", "event"),
    [
        pytest.param(before(""), workload(), ("True", "PodsAvailable"), "", id="pods serve"),
        pytest.param(before("True"), workload(available=0), ("False", "NoPodAvailable"), "NoPodAvailable", id="none is left: an outage"),
        pytest.param(before("False", "NoPodAvailable"), workload(available=0), ("False", "NoPodAvailable"), "", id="that is said once"),
        pytest.param(before(""), workload(available=0), ("Unknown", "NotAvailableYet"), "", id="none ever was: users have lost nothing"),
        pytest.param(before("Unknown", "NotAvailableYet"), workload(available=0), ("Unknown", "NotAvailableYet"), "", id="still not"),
        pytest.param(before("Unknown", "NotAvailableYet"), workload(available=1), ("True", "PodsAvailable"), "PodsAvailable", id="the first one serves"),
        pytest.param(before("True"), workload(replicas=0), ("Unknown", "ScaledToZero"), "", id="nobody wants pods"),
        pytest.param(before("Unknown", "ScaledToZero"), workload(available=0), ("Unknown", "NotAvailableYet"), "", id="scaled up again they may take their time"),
        pytest.param(before("False", "NoPodAvailable"), workload(available=1), ("True", "PodsAvailable"), "PodsAvailable", id="one is back"),
        pytest.param(before("True", "PodsAvailable"), below(1), ("True", "BelowMinimum"), "BelowMinimum", id="fewer than the strategy allows"),
        pytest.param(before("True"), replace(workload(available=0), ready=2), ("True", "PodsAvailable"), "PodsAvailable", id="ready pods serve within their minReadySeconds"),
        pytest.param(before("True"), GONE, ("False", "WorkloadGone"), "WorkloadGone", id="the Deployment was deleted"),
        pytest.param(before(""), GONE, ("", ""), "", id="there never was a Deployment"),
        pytest.param(before("Unknown", "ScaledToZero"), GONE, ("Unknown", "ScaledToZero"), "", id="deleted while nobody wanted pods"),
    ],
)  # fmt: skip
def test_availability(item: Release, deployment: WorkloadFacts, expected: tuple[str, str], event: str) -> None:
    decision = decisions.decide(release_facts(item, workload=deployment), NOW)
    assert isinstance(decision.status, ReleaseStatus)
    found = [(c.status, c.reason) for c in decision.status.conditions if c.type == "Available"]
    assert (found[0] if found else ("", "")) == expected
    said = [
        e.reason
        for e in decision.events
        if e.reason in ("NoPodAvailable", "BelowMinimum", "PodsAvailable", "WorkloadGone")
    ]
    assert said == ([event] if event else [])


def test_an_outage_is_one_from_its_first_second_and_an_incident_after_a_minute() -> None:
    out = before("False", "NoPodAvailable", since=0)
    assert outage_since(out) == T0 and outage_since(before("Unknown")) is None and outage_since(before("True")) is None
    assert not outage_lasts(out, T0 + OUTAGE_AFTER - timedelta(seconds=1)) and outage_lasts(out, T0 + OUTAGE_AFTER)
