"""Several receivers: each has its own state, who was called hears the end, and one that is down hides nothing."""

from typing import Any

import pytest

from opsloop.api.incident import IncidentStatus
from opsloop.core.actions import KeepPage, SendPage, WithdrawPage
from opsloop.core.facts import Delivery, IncidentFacts
from opsloop.core.notify.routing import Route, Routing
from tests.builders.incidents import acts, after, burnt, condition_of, decide, facts, sli
from tests.builders.objects import at, incident
from tests.core.incident.test_paging import ACKNOWLEDGED, message, thread_of

BOTH = Routing(default=("oncall", "chat"))
BY_SEVERITY = Routing((Route(("oncall",), severities=("sev1",)),), default=("chat",))
AM = Routing(default=("oncall", "am"), resent=frozenset({"am"}))
DOWN = Delivery(None, "chat: 503 away")
TOOK = Delivery(at(3), answer="202 accepted")


def sent(seen: IncidentFacts) -> list[tuple[str, tuple[str, ...]]]:
    return [(a.message.action, a.receivers) for a in acts(seen, SendPage)]


def state(status: IncidentStatus) -> dict[str, tuple[int, str]]:
    assert status.page is not None
    return {r.name: (r.taken, r.answer or r.failure) for r in status.page.receivers}


def open_to(
    *to: str, state: str = "Decided", receivers: tuple[dict[str, Any], ...] = (), **more: Any
) -> dict[str, Any]:
    made = thread_of(message(state=state, to=list(to)), **more)
    return {"page": {**made["page"], "receivers": list(receivers)}}


def test_a_call_is_stored_with_its_receivers_before_it_is_sent() -> None:
    seen = facts(incident(), routing=BOTH)
    status = after(seen)
    assert status.page is not None and status.page.messages[0].to == ["oncall", "chat"]
    assert sent(seen) == [("trigger", ("oncall", "chat"))]


def test_a_page_of_an_opsloop_that_knew_one_receiver_goes_on_at_those_of_its_route() -> None:
    seen = facts(burnt(**thread_of(message(state="Decided"))), routing=BOTH)
    assert sent(seen) == [("trigger", ("oncall", "chat"))]


def test_taken_by_one_it_is_sent_and_goes_on_at_the_other() -> None:
    seen = facts(burnt(**open_to("oncall", "chat")), routing=BOTH, deliveries={1: {"oncall": TOOK, "chat": DOWN}})
    status = after(seen)
    assert status.page is not None and (status.page.state, status.page.sent_at) == ("Sent", at(3))
    assert state(status) == {"oncall": (1, "202 accepted"), "chat": (0, "chat: 503 away")}
    assert condition_of(status, "Paged") == ("True", "PartlyDelivered")
    assert sent(seen) == [("trigger", ("chat",))]
    assert [e.reason for e in decide(seen).events] == ["Paged", "PageUndelivered"]


def test_what_one_has_not_taken_is_told_once_and_survives_a_restart() -> None:
    seen = facts(burnt(**open_to("oncall", "chat")), routing=BOTH, deliveries={1: {"oncall": TOOK, "chat": DOWN}})
    stored = seen.incident.model_copy(update={"status": after(seen)})
    again = facts(stored, routing=BOTH, deliveries=dict(seen.deliveries))
    assert decide(again).events == () and sent(again) == [("trigger", ("chat",))]
    restarted = facts(stored, routing=BOTH)
    assert sent(restarted) == [("trigger", ("chat",))], "nobody else is called again"
    came = facts(stored, routing=BOTH, deliveries={1: {"chat": Delivery(at(9), answer="200 ok")}})
    status = after(came)
    assert state(status) == {"oncall": (1, "202 accepted"), "chat": (1, "200 ok")} and sent(came) == []
    assert condition_of(status, "Paged") == ("True", "Delivered")


def test_where_all_are_down_it_is_not_paged_and_all_are_named() -> None:
    downs = {1: {"oncall": Delivery(None, "oncall: 401"), "chat": DOWN}}
    seen = facts(burnt(**open_to("oncall", "chat")), routing=BOTH, deliveries=downs)
    status = after(seen)
    assert condition_of(status, "Paged") == ("False", "Undelivered")
    text = next(c.message for c in status.conditions if c.type == "Paged")
    assert "oncall: 401; chat: 503 away" in text


@pytest.mark.parametrize(
    ("routing", "stored", "to"),
    [
        pytest.param(BOTH, open_to("oncall", "chat", state="Sent"), ("oncall", "chat"), id="both"),
        pytest.param(BY_SEVERITY, thread_of(message(severity="sev2", to=["chat"]), message(2, to=["oncall", "chat"])), ("oncall", "chat"), id="who was called for a lower severity hears it too"),
        pytest.param(Routing(default=("new",)), open_to("oncall", state="Sent"), ("new", "oncall"), id="who was called before the routes changed"),
    ],
)  # fmt: skip
def test_the_end_goes_to_everybody_who_was_called(
    routing: Routing, stored: dict[str, Any], to: tuple[str, ...]
) -> None:
    seen = facts(burnt("Resolved", **stored), seen=sli(0.0), routing=routing)
    assert sent(seen)[-1] == ("resolve", to)


