"""Which pods are kept warm, why they go, and when they take traffic."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.warm import WarmPods
from opsloop.core.actions import DeleteWarm, EnsureWarm, SetRoute, SetTemplate, SetWarm
from opsloop.core.facts import Beside, CanaryFacts, PodFacts, Refusal, ReleaseFacts, RolloutState
from opsloop.core.stop import Stop
from tests.builders.objects import V1, at, digest, release, workload
from tests.builders.rollouts import (
    ADOPTED,
    BLOCK,
    NOW,
    TEMPLATES,
    actions_of,
    condition_of,
    decide,
    facts,
    incident_with_rollback,
    revision,
    status_after,
    status_with,
    target,
)

V4 = digest("shop:v4")
UNSAFE = {**TEMPLATES[V4], "metadata": {"annotations": {"opsloop.dev/rollback-safe": "false"}}}
LIVE = revision("v4", "Canaried", live_since=at(60))
SERVICE = {"spec": {"selector": {"app": "answers"}}}
BESIDE = Beside(selectors=({"matchLabels": {"app": "answers"}},), services={"answers": SERVICE})
KEEP = {"for": "30m", "replicas": 2, "wait": "20s"}
RECORD = WarmPods(
    digest=V1, version="v1", beside=V4, state="Warm", replicas=2, since=at(80), until=at(500), reason="KeptWarm"
)


def kept(count: int = 2, opened: int = 0, **more: Any) -> CanaryFacts:
    found = (PodFacts(f"w{n}", V1, f"10.0.1.{n}", True, n < opened, n < opened) for n in range(count))
    return CanaryFacts(V1, count, tuple(replace(pod, **more) for pod in found), labels={"opsloop.dev/warm": "answers"})


def asking(keep: Any = KEEP, version: str = "v4", **spec: Any) -> Any:
    return release(version=version, dependsOn=[], strategy={"keepWarm": keep} if keep else {}, **spec)


def promoting(
    record: WarmPods | None = None, keep: Any = KEEP, known: Any = (ADOPTED, LIVE), **more: Any
) -> ReleaseFacts:
    """Weight 100 of v4 was decided 10 s ago; v1 is live."""
    status = status_with(target("Promoting", reached_at=at(90)), *known, warm=record, **more.pop("status", {}))
    return facts(asking(keep), status, **{"beside": BESIDE, **more})


def promoted(record: WarmPods | None = RECORD, **more: Any) -> ReleaseFacts:
    """v4 is live, and v1 is kept warm beside it."""
    state = more.pop("target", target("Promoted", ended_at=at(95)))
    status = status_with(state, *more.pop("known", (ADOPTED, LIVE)), live=V4, warm=record, **more.pop("status", {}))
    base = {"workload": workload("shop:v4"), "warm": kept(), "beside": BESIDE}
    return facts(more.pop("item", asking()), status, **{**base, **more})


def warm_after(situation: ReleaseFacts) -> tuple[str, str, int]:
    warm = status_after(situation).warm
    return (warm.state, warm.reason, warm.pods) if warm else ("", "", 0)


def test_a_promotion_records_and_starts_the_pods_and_writes_no_template_before_they_are_ready() -> None:
    begun = promoting()
    assert warm_after(begun) == ("Starting", "WarmStarting", 0)
    (ensure,) = actions_of(begun, EnsureWarm)
    assert (ensure.digest, ensure.replicas, ensure.without) == (V1, 2, ("app",))
    started = RECORD.model_copy(update={"state": "Starting", "until": None})
    assert not actions_of(promoting(started, warm=kept(containers_ready=False)), SetTemplate)
    assert warm_after(promoting(started, warm=kept())) == ("Warm", "KeptWarm", 0)
    assert actions_of(promoting(RECORD.model_copy(update={"until": None}), warm=kept()), SetTemplate)


def test_the_promotion_waits_no_longer_than_it_may() -> None:
    started = RECORD.model_copy(update={"state": "Starting", "until": None, "since": at(79)})
    late = promoting(started, warm=kept(containers_ready=False), keep=KEEP | {"wait": "10s"})
    assert actions_of(late, SetTemplate)


def test_half_of_live_is_kept_by_default() -> None:
    (ensure,) = actions_of(promoting(keep={"for": "1m"}, workload=workload("shop:v1", replicas=5)), EnsureWarm)
    assert ensure.replicas == 3


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param({"known": (revision(), LIVE)}, "NothingToKeepWarm", id="nothing was ever live to go back to"),
        pytest.param({"templates": {V4: {}}}, "TemplateMissing", id="its template is not stored"),
        pytest.param(
            {"workload": replace(workload("shop:v1"), strategy="Recreate")}, "RunsAlone", id="pods are recreated"
        ),
        pytest.param({"claims": {"disk": ("ReadWriteOnce",)}}, "SingleVolume", id="a volume is for one pod"),
        pytest.param({"beside": Beside()}, "NoService", id="no Service has the pods: a worker would work at once"),
        pytest.param({"stop": Stop("opsloop", "now", "alice", at(0), True)}, "Stopped", id="opsloop is stopped"),
        pytest.param({"templates": {**TEMPLATES, V4: UNSAFE}}, "RollbackUnsafe", id="nothing goes back across it"),
    ],
)
def test_nothing_is_kept_and_the_condition_says_why(more: Any, reason: str) -> None:
    situation = promoting(**more)
    assert not actions_of(situation, EnsureWarm)
    assert condition_of(status_after(situation), "LastGoodWarm") == ("False", reason)


def room(**state: Any) -> Any:
    return {"workload": replace(workload("shop:v4"), rollout=RolloutState(**state))}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param({"item": asking(None)}, "KeepWarmOff", id="nobody wants them any more"),
        pytest.param({"workload": workload("shop:v4", replicas=0)}, "LiveAtZero", id="the service is scaled to 0"),
        pytest.param(room(failure="exceeded quota"), "NoRoom", id="a quota refuses pods of live"),
        pytest.param(room(unscheduled="insufficient cpu"), "NoRoom", id="a pod of live fits no node"),
        pytest.param({"warm": kept(unschedulable="insufficient cpu")}, "NoRoom", id="they fit no node themselves"),
        pytest.param({"warm": replace(kept(), failure="exceeded quota")}, "NoRoom", id="a quota refuses them"),
        pytest.param(
            {"canary": CanaryFacts("f" * 16, 1, failure="exceeded quota")}, "NoRoom", id="it refuses a canary"
        ),
        pytest.param(
            {"refusals": (Refusal("warm", V1, "no", at(99)),)}, "WriteRefused", id="their Deployment is refused"
        ),
        pytest.param(
            {"target": target("Dark", "v5", started_at=at(99)), "item": asking(version="v5")},
            "NewCanary",
            id="a new canary starts",
        ),
        pytest.param({"workload": workload("shop:v5")}, "LiveMoved", id="another version was put there by hand"),
        pytest.param({"record": RECORD.model_copy(update={"until": NOW})}, "WindowOver", id="their time is over"),
        pytest.param(
            {"known": (ADOPTED.model_copy(update={"blocked": BLOCK}), LIVE)},
            "TargetBlocked",
            id="what they run is blocked",
        ),
    ],
)
def test_they_go_at_once(more: Any, reason: str) -> None:
    record = more.pop("record", RECORD)
    situation = promoted(record, **more)
    assert warm_after(situation) == ("Over", reason, 0) and actions_of(situation, DeleteWarm)


def test_dark_pods_that_somebody_opened_are_closed_before_all_else() -> None:
    closing = [a for a in decide(promoted(warm=kept(2, 1))).safety if isinstance(a, SetWarm)]
    assert [(a.pods, a.open) for a in closing] == [(("w0",), False)]


def test_dark_pods_on_which_labels_were_left_behind_lose_them() -> None:
    """A gate that somebody closed by hand, and versions that wrote gate and labels apart."""
    closing = [a for a in decide(promoted(warm=kept(2, 0, labels={"app": "answers"}))).safety if isinstance(a, SetWarm)]
    assert [(a.pods, a.open) for a in closing] == [(("w0", "w1"), False)]
    assert not [a for a in decide(promoted()).safety if isinstance(a, SetWarm)], "and at rest there is no write"


def test_a_rollback_records_the_number_and_opens_them_ahead_of_the_template() -> None:
    decided = incident_with_rollback(from_=V4)
    situation = promoted(incidents=(decided,))
    assert warm_after(situation) == ("Serving", "WarmServes", 2)
    opening, write = [a for a in decide(situation).actions if isinstance(a, SetWarm | SetTemplate)]
    assert isinstance(opening, SetWarm) and isinstance(write, SetTemplate)
    assert (opening.pods, opening.open, opening.labels) == (("w0", "w1"), True, {"app": "answers"})


def test_under_a_stop_no_pod_is_opened() -> None:
    stop = Stop("opsloop", "now", "alice", at(0), True)
    situation = promoted(incidents=(incident_with_rollback(from_=V4),), stop=stop)
    assert not [a for a in actions_of(situation, SetWarm) if a.open] and warm_after(situation)[0] == "Warm"


SERVING = RECORD.model_copy(update={"state": "Serving", "pods": 2, "opened_at": at(90), "reason": "WarmServes"})


def test_no_pod_beyond_the_decided_number_stays_open() -> None:
    record = {
        "incident": "answers-1",
        "attempt": 1,
        "from_digest": V4,
        "to_digest": V1,
        "state": "Written",
        "at": at(90),
    }
    going = {"status": {"rollback": record}, "workload": workload("shop:v1", settled=False)}
    lent = promoted(SERVING.model_copy(update={"pods": 1, "replicas": 1}), warm=kept(2, 2), **going)
    assert [(a.pods, a.open) for a in decide(lent).safety if isinstance(a, SetWarm)] == [(("w1",), False)]
    assert not actions_of(lent, EnsureWarm), "a pod is out of traffic before the Deployment is made smaller"


def test_when_the_deployment_is_available_they_are_closed_and_deleted() -> None:
    status = status_with(None, ADOPTED, LIVE, live=V1, warm=SERVING)
    over = facts(asking(), status, warm=kept(2, 2), beside=BESIDE)
    assert [(a.pods, a.open) for a in decide(over).safety if isinstance(a, SetWarm)] == [(("w0", "w1"), False)]
    assert actions_of(over, DeleteWarm) and warm_after(over) == ("Over", "TookOver", 0)
    assert not actions_of(over, SetRoute)
