"""The search for a case in quarantine: when it begins, what it waits for, how each way of it ends."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.eval_expect import EvalExpect, JsonCheck
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import EvalCase
from opsloop.core.actions import CompareQuarantine, CreateEvalCase, StartQuarantine, StopQuarantine
from opsloop.core.evalcase.quarantine import pod_name
from opsloop.core.facts import Compared, ComparisonFacts, IncidentFacts, PodFacts
from opsloop.core.incident import comparison
from opsloop.core.stop import Stop
from tests.builders.incidents import ROLLED_BACK, acts, after, burnt, condition_of, facts, sli
from tests.builders.objects import V1, V2, at, evalcase, release, template
from tests.core.incident.test_followup import root

EVALS = {"port": 8080, "quarantine": "auto", "recorded": {"configMap": "answers-requests"}}
ASKED = EvalRequest(path="/cart", port=8080)
KNOWN = ComparisonFacts(
    requests=(ASKED,),
    remark="1 recorded requests of ConfigMap answers-requests",
    templates={V1: template("shop:v1"), V2: template("shop:v2")},
    service_selectors=({"app": "answers"},),
)
DIFFERS = Compared(1, "", ASKED, EvalExpect(json=[JsonCheck(path="$.total", equals="3")]), "$.total", ("$.at",))
BEGUN = {"attempts": 1, "startedAt": at(95).isoformat(), "reason": "Comparing"}


def pods(*missing: str, ready: bool = True, attempt: int = 1, **more: Any) -> tuple[PodFacts, ...]:
    """The three pods of an attempt, without the missing ones."""
    first = (attempt - 1) * comparison.GOOD_PODS + 1
    of = [(V2, first), (V1, first), (V1, first + 1)]
    named = [(pod_name("answers-1-comparison", d, n), d) for d, n in of]
    return tuple(
        PodFacts(name, digest, f"10.0.0.{i}", containers_ready=ready, in_traffic=False, ready=ready, **more)
        for i, (name, digest) in enumerate(named)
        if name not in missing
    )


def seeking(
    known: ComparisonFacts | None = KNOWN, evals: Any = EVALS, meta: Any = None, cases: tuple[EvalCase, ...] = (), stop: Stop | None = None,
    **status: Any,
) -> IncidentFacts:  # fmt: skip
    """Mitigated by a rollback; no ticket, no alert."""
    item = burnt("Resolved", meta=meta, **{**ROLLED_BACK, **status})
    return facts(item, root(evals=evals), sli(0.0), eval_cases=cases, comparison=known, stop=stop)


def told(seen: IncidentFacts) -> tuple[str, int, bool]:
    """(reason, attempts, is one under way) of status.comparison."""
    found = after(seen).comparison
    return (found.reason, found.attempts, found.started_at is not None) if found else ("", 0, False)


def test_it_begins_with_a_pod_of_the_bad_and_two_of_the_good_revision() -> None:
    started = acts(seeking(), StartQuarantine)
    assert sorted(s.digest for s in started) == sorted([V2, V1, V1]) and len({s.pod for s in started}) == 3
    assert {s.case for s in started} == {"answers-1-comparison"}
    assert told(seeking()) == ("Comparing", 1, True)
    assert condition_of(after(seeking()), "RegressionCaptured") == ("Unknown", "Comparing")


def test_it_asks_once_all_are_ready() -> None:
    assert acts(seeking(replace(KNOWN, pods=pods(ready=False)), comparison=BEGUN), CompareQuarantine) == []
    (asked,) = acts(seeking(replace(KNOWN, pods=pods()), comparison=BEGUN), CompareQuarantine)
    assert asked.requests == (ASKED,) and len(asked.good) == 2 and asked.bad[1] == "10.0.0.0"
    assert {"v2", "shop:v2", V2} <= set(asked.bad_words) and {"v1", V1} <= set(asked.good_words)


def test_a_difference_becomes_a_case_that_says_that_it_was_recorded() -> None:
    seen = seeking(replace(KNOWN, pods=pods(), outcome=DIFFERS), comparison=BEGUN)
    (made,) = acts(seen, CreateEvalCase)
    assert made.name == "answers-1-regression-recorded" and made.spec["origin"]["by"] == "recorded"
    assert made.spec["proof"] == {"bad": V2, "good": V1}
    (stopped,) = acts(seen, StopQuarantine)
    assert len(stopped.pods) == 3 and told(seen) == ("Found", 1, True)
    assert after(seen).eval_case == made.name


def test_a_persons_case_that_fails_on_the_bad_revision_is_the_better_way() -> None:
    by_person = evalcase("cart", "NotNeeded", origin={"kind": "manual"}, proof=None)
    known = replace(KNOWN, pods=pods(), cases=(by_person,), outcome=Compared(1, failing="cart"))
    (made,) = acts(seeking(known, cases=(by_person,), comparison=BEGUN), CreateEvalCase)
    assert (made.name, made.spec["origin"]["source"]) == ("answers-1-regression-evalcase", "cart")


FAILS = Compared(1, "", ASKED, EvalExpect(status=200), "status 200, and 503 on the bad revision")


def test_what_the_service_recorded_as_failed_and_only_the_bad_revision_fails_is_captured() -> None:
    known = replace(KNOWN, pods=pods(), failed=(ASKED,))
    (made,) = acts(seeking(replace(known, outcome=FAILS), comparison=BEGUN), CreateEvalCase)
    assert (made.name, made.spec["origin"]["by"]) == ("answers-1-regression-capture", "capture")
    (made,) = acts(seeking(replace(known, outcome=DIFFERS), comparison=BEGUN), CreateEvalCase)
    assert made.spec["origin"]["by"] == "recorded", "its content differs: nobody has said which one is right"


RECORDED = evalcase("answers-1-regression-recorded", "True", origin={"kind": "regression", "incident": "answers-1", "by": "recorded"})  # fmt: skip
FOUND = {**BEGUN, "reason": "Found"}
UNSAFE = replace(KNOWN, templates={**KNOWN.templates, V2: {**template("shop:v2"), "spec": {"hostNetwork": True}}})
LATE = {**BEGUN, "startedAt": at(-200).isoformat()}


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        pytest.param(seeking(replace(KNOWN, pods=pods(), outcome=Compared(1)), comparison=BEGUN), ("NoDifference", 1, True), id="nothing differs"),
        pytest.param(seeking(replace(KNOWN, outcome=Compared(1)), comparison={**BEGUN, "attempts": 2}), ("Comparing", 2, True), id="an answer of an earlier attempt is none"),
        pytest.param(seeking(KNOWN, comparison={**BEGUN, "reason": "NoDifference"}), ("NoDifference", 1, False), id="its pods are gone"),
        pytest.param(seeking(KNOWN, comparison=FOUND, cases=(RECORDED,)), ("Found", 1, False), id="what was found is there"),
        pytest.param(seeking(KNOWN, comparison={**FOUND, "startedAt": None}), ("Comparing", 2, True), id="what was found is not there: looked for once more"),
        pytest.param(seeking(replace(KNOWN, requests=())), ("NoRequests", 0, False), id="nothing was recorded"),
        pytest.param(seeking(evals={**EVALS, "quarantine": "never"}), ("QuarantineNever", 0, False), id="the service must not run twice"),
        pytest.param(seeking(evals={**EVALS, "quarantine": "ask"}), ("AwaitsQuarantine", 0, False), id="a person is asked"),
        pytest.param(seeking(evals={**EVALS, "quarantine": "ask"}, meta={"annotations": {"opsloop.dev/approve": V2}}), ("Comparing", 1, True), id="a person said yes"),
        pytest.param(seeking(evals={**EVALS, "quarantine": "ask"}, meta={"annotations": {"opsloop.dev/approve": "rollback-1"}}), ("AwaitsQuarantine", 0, False), id="a person said yes to something else"),
        pytest.param(seeking(replace(KNOWN, templates={V1: template()})), ("TemplateMissing", 0, False), id="the template is not stored"),
        pytest.param(seeking(UNSAFE), ("QuarantineUnsafe", 0, False), id="the pod cannot be kept apart"),
        pytest.param(seeking(stop=Stop("shop", "emergency", "by sre", at(0))), ("Stopped", 0, False), id="opsloop is stopped"),
        pytest.param(seeking(replace(KNOWN, pods=pods(failing="CrashLoopBackOff")), comparison=BEGUN), ("PodFailing", 1, True), id="a pod cannot run"),
        pytest.param(seeking(replace(KNOWN, pods=pods(ready=False)), comparison=LATE), ("PodNotReady", 1, True), id="a pod is never ready"),
        pytest.param(seeking(replace(KNOWN, pods=pods()), comparison=LATE), ("NoAnswer", 1, True), id="they never answer all"),
        pytest.param(seeking(KNOWN, comparison={**BEGUN, "reason": "PodFailing", "startedAt": None}), ("Comparing", 2, True), id="another attempt"),
        pytest.param(seeking(KNOWN, comparison={**BEGUN, "reason": "PodFailing", "startedAt": None, "attempts": 2}), ("PodFailing", 2, False), id="not a third one"),
        pytest.param(seeking(None), ("", 0, False), id="not wanted"),
    ],
)  # fmt: skip
def test_each_situation_says_how_it_stands(seen: IncidentFacts, said: tuple[str, int, bool]) -> None:
    assert told(seen) == said


@pytest.mark.parametrize(
    ("status", "cases", "evals", "wanted"),
    [
        pytest.param({}, (), EVALS, True, id="no case, and requests are recorded"),
        pytest.param({}, (), {"port": 8080}, False, id="nothing is recorded, and there is no case of a person"),
        pytest.param({}, (evalcase("cart", origin={"kind": "manual"}, proof=None),), {"port": 8080}, True, id="a case of a person may fail on it"),
        pytest.param({}, (evalcase(),), EVALS, False, id="the Incident has a case"),
        pytest.param({"rollback": None, "plays": []}, (), EVALS, False, id="no good revision is known"),
        pytest.param({"comparison": {**BEGUN, "reason": "NoDifference", "startedAt": None}}, (), EVALS, False, id="it is over"),
        pytest.param({"comparison": FOUND}, (RECORDED,), EVALS, True, id="its pods may be left"),
        pytest.param({"comparison": BEGUN, "phase": "Mitigating"}, (), EVALS, True, id="it burns again, and its pods are left"),
        pytest.param({"comparison": {**FOUND, "startedAt": None}}, (RECORDED,), EVALS, False, id="found, and cleared away"),
        pytest.param({"cause": {"kind": "unknown", "confidence": 0.9}}, (), EVALS, False, id="no revision is to blame"),
    ],
)  # fmt: skip
def test_its_facts_are_gathered_only_where_they_are_wanted(
    status: dict[str, Any], cases: tuple[EvalCase, ...], evals: Any, wanted: bool
) -> None:
    more = dict(status)
    item = burnt(more.pop("phase", "Resolved"), **{**ROLLED_BACK, **more})
    assert comparison.is_wanted(item, root(evals=evals), cases) is wanted
    left = more.get("comparison", {}).get("startedAt") is not None
    assert comparison.is_wanted(item, None, cases) is left, "of a deleted Release only its pods are looked for"
    pods_left = item.status.comparison is not None and item.status.comparison.started_at is not None
    assert comparison.is_wanted(item, release(), cases) is pods_left


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"phase": "Mitigating"}, id="it burns again"),
        pytest.param({"cause": {"kind": "unknown", "confidence": 0.95}}, id="no revision is to blame any more"),
    ],
)
def test_pods_of_a_comparison_that_nobody_wants_any_more_are_ended(status: dict[str, Any]) -> None:
    more = dict(status)
    item = burnt(more.pop("phase", "Resolved"), **{**ROLLED_BACK, "comparison": BEGUN, **more})
    seen = facts(item, root(evals=EVALS), sli(0.5), comparison=replace(KNOWN, pods=pods()))
    (stop,) = acts(seen, StopQuarantine)
    assert len(stop.pods) == 3