def test_a_worse_severity_calls_its_own_receivers_and_tells_the_former() -> None:
    stored = thread_of(message(severity="sev2", to=["chat"]))
    stored["page"]["receivers"] = [{"name": "chat", "taken": 1, "takenAt": at(2)}]
    seen = facts(burnt(**stored), routing=BY_SEVERITY)
    assert sent(seen) == [("trigger", ("oncall", "chat"))]


def test_given_up_at_one_it_stays_sent_at_the_other() -> None:
    stored = open_to("oncall", "chat", state="Sent", receivers=({"name": "oncall", "taken": 1, "takenAt": at(2)},))
    seen = facts(burnt(meta=ACKNOWLEDGED, **stored), routing=BOTH, deliveries={1: {"chat": DOWN}})
    status = after(seen)
    assert status.page is not None and [(m.state, m.to) for m in status.page.messages] == [
        ("Sent", ["oncall"]),
        ("Decided", ["oncall", "chat"]),
    ]
    assert acts(seen, WithdrawPage) == [WithdrawPage("uid-answers-1", 1, ("chat",))]
    assert sent(seen) == [("acknowledge", ("oncall", "chat"))]


def test_one_that_has_not_failed_yet_is_not_given_up_with_one_that_has() -> None:
    seen = facts(
        burnt("Resolved", **open_to("oncall", "chat")), seen=sli(0.0), routing=BOTH, deliveries={1: {"chat": DOWN}}
    )
    assert acts(seen, WithdrawPage) == [WithdrawPage("uid-answers-1", 1, ("chat",))]
    assert sent(seen) == [("trigger", ("oncall",)), ("resolve", ("oncall", "chat"))]


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        pytest.param(facts(burnt(**open_to("oncall", "am", state="Sent")), routing=AM), [("trigger", ("am",))], id="open: repeated where it would end"),
        pytest.param(facts(burnt(**open_to("oncall", "am", state="Sent")), routing=BOTH), [], id="nowhere else"),
        pytest.param(facts(burnt(**open_to("oncall", "am")), routing=AM), [], id="not before somebody took it"),
        pytest.param(facts(burnt(meta=ACKNOWLEDGED, **thread_of(message(to=["am"]), message(2, "acknowledge", to=["am"], text="a person has taken it on (annotation true)"))), routing=AM), [("acknowledge", ("am",))], id="acknowledged: with those words"),
        pytest.param(facts(burnt("Resolved", **open_to("am", state="Sent")), seen=sli(0.0), routing=AM), [], id="over: no more"),
        pytest.param(facts(burnt("Resolved", mergedInto="catalog-1", **open_to("am", state="Sent")), incidents=(incident("catalog-1"),), routing=AM), [("trigger", ("am",))], id="merged: until its alert goes on as the other one's, also after a restart"),
        pytest.param(facts(burnt("Resolved", mergedInto="catalog-1", **open_to("am", state="Sent")), incidents=(incident("catalog-1", {"phase": "Resolved"}),), routing=AM), [], id="merged into one that is over: it ends"),
    ],
)  # fmt: skip
def test_what_is_repeated(seen: IncidentFacts, kept: list[tuple[str, tuple[str, ...]]]) -> None:
    assert [(k.page.message.action, k.page.receivers) for k in acts(seen, KeepPage)] == kept


def test_the_root_of_a_fault_goes_on_at_the_receivers_of_the_merged_one_with_its_labels() -> None:
    stored = {**open_to("victims", state="Sent"), "mergedInto": "answers-1", "phase": "Resolved"}
    stored["page"]["dedupKey"] = "uid-web-1"
    merged = incident("web-1", stored)
    seen = facts(incident(), incidents=(merged,), routing=BOTH)
    (call,) = acts(seen, SendPage)
    assert call.alert == "uid-web-1" and call.receivers == ("oncall", "chat", "victims")
    assert (call.about.opened_by, call.about.opened_for) == ("web-1", merged.spec.service)


def test_a_call_to_a_receiver_that_is_not_configured_any_more_goes_to_those_in_its_place() -> None:
    stored = thread_of(message(state="Decided", to=["pager"]))
    seen = facts(burnt(**stored), routing=Routing(default=("oncall",), known=frozenset({"oncall"})))
    assert [one.receivers for one in acts(seen, SendPage)] == [("oncall",)]
    assert after(seen).page.messages[0].to == ["oncall"]  # type: ignore[union-attr]


def test_an_open_alert_at_a_receiver_that_was_renamed_goes_on_at_the_new_one() -> None:
    stored = thread_of(message(state="Sent", to=["am"]))
    stored["page"]["receivers"] = [{"name": "am", "taken": 1, "takenAt": at(2)}]
    names = frozenset({"am2"})
    seen = facts(burnt(**stored), routing=Routing(default=("am2",), resent=names, known=names))
    assert [(one.page.message.action, one.page.receivers) for one in acts(seen, KeepPage)] == [("trigger", ("am2",))]
    assert [one.receivers for one in acts(seen, SendPage)] == [("am2",)]
