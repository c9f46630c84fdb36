"""Paging: what a person must hear of an Incident, each thing once, in one thread that ends with it."""

from typing import Any

import pytest

from opsloop.api.incident import IncidentStatus
from opsloop.api.page import Page, PageMessage
from opsloop.core.actions import SendPage, WithdrawPage
from opsloop.core.facts import Delivery, IncidentFacts
from opsloop.core.incident import thread
from tests.builders.incidents import (
    BLOCKED_BAD,
    DONE,
    NOW,
    ROLLED_BACK,
    acts,
    after,
    alerts_only,
    burnt,
    condition_of,
    decide,
    facts,
    play,
    service,
    sli,
    timeline_keys,
)
from tests.builders.objects import V1, at, incident
from tests.builders.rollouts import ADOPTED


def message(number: int = 1, action: str = "trigger", state: str = "Sent", **more: Any) -> dict[str, Any]:
    base = {"number": number, "action": action, "reason": "Severity", "severity": "sev1", "state": state}
    ended = {"endedAt": at(2)} if state != "Decided" else {}
    return {**base, "decidedAt": at(1), **ended, **more}


def thread_of(*messages: dict[str, Any]) -> dict[str, Any]:
    last = messages[-1]
    summary = {"state": "Sent", "severity": last["severity"], "dedupKey": "uid-answers-1", "decidedAt": at(1)}
    return {"page": {**summary, "messages": list(messages)}}


def told(seen: IncidentFacts) -> list[tuple[str, str]]:
    """(action, reason) of every call to the pager."""
    return [(a.message.action, a.message.reason) for a in acts(seen, SendPage)]


CALLED = thread_of(message())
OVER = thread_of(message(), message(2, "resolve", reason="Resolved"))
SEV2 = thread_of(message(severity="sev2"))
REFUSED = {1: {"pager": Delivery(None, "pager: 503 try later")}}
TAKEN = "a person has taken it on (annotation true)"
ACKNOWLEDGED = {"annotations": {"opsloop.dev/acknowledge": "true"}}
PUSHED = service(known=(ADOPTED, BLOCKED_BAD), rollback=DONE)
FOUGHT: dict[str, Any] = {
    "plays": [play("Helped"), *(play("Helped", attempt=n, reason="StandingGrant") for n in (2, 3))]
}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(facts(incident()), [("trigger", "Severity")], id="sev1 pages at once"),
        pytest.param(facts(alerts_only("sev2"), seen=sli(0.0)), [("trigger", "Severity")], id="sev2 pages as well"),
        pytest.param(facts(alerts_only("sev3"), seen=sli(0.0)), [], id="sev3 pages nobody"),
        pytest.param(facts(alerts_only("sev3"), seen=sli(0.5)), [("trigger", "Severity")], id="until a burn raises it"),
        pytest.param(facts(burnt(**CALLED)), [], id="what was sent is not sent again"),
        pytest.param(facts(burnt()), [], id="nor what an older opsloop sent"),
        pytest.param(facts(burnt(**SEV2)), [("trigger", "SeverityRaised")], id="sev2 that becomes sev1 pages again"),
        pytest.param(facts(burnt("Resolved", page=None), seen=sli(0.0)), [], id="what is over pages nobody"),
        pytest.param(facts(burnt("Resolved", **CALLED), seen=sli(0.0)), [("resolve", "Resolved")], id="it ends its thread"),
        pytest.param(facts(burnt("Resolved", **OVER), seen=sli(0.0)), [], id="once"),
        pytest.param(facts(burnt("Resolved", resolvedAt=at(90), **OVER), service(live=V1), sli(0.8)), [("trigger", "Reopened")], id="reopened it pages again"),
        pytest.param(facts(burnt("Resolved", **FOUGHT, **OVER), PUSHED), [("trigger", "Contested")], id="reopened and contested is one page"),
        pytest.param(facts(burnt("Resolved", mergedInto="catalog-1", page=None)), [], id="what was merged pages nobody"),
        pytest.param(facts(burnt("Resolved", mergedInto="catalog-1", **CALLED)), [("resolve", "Merged")], id="merged it ends its thread"),
        pytest.param(facts(burnt(meta=ACKNOWLEDGED, **CALLED)), [("acknowledge", "Acknowledged")], id="a person took it on: the pager hears of it"),
        pytest.param(facts(burnt(meta=ACKNOWLEDGED, **thread_of(message(), message(2, "acknowledge", text=TAKEN)))), [], id="once as well"),
        pytest.param(facts(burnt(meta=ACKNOWLEDGED, **thread_of(message(severity="sev2"), message(2, "acknowledge", severity="sev2", text=TAKEN)))), [("trigger", "SeverityRaised")], id="an acknowledged Incident that becomes worse pages again"),
        pytest.param(facts(burnt("Resolved", meta=ACKNOWLEDGED, resolvedAt=at(90), **thread_of(message(), message(2, "acknowledge", text=TAKEN), message(3, "resolve"))), service(live=V1), sli(0.8)), [("trigger", "Reopened")], id="a left-over annotation does not acknowledge what came back"),
        pytest.param(facts(burnt(meta={"annotations": {"opsloop.dev/acknowledge": "again"}}, **thread_of(message(), message(2, "acknowledge", text=TAKEN), message(3, "resolve"), message(4)))), [("acknowledge", "Acknowledged")], id="a new value does"),
    ],
)  # fmt: skip
def test_what_a_person_hears(seen: IncidentFacts, expected: list[tuple[str, str]]) -> None:
    assert told(seen) == expected


