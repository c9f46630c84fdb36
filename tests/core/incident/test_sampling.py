"""Requests that the service tells of itself: taken once, while the bad version is live."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.incident import Sampled
from opsloop.core.actions import SampleRequests, StoreRequests
from opsloop.core.facts import Deployed, IncidentFacts, Taken
from opsloop.core.stop import Stop
from tests.builders.incidents import ROLLED_BACK, acts, after, burnt, facts, service, sli
from tests.builders.objects import at, release
from tests.core.incident.test_followup import root

EVALS = {"port": 8080, "recorded": {"path": "/requests"}}
TAKEN = Taken(
    '{"method": "GET", "path": "/cart", "status": 503}\n', 1, 1, "1 recorded requests of 2 pods, by /requests"
)
DEPLOYED = Deployed("answers", 4, selector={"app": "answers"})


def burning(evals: Any = EVALS, **more: Any) -> IncidentFacts:
    status = {k: more.pop(k) for k in ("sampled",) if k in more}
    held = release(status=service().status, dependsOn=[], evals=evals)
    return facts(burnt(**status), held, **{"deployed": DEPLOYED, **more})


def test_live_pods_are_asked_while_it_burns() -> None:
    (asked,) = acts(burning(), SampleRequests)
    assert (asked.request.method, asked.request.path, asked.request.port) == ("GET", "/requests", 8080)
    assert asked.selector == {"app": "answers"} and after(burning()).sampled is None


def test_what_they_tell_is_stored_beside_the_incident_and_asked_for_no_more() -> None:
    seen = burning(taken=TAKEN)
    (stored,) = acts(seen, StoreRequests)
    assert (stored.name, stored.text) == ("answers-1-requests", TAKEN.text) and acts(seen, SampleRequests) == []
    sampled = after(seen).sampled
    assert sampled is not None and (sampled.requests, sampled.bad, sampled.message) == (1, 1, TAKEN.remark)
    again = replace(seen, incident=seen.incident.model_copy(update={"status": after(seen)}))
    assert len(acts(again, StoreRequests)) == 1, "the write that failed is done again; one that is there stays"
    assert acts(replace(again, taken=None), SampleRequests, StoreRequests) == []


@pytest.mark.parametrize(
    ("seen", "asked"),
    [
        pytest.param(burning({"port": 8080}), 0, id="nothing is recorded"),
        pytest.param(burning({"port": 8080, "recorded": {"configMap": "x"}}), 0, id="a ConfigMap is not asked"),
        pytest.param(burning(None), 0, id="no evals at all"),
        pytest.param(burning(sampled=Sampled(at=at(50)).dump()), 0, id="it was asked already"),
        pytest.param(burning(deployed=None), 0, id="there is no Deployment"),
        pytest.param(burning(stop=Stop("shop", "emergency", "by sre", at(0))), 0, id="opsloop is stopped"),
        pytest.param(burning(), 1, id="it burns"),
    ],
)  # fmt: skip
def test_when_they_are_asked(seen: IncidentFacts, asked: int) -> None:
    assert len(acts(seen, SampleRequests)) == asked


def test_pods_that_tell_nothing_are_said() -> None:
    sampled = after(burning(taken=Taken(remark="/requests answers 404"))).sampled
    assert sampled is not None and (sampled.requests, sampled.message) == (0, "/requests answers 404")
    assert acts(burning(taken=Taken(remark="/requests answers 404")), StoreRequests) == []


def test_after_the_mitigation_it_is_too_late_and_that_is_said() -> None:
    late = facts(
        burnt("Mitigated", **{**ROLLED_BACK, "backSince": at(95)}), root(evals=EVALS), sli(0.0), deployed=DEPLOYED
    )
    sampled = after(late).sampled
    assert acts(late, SampleRequests) == []
    assert sampled is not None and sampled.message == "/requests was not answered while the bad version was live"
