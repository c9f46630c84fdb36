"""Carrying out a decision: its order, its preconditions, and that nothing in it is done twice."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.page import PageMessage
from opsloop.api.release import ReleaseStatus
from opsloop.core.actions import (
    Action,
    CreateEvalCase,
    DeleteCanary,
    EnsureCanary,
    EnsureRevision,
    MarkPods,
    SendPage,
    SetGates,
    SetTemplate,
    StorePostmortem,
)
from opsloop.core.decision import Decision, Event  # fmt: skip
from opsloop.core.facts import CanaryFacts
from opsloop.core.release.revisions import digest
from opsloop.errors import Conflict, Forbidden, Invalid, LeadershipLost, NotFound, OpsloopError, Unavailable
from opsloop.names import CANARY, GATE, RELEASE, REVISION
from opsloop.shell.ports import CONFIGMAPS, CONTROLLERREVISIONS, DEPLOYMENTS, EVALCASES, PODS, RELEASES
from opsloop.shell.reconcile import apply, observe
from tests.builders.objects import T0, V1, V2, V4, incident, template
from tests.builders.postmortems import Episode
from tests.fakes.runtime import Bench, bench, deployment, pod
from tests.sim.shop import NS

CLOSE = SetGates("answers", ("c0",), open=False, reason="it is rejected")
OPEN = SetGates("answers", ("c0",), open=True, reason="weight 20 decided")
MARK = MarkPods("answers", (("c0", ({"op": "add", "path": "/metadata/labels/track", "value": "live"},)),), True, V4)
BACK = SetTemplate("answers", V1, template("shop:v2"), V2)
REMEMBER = EnsureRevision("answers", V1, 1, template())
CANARY_ = EnsureCanary("answers", "answers", V4, template("shop:v4"), 2)
STATUS = ReleaseStatus(live=V1, phase="Healthy")


async def carry(on: Bench, *actions: Action, **parts: Any) -> None:
    decision = Decision(actions=actions, **parts)
    await apply.apply_decision(on.runtime, "Release", on.cached("Release"), decision)


def verbs(on: Bench) -> list[str]:
    return [f"{w.verb} {w.resource.plural}" for w in on.cluster.writes]


@pytest.fixture
def on() -> Bench:
    return bench(pod("c0", {CANARY: "answers", REVISION: V4}, {"ContainersReady": "True"}))


# --- the order


async def test_safety_comes_before_the_status_and_acts_come_after_it(on: Bench) -> None:
    await carry(on, BACK, safety=(CLOSE,), status=STATUS, events=(Event("X", "x"),))
    assert verbs(on) == ["patch_pod_condition pods", "replace_status releases", "json_patch deployments"]
    assert on.events.posted == [("answers", "X")]


async def test_a_stale_read_changes_nothing_but_lowers_weights_all_the_same(on: Bench) -> None:
    old = on.cached("Release")
    on.cluster.seed({**old, "spec": {**old["spec"], "paused": True}})
    with pytest.raises(Conflict):
        await carry(on, BACK, safety=(CLOSE,), status=STATUS, events=(Event("X", "x"),))
    assert verbs(on) == ["patch_pod_condition pods"] and on.events.posted == []


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(OPEN, id="opens no gate"),
        pytest.param(BACK, id="writes no template"),
        pytest.param(MARK, id="marks no live pod"),
    ],
)
async def test_where_no_status_is_stored_a_stale_read(on: Bench, action: Action) -> None:
    old = on.cached("Release")
    on.cluster.seed({**old, "spec": {**old["spec"], "paused": True}})
    with pytest.raises(Conflict):
        await carry(on, action)
    assert verbs(on) == []
    on.see()
    await carry(on, action)
    assert len(verbs(on)) == 1


async def test_closing_a_gate_asks_nobody(on: Bench) -> None:
    await carry(on, CLOSE)
    assert on.cluster.reads == [] and verbs(on) == ["patch_pod_condition pods"]


async def test_a_stored_status_is_cached_at_once_and_requests_what_follows(on: Bench) -> None:
    await carry(on, status=STATUS)
    assert on.cached("Release")["status"]["live"] == V1 and ("Release", NS, "answers") in on.requested
    await carry(on, status=STATUS.model_copy(update={"version": "v1"}))
    assert on.cached("Release")["status"]["version"] == "v1", "no Conflict with our own write"


async def test_the_status_is_written_whole_and_the_spec_is_left_alone(on: Bench) -> None:
    await carry(on, status=STATUS)
    stored = on.cluster.find(RELEASES, NS, "answers")
    assert stored is not None and stored["spec"] == on.cached("Release")["spec"]
    assert stored["metadata"]["generation"] == 1 and None not in stored["status"].values()


async def test_a_failed_action_leaves_later_ones_undone_but_posts_the_events(on: Bench) -> None:
    on.cluster.remove(DEPLOYMENTS, NS, "answers")
    with pytest.raises(NotFound):
        await carry(on, BACK, REMEMBER, events=(Event("X", "x"),))
    assert verbs(on) == [] and on.events.posted == [("answers", "X")]


@pytest.mark.parametrize("error", [Unavailable("no answer"), Forbidden("no")], ids=["no answer", "refused"])
async def test_live_pods_that_cannot_be_marked_fail_no_look_and_are_tried_again_later(
    on: Bench, error: OpsloopError
) -> None:
    on.cluster.fail_next = [error]
    await apply.execute(on.runtime, NS, on.cached("Release"), MARK)
    (refusal,) = on.runtime.refusals.of((NS, "answers"))
    assert (refusal.write, refusal.message) == ("pods", str(error)) and refusal.again_at > on.runtime.now()
    on.cluster.fail_next = [LeadershipLost("another one leads")]
    with pytest.raises(LeadershipLost):
        await apply.execute(on.runtime, NS, on.cached("Release"), MARK)


# --- the user's Deployment


async def test_only_the_template_is_written_whole_under_the_observed_resource_version(on: Bench) -> None:
    before = on.cluster.find(DEPLOYMENTS, NS, "answers")
    await carry(on, BACK)
    (write,) = on.cluster.writes
    assert [(op["op"], op["path"]) for op in write.body] == [
        ("test", "/metadata/resourceVersion"),
        ("replace", "/spec/template"),
    ]
    after = on.cluster.find(DEPLOYMENTS, NS, "answers")
    assert before and after and {**after["spec"], "template": 0} == {**before["spec"], "template": 0}
    assert after["spec"]["template"] == template("shop:v2")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('sh -c "a && b"', id="a shell command with &&"),
        pytest.param("http://x/?a=1&b=<2>", id="a URL with & and < >"),
        pytest.param("grüezi", id="a letter that is not ASCII"),
    ],
)
async def test_a_template_is_written_whatever_letters_it_holds(on: Bench, text: str) -> None:
    live = deployment(image="shop:v1")
    live["spec"]["template"]["spec"]["containers"][0]["args"] = [text]
    on.cluster.seed(live)
    on.see()
    await carry(on, SetTemplate("answers", digest(live["spec"]["template"]), template("shop:v2"), V2))
    stored = on.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored and stored["spec"]["template"] == template("shop:v2")


async def test_a_status_that_moved_since_does_not_delay_the_write(on: Bench) -> None:
    stored = on.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored
    on.cluster.seed({**stored, "status": {"replicas": 3}})  # the watch has not told of it yet
    await carry(on, BACK)
    after = on.cluster.find(DEPLOYMENTS, NS, "answers")
    assert after and after["spec"]["template"] == template("shop:v2")


@pytest.mark.parametrize("seen", [pytest.param(True, id="seen"), pytest.param(False, id="not seen yet")])
async def test_a_template_that_somebody_else_changed_is_not_overwritten(on: Bench, seen: bool) -> None:
    on.cluster.seed(deployment(image="shop:v3"))
    if seen:
        on.see()
    with pytest.raises(Conflict):
        await carry(on, BACK)
    assert verbs(on) == []


async def test_writing_twice_is_refused_by_the_precondition(on: Bench) -> None:
    await carry(on, BACK)
    with pytest.raises(Conflict):
        await carry(on, BACK)
    assert verbs(on) == ["json_patch deployments"]


# --- gates


async def test_a_gate_says_why_and_only_its_condition_is_touched(on: Bench) -> None:
    await carry(on, OPEN)
    stored = on.cluster.find(PODS, NS, "c0")
    assert stored is not None
    conditions = {c["type"]: c for c in stored["status"]["conditions"]}
    assert conditions[GATE]["status"] == "True" and conditions[GATE]["message"] == "weight 20 decided"
    assert conditions["ContainersReady"]["status"] == "True"


async def test_a_pod_that_is_gone_is_out_of_traffic(on: Bench) -> None:
    await carry(on, SetGates("answers", ("gone", "c0"), open=False, reason="r"))
    assert verbs(on) == ["patch_pod_condition pods"]


async def test_all_gates_are_closed_even_if_one_cannot_be(on: Bench) -> None:
    on.cluster.seed(pod("c1", {CANARY: "answers"}))
    on.cluster.fail_next = [Unavailable("no")]
    with pytest.raises(Unavailable):
        await carry(on, status=STATUS, safety=(SetGates("answers", ("c0", "c1"), open=False, reason="r"),))
    assert [w.name for w in on.cluster.writes] == ["c1", "answers"], "and neither the record waits for it"


async def test_a_gate_that_cannot_be_closed_keeps_neither_the_deletion_nor_lets_another_one_open(on: Bench) -> None:
    on.seed(deployment("answers-canary", labels={CANARY: "answers"}))
    on.cluster.fail_next = [Unavailable("no")]
    opening = SetGates("answers", ("c0",), open=True, reason="r")
    closing = SetGates("answers", ("c0",), open=False, reason="r")
    with pytest.raises(Unavailable):
        await carry(on, opening, DeleteCanary("answers"), status=STATUS, safety=(closing,))
    assert verbs(on) == ["replace_status releases", "delete deployments"]


async def test_a_process_that_lost_the_lease_stops_at_the_first_write(on: Bench) -> None:
    on.cluster.fail_next = [LeadershipLost("fenced")]
    with pytest.raises(LeadershipLost):
        await carry(on, status=STATUS, safety=(SetGates("answers", ("c0",), open=False, reason="r"),))
    assert verbs(on) == []


# --- revisions and the canary


async def test_a_template_is_stored_once_without_an_owner(on: Bench) -> None:
    await carry(on, REMEMBER, REMEMBER)
    assert verbs(on) == ["create controllerrevisions"]
    stored = on.cluster.find(CONTROLLERREVISIONS, NS, f"answers-{V1}")
    assert stored is not None and stored["data"] == template() and "ownerReferences" not in stored["metadata"]
    assert stored["metadata"]["labels"][RELEASE] == "answers"


async def test_a_template_that_an_earlier_process_stored_is_no_error(on: Bench) -> None:
    await carry(on, REMEMBER)
    on.runtime.owned.templates.clear()
    await carry(on, REMEMBER)
    assert (await observe.templates(on.runtime, NS, "answers")).keys() == {V1}


async def test_the_canary_is_cached_at_once_and_deleted_once(on: Bench) -> None:
    await carry(on, CANARY_)
    facts = await observe.release_facts(on.runtime, NS, "answers")
    assert facts is not None and isinstance(facts.canary, CanaryFacts) and facts.canary.replicas == 2
    await carry(on, DeleteCanary("answers"), DeleteCanary("answers"))
    assert verbs(on) == ["apply deployments", "delete deployments"]


async def test_a_users_deployment_with_a_canarys_name_is_not_deleted(on: Bench) -> None:
    on.seed(deployment("answers-canary"))
    await carry(on, DeleteCanary("answers"))
    assert verbs(on) == []


async def test_a_users_deployment_with_a_canarys_name_is_not_taken_over(on: Bench) -> None:
    on.seed(deployment("answers-canary"))
    await carry(on, CANARY_)
    assert verbs(on) == []
    (refusal,) = on.runtime.refusals.of((NS, "answers"))
    assert "answers-canary is not opsloop's" in refusal.message and refusal.write == "canary"


@pytest.mark.parametrize("error", [Invalid("spec: Invalid value"), Forbidden("exceeded quota")])
async def test_a_refused_write_is_a_fact_of_the_next_look_and_forgotten_when_it_is_accepted(
    on: Bench, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(on.cluster, "apply", refuse)
    for pause in (2, 4, 8):
        await carry(on, CANARY_)
        (refusal,) = on.runtime.refusals.of((NS, "answers"))
        assert refusal.message == str(error)
        assert refusal.again_at - on.runtime.now() == timedelta(seconds=pause), "it backs off"
    assert ("Release", NS, "answers") in on.requested
    monkeypatch.undo()
    await carry(on, CANARY_)
    assert on.runtime.refusals.of((NS, "answers")) == ()


# --- the rest


async def test_an_eval_case_is_created_once_and_never_overwritten(on: Bench) -> None:
    made = CreateEvalCase("answers-1-regression", {"release": "answers"}, {RELEASE: "answers"})
    await carry(on, made)
    await carry(on, CreateEvalCase("answers-1-regression", {"release": "other"}))
    stored = on.cluster.find(EVALCASES, NS, "answers-1-regression")
    assert stored is not None and stored["spec"] == {"release": "answers"} and len(on.cluster.writes) == 1


async def test_the_postmortem_is_owned_by_its_incident_and_remembered() -> None:
    item = incident()
    on = bench({"kind": "Incident", "metadata": {"name": "answers-1", "namespace": NS}, "spec": item.spec.dump()})
    obj = on.cached("Incident", "answers-1")
    decision = Decision(actions=(StorePostmortem("answers-1-postmortem", "900d", item, None, None),))
    await apply.apply_decision(on.runtime, "Incident", obj, decision)
    stored = on.cluster.find(CONFIGMAPS, NS, "answers-1-postmortem")
    assert stored is not None and stored["data"]["postmortem.md"] == Episode(item, None, None).markdown
    assert stored["metadata"]["annotations"]["opsloop.dev/subject"] == "900d"
    assert stored["metadata"]["ownerReferences"][0]["uid"] == obj["metadata"]["uid"]
    assert on.runtime.owned.postmortems[NS, "answers-1"] == "900d" and ("Incident", NS, "answers-1") in on.requested


async def test_a_page_does_not_hold_up_what_follows_it(on: Bench) -> None:
    page = PageMessage(number=1, action="trigger", reason="Severity", severity="sev1", state="Decided", decided_at=T0)
    on.pager.fail_next = [Unavailable("down")]
    await carry(on, SendPage("answers-1", "t", "k", page, {}), REMEMBER)
    assert verbs(on) == ["create controllerrevisions"] and on.pager.pages == []
    await asyncio.sleep(0)
    await on.runtime.pages.close()
