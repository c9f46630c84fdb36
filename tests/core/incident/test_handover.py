"""The page of an Incident that is merged goes on as that of the Incident that explains it: one alert at the pager for one fault."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.core import conditions
from opsloop.core.actions import SendPage
from opsloop.core.decision import Decision
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident.decide import decide
from opsloop.core.reported import Ledger
from opsloop.shell.notify.payload import payload
from tests.builders.correlation import at, incident, read_at, view
from tests.builders.objects import BURN

BURNT: dict[str, Any] = {"burn": BURN.dump(), "detectedAt": at(-40).isoformat()}
PLAY = {"runbook": "", "step": 0, "attempt": 1, "reason": "NoRunbook", "requestedAt": at(-38).isoformat()}
ESCALATED = {"plays": [{**PLAY, "type": "escalate", "state": "Done"}]}
ROLLBACK = {"plays": [{**PLAY, "type": "rollback", "state": "Running", "startedAt": at(-30).isoformat()}]}


def called(key: str, *, end: bool = False, continues: str = "") -> dict[str, Any]:
    """A thread in which people were called 38 seconds ago."""
    first = {"number": 1, "action": "trigger", "reason": "Severity", "severity": "sev1", "state": "Sent"}
    first |= {"decidedAt": at(-38).isoformat(), "endedAt": at(-37).isoformat()}
    last = {**first, "number": 2, "action": "resolve", "reason": "Merged"}
    summary = {"state": "Sent", "severity": "sev1", "dedupKey": key, "decidedAt": at(-38).isoformat()}
    return {"page": {**summary, "continues": continues, "messages": [first, last] if end else [first]}}


def web(**status: Any) -> Incident:
    return incident("web-1", **(BURNT | called("uid-web-1") | ESCALATED | status))


MERGED = {"phase": "Resolved", "mergedInto": "answers-1", "resolvedAt": at(-1).isoformat()}


def look(own: Incident, *others: Incident, seconds: float = 0, root: str = "fired") -> tuple[IncidentStatus, Decision]:
    """web needs answers; both burn."""
    views = read_at(at(seconds), (view("web", "fired", ("answers",)), view("answers", root)))  # type: ignore[arg-type]
    mine = next((v for v in views if v.release.metadata.name == own.spec.release), None)
    facts = IncidentFacts(own, mine, views, others, (), (), Ledger(), None)
    decision = decide(facts, at(seconds))
    status = decision.status or own.status  # None: nothing is written
    assert isinstance(status, IncidentStatus)
    return status, decision


def sent(decision: Decision) -> list[tuple[str, str, str]]:
    """(action, reason, key of the alert at the pager) of each message."""
    bodies = [payload("shop", action, at(0)) for action in decision.actions if isinstance(action, SendPage)]
    return [(body["action"], body["reason"], body["dedup_key"]) for body in bodies]


def answers(**status: Any) -> Incident:
    return incident("answers-1", **status)


# --- merged


@pytest.mark.parametrize(
    ("own", "other", "merged"),
    [
        pytest.param(web(), answers(), True, id="people were called for it, and nothing was done: it is merged"),
        pytest.param(web(**ROLLBACK), answers(), False, id="a rollback of it is under way"),
        pytest.param(
            incident("web-1", **(BURNT | called("uid-web-1") | {"onsetAt": at(-1200).isoformat()})),
            answers(),
            False,
            id="people were called, and its root broke 20 minutes after it: that is another thing to wake them for",
        ),
        pytest.param(
            incident("web-1", **(BURNT | {"onsetAt": at(-1200).isoformat(), "severity": "sev3"})),
            answers(),
            True,
            id="nobody was called for it, so nobody misses it",
        ),
    ],
)
def test_what_is_merged(own: Incident, other: Incident, merged: bool) -> None:
    assert look(own, other)[0].merged_into == ("answers-1" if merged else "")


# --- the merged one's side


@pytest.mark.parametrize(
    ("heir", "pager", "ended"),
    [
        pytest.param(answers(), [], False, id="the heir has not called yet: its alert stays open for that"),
        pytest.param(
            answers(**called("uid-answers-1", continues="uid-web-1")), [], True, id="the heir goes on with it, and ends it"
        ),
        pytest.param(
            answers(**called("uid-answers-1")),
            [("resolve", "Merged", "uid-web-1")],
            True,
            id="the heir called in an alert of its own: this one is ended",
        ),
        pytest.param(
            answers(phase="Resolved", resolvedAt=at(-1).isoformat()),
            [("resolve", "Merged", "uid-web-1")],
            True,
            id="the heir ended without a call",
        ),
        pytest.param(
            answers(reopened=1), [("resolve", "Merged", "uid-web-1")], True, id="the heir ended without a call and came back"
        ),
        pytest.param(None, [("resolve", "Merged", "uid-web-1")], True, id="the heir was deleted"),
        pytest.param(
            answers(phase="Resolved", mergedInto="catalog-1", **called("uid-answers-1", continues="uid-web-1")),
            [],
            True,
            id="the heir went on with it and was merged itself",
        ),
    ],
)  # fmt: skip
def test_the_merged_one(heir: Incident | None, pager: list[tuple[str, str, str]], ended: bool) -> None:
    catalog = incident("catalog-1")
    status, decision = look(web(**MERGED), *([heir, catalog] if heir else [catalog]))
    assert sent(decision) == pager
    assert status.page is not None and (status.page.messages[-1].action == "resolve") == ended
    if ended and not pager:
        assert any(e.type == "PageContinues" for e in status.timeline)


# --- the heir's side


def test_it_waits_until_the_one_that_called_is_merged_and_then_goes_on_with_its_page() -> None:
    status, decision = look(answers(**BURNT), web())
    paged = conditions.get(status.conditions, "Paged")
    assert (sent(decision), status.page) == ([], None) and paged is not None
    assert (paged.status, paged.reason) == ("False", "TakesOver") and "web-1 called people" in paged.message
    status, decision = look(answers(**BURNT), web(**MERGED))
    assert sent(decision) == [("trigger", "RootFound", "uid-web-1")]
    assert status.page is not None and (status.page.dedup_key, status.page.alert) == ("uid-answers-1", "uid-web-1")
    assert "it explains web-1, for which people were called at 08:59:22 UTC" in status.page.messages[0].text
    assert any("its page goes on here" in e.message for e in status.timeline)


def test_it_waits_ten_seconds_at_most_and_ends_the_alert_that_it_went_on_with() -> None:
    waiting, _ = look(answers(**BURNT), web())
    own = answers().model_copy(update={"status": waiting})
    assert sent(look(own, web(), seconds=9)[1]) == []
    assert sent(look(own, web(), seconds=10)[1]) == [("trigger", "Severity", "uid-answers-1")]
    over = answers(phase="Resolved", resolvedAt=at(-1).isoformat(), **called("uid-answers-1", continues="uid-web-1"))
    assert sent(look(over, web(**MERGED), root="healthy")[1]) == [("resolve", "Resolved", "uid-web-1")]


@pytest.mark.parametrize(
    ("merged", "own"),
    [
        pytest.param(web(**MERGED | called("uid-web-1", end=True)), answers(**BURNT), id="its alert has ended"),
        pytest.param(web(**MERGED), answers(**BURNT, reopened=1), id="reopened, it calls anew"),
        pytest.param(
            web(**MERGED | {"mergedInto": "other-1"}), answers(**BURNT), id="it was merged into another Incident"
        ),
    ],
)
def test_an_alert_of_its_own(merged: Incident, own: Incident) -> None:
    assert sent(look(own, merged)[1]) == [("trigger", "Severity", "uid-answers-1")]


def test_another_team_is_called_in_an_alert_of_its_own() -> None:
    shops = web().model_copy(update={"spec": web().spec.model_copy(update={"owner": "shop"})})
    merged = shops.model_copy(update={"status": web(**MERGED).status})
    root = answers(**BURNT)
    root = root.model_copy(update={"spec": root.spec.model_copy(update={"owner": "search"})})
    assert sent(look(root, shops)[1]) == [("trigger", "Severity", "uid-answers-1")], "it waits for nobody"
    assert sent(look(root, merged)[1]) == [("trigger", "Severity", "uid-answers-1")]
    assert sent(look(merged, root)[1]) == [("resolve", "Merged", "uid-web-1")], "and the first team is relieved"


def test_of_two_merged_ones_the_first_alert_goes_on() -> None:
    second = incident("shop-1", **(BURNT | called("uid-shop-1") | MERGED))
    assert second.status.page is not None
    late = second.status.page.model_copy(update={"decided_at": at(-30)})
    second = second.model_copy(update={"status": second.status.model_copy(update={"page": late})})
    assert sent(look(answers(**BURNT), second, web(**MERGED))[1]) == [("trigger", "RootFound", "uid-web-1")]
    heir = answers(**called("uid-answers-1", continues="uid-web-1"))
    assert sent(look(second, heir, web(**MERGED))[1]) == [("resolve", "Merged", "uid-shop-1")]


def test_an_alert_that_an_heir_between_left_to_its_end_is_not_taken() -> None:
    """answers called in an alert of its own, so web ends the first one: whoever took that now would call in it in vain."""
    between = answers(phase="Resolved", mergedInto="catalog-1", **called("uid-answers-1"))
    assert between.status.page is not None
    late = between.status.page.model_copy(update={"decided_at": at(-20)})
    between = between.model_copy(update={"status": between.status.model_copy(update={"page": late})})
    root = incident("catalog-1", **BURNT)
    assert sent(look(root, between, web(**MERGED))[1]) == [("trigger", "RootFound", "uid-answers-1")]


def test_the_wait_is_looked_at_every_second() -> None:
    assert look(answers(**BURNT), web())[1].look_again == timedelta(seconds=1)