def test_a_page_is_stored_before_the_call_with_the_incident_s_key() -> None:
    page = after(facts(incident())).page
    assert page is not None and (page.state, page.dedup_key) == ("Decided", "uid-answers-1")
    assert [(m.number, m.state) for m in page.messages] == [(1, "Decided")]


def test_an_undelivered_page_is_sent_again_with_the_same_key_and_number() -> None:
    (again,) = acts(facts(burnt(**thread_of(message(state="Decided")))), SendPage)
    assert (again.thread, again.message.number) == ("uid-answers-1", 1)


def test_a_delivered_page_is_stored_with_its_time() -> None:
    seen = facts(burnt(**thread_of(message(state="Decided"))), deliveries={1: {"pager": Delivery(at(3))}})
    status = after(seen)
    assert status.page is not None and (status.page.state, status.page.sent_at) == ("Sent", at(3))
    assert acts(seen, SendPage) == [] and condition_of(status, "Paged") == ("True", "Delivered")
    assert "paged" in timeline_keys(status)


# --- what the pager does not take


def events(seen: IncidentFacts) -> list[str]:
    return [e.reason for e in decide(seen).events if e.reason.startswith("Page")]


def states(status: IncidentStatus) -> list[str]:
    return [m.state for m in status.page.messages] if status.page else []


def test_a_refused_page_is_said_with_the_receivers_answer_and_tried_on() -> None:
    seen = facts(burnt(**thread_of(message(state="Decided"))), deliveries=REFUSED)
    status = after(seen)
    assert condition_of(status, "Paged") == ("False", "Undelivered") and told(seen) == [("trigger", "Severity")]
    assert "503 try later" in next(c.message for c in status.conditions if c.type == "Paged")
    assert events(seen) == ["PageUndelivered"]
    again = facts(seen.incident.model_copy(update={"status": status}), deliveries=REFUSED)
    assert events(again) == [], "one Event per answer, not per look"


@pytest.mark.parametrize(
    ("seen", "expected", "said"),
    [
        pytest.param(facts(burnt("Resolved", **thread_of(message(state="Decided"))), seen=sli(0.0), deliveries=REFUSED), ["GivenUp", "Decided"], ["PageGivenUp"], id="the Incident is over"),
        pytest.param(facts(burnt(meta=ACKNOWLEDGED, **thread_of(message(state="Decided"))), deliveries=REFUSED), ["GivenUp", "Decided"], ["PageGivenUp"], id="a person has taken it on without a page"),
        pytest.param(facts(burnt(**thread_of(message(state="Decided", severity="sev2"))), deliveries=REFUSED), ["GivenUp", "Decided"], [], id="a worse severity says it all"),
        pytest.param(facts(burnt("Resolved", resolvedAt=at(90), **thread_of(message(), message(2, "resolve", "Decided"))), service(live=V1), sli(0.8), deliveries={2: {"pager": Delivery(None, "503")}}), ["Sent", "GivenUp", "Decided"], [], id="the harm is back before its end was delivered"),
        pytest.param(facts(burnt("Resolved", resolvedAt=at(-90_000), **thread_of(message(), message(2, "resolve", "Decided", decidedAt=at(-90_000)))), seen=sli(0.0), deliveries={2: {"pager": Delivery(None, "503")}}), ["Sent", "GivenUp"], ["PageGivenUp"], id="an end is not tried for more than a day"),
    ],
)  # fmt: skip
def test_what_does_not_matter_any_more_is_given_up(seen: IncidentFacts, expected: list[str], said: list[str]) -> None:
    status = after(seen)
    assert states(status) == expected
    assert [e for e in events(seen) if e == "PageGivenUp"] == said
    assert len(acts(seen, WithdrawPage)) == 1


def test_what_is_on_its_way_is_not_given_up() -> None:
    over = facts(burnt("Resolved", **thread_of(message(state="Decided"))), seen=sli(0.0))
    assert states(after(over)) == ["Decided", "Decided"] and told(over) == [
        ("trigger", "Severity"),
        ("resolve", "Resolved"),
    ]


def test_the_end_tells_of_a_page_that_never_arrived() -> None:
    seen = facts(burnt("Resolved", **thread_of(message(state="Decided"))), seen=sli(0.0), deliveries=REFUSED)
    (end,) = acts(seen, SendPage)
    assert "12:00:01 UTC had not been delivered" in end.message.text


# --- the thread


def test_a_thread_is_bounded_and_keeps_what_is_not_delivered() -> None:
    page: Page | None = None
    for number in range(1, 41):
        state = "Decided" if number == 1 else "Sent"
        page = thread.put(page, "k", PageMessage.model_validate(message(number, state=state)))
    assert page is not None and len(page.messages) == thread.MOST_MESSAGES
    assert [m.number for m in page.messages[:2]] == [1, 10] and thread.next_number(page) == 41


def test_an_incident_with_a_rollback_that_helped_is_two_messages() -> None:
    helped = burnt("Mitigated", backSince=at(-100), mitigatedAt=at(-100), **ROLLED_BACK, **CALLED)
    status = after(facts(helped, service(live=V1, rollback=DONE), sli(0.0)))
    assert status.phase == "Resolved" and status.resolved_at == NOW and status.page is not None
    assert [m.action for m in status.page.messages] == ["trigger", "resolve"]
