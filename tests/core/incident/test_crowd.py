"""Many Incidents of one namespace that page within minutes: beyond five, one page says how many there are."""

from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.core.actions import SendPage
from opsloop.core.facts import Delivery
from tests.builders.incidents import NOW, acts, after, burnt, condition_of, facts, sli
from tests.builders.objects import at, incident

GROUP = "shop/pages-1"


def call(
    second: float, group: str = "", state: str = "Sent", number: int = 1, action: str = "trigger"
) -> dict[str, Any]:
    ended = {"endedAt": at(second)} if state != "Decided" else {}
    return {"number": number, "action": action, "reason": "Severity", "severity": "sev1", "state": state,
            "decidedAt": at(second), "group": group, **ended}  # fmt: skip


def paged(name: str, *calls: dict[str, Any], phase: str = "Open") -> Incident:
    page = {"state": "Sent", "severity": "sev1", "dedupKey": f"uid-{name}", "decidedAt": at(0), "messages": list(calls)}
    return burnt(phase, name, page=page)


def others(count: int, second: float = 90) -> tuple[Incident, ...]:
    """Incidents with a page of their own each."""
    return tuple(paged(f"s{n}-1", call(second)) for n in range(count))


def crowd(count: int, second: float = 90) -> tuple[Incident, ...]:
    """Incidents of a crowd that began then, beside five with a page of their own."""
    return (
        *others(5, second),
        *(paged(f"c{n}-1", call(second, GROUP, "Grouped" if n else "Sent")) for n in range(count)),
    )


def told(*incidents: Incident) -> list[tuple[str, str]]:
    """(group, text) of the page that a new Incident sends beside these."""
    return [(a.message.group, a.message.text) for a in acts(facts(incident(), incidents=incidents), SendPage)]


def test_the_sixth_page_within_five_minutes_says_how_many_and_which() -> None:
    ((own, _),) = told(*others(4))
    ((group, text),) = told(*others(5))
    assert own == "" and group.startswith("shop/pages-")
    assert text.startswith("6 Incidents of namespace shop page within 5 minutes: s0-1, s1-1") and "answers-1" in text


@pytest.mark.parametrize(
    ("incidents", "sent"),
    [
        pytest.param(crowd(1), False, id="the seventh is in that page's crowd"),
        pytest.param(crowd(5), False, id="and the eleventh"),
        pytest.param(crowd(6), True, id="the twelfth says that they have doubled"),
        pytest.param(crowd(12), False, id="not the eighteenth"),
        pytest.param(crowd(18), True, id="but the twenty-fourth"),
        pytest.param(others(5, -201), True, id="five minutes later a page is one of its own again"),
        pytest.param((*others(5, -100), paged("c-1", call(-201, GROUP))), True, id="a crowd of five minutes ago takes nobody in: there is another"),
    ],
)  # fmt: skip
def test_who_speaks_for_a_crowd(incidents: tuple[Incident, ...], sent: bool) -> None:
    seen = facts(incident(), incidents=incidents)
    assert bool(acts(seen, SendPage)) == sent
    status = after(seen)
    assert status.page is not None and status.page.state == ("Decided" if sent else "Grouped")
    assert sent or condition_of(status, "Paged") == ("True", "Grouped")


def test_a_crowd_member_that_becomes_worse_is_heard_by_itself() -> None:
    member = paged("answers-1", {**call(90, GROUP, "Grouped"), "severity": "sev2"})
    (sent,) = acts(facts(member, incidents=crowd(3)), SendPage)
    assert (sent.message.group, sent.message.reason) == ("", "SeverityRaised")


# --- the end of a crowd

MEMBER = paged("answers-1", call(90, GROUP), phase="Resolved")


@pytest.mark.parametrize(
    ("incidents", "expected"),
    [
        pytest.param((paged("c-1", call(90, GROUP)),), [], id="another one is open still"),
        pytest.param((paged("c-1", call(90, GROUP), phase="Resolved"),), ["resolve"], id="the last one ends the crowd's thread"),
        pytest.param((paged("c-1", call(90, GROUP), call(95, GROUP, "Decided", 2, "resolve"), phase="Resolved"),), [], id="unless that is ended already"),
        pytest.param(others(5), ["resolve"], id="those with a page of their own are none of it"),
    ],
)  # fmt: skip
def test_the_last_incident_ends_the_crowds_thread(incidents: tuple[Incident, ...], expected: list[str]) -> None:
    sent = acts(facts(MEMBER, seen=sli(0.0), incidents=incidents), SendPage)
    assert [a.message.action for a in sent] == expected and all(a.message.group == GROUP for a in sent)


def test_a_refused_page_of_a_crowd_matters_while_any_of_it_is_open() -> None:
    member = paged("answers-1", call(90, GROUP, "Decided"), phase="Resolved")
    refused = {1: {"pager": Delivery(None, "503")}}
    open_ = facts(member, seen=sli(0.0), incidents=(paged("c-1", call(90, GROUP)),), deliveries=refused)
    over = facts(member, seen=sli(0.0), deliveries=refused)
    assert [m.state for m in after(open_).page.messages] == ["Decided"]  # type: ignore[union-attr]
    assert [m.state for m in after(over).page.messages] == ["GivenUp", "Decided"]  # type: ignore[union-attr]
    assert at(90) < NOW


def test_a_crowd_is_ended_by_a_member_that_ended_a_call_of_its_own_before() -> None:
    own = [call(91, "", number=2), call(95, "", number=3, action="resolve")]
    alone = paged("answers-1", call(90, GROUP), *own, phase="Resolved")
    sent = acts(facts(alone, seen=sli(0.0)), SendPage)
    assert [(one.message.action, one.message.group) for one in sent] == [("resolve", GROUP)]
