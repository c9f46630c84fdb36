"""The Incident: what opened it, its page, its cause, when it is over."""

from typing import Any

import pytest

from opsloop.api.incident import IncidentSpec, Signal
from opsloop.core.actions import SendPage
from opsloop.core.facts import Alert, IncidentFacts, Ledger
from tests.builders.incidents import DONE, NOW, WANTED, acts, after, burnt, facts, play, said, service, sli, told
from tests.builders.objects import BURN, T0, V1, at, incident

BACK = sli(0.0)


def test_the_signal_that_opened_it_is_the_first_entry_and_gives_severity_and_burn() -> None:
    status = after(facts(incident()))
    assert (status.severity, status.detected_at, status.burn) == ("sev1", T0, BURN)
    assert status.onset_at == at(-5) and {"detected", "onset"} <= set(told(status))


@pytest.mark.parametrize(
    ("old", "tier", "severity"),
    [
        pytest.param("sev3", 0.5, "sev1", id="a burn raises it"),
        pytest.param("sev1", 0.0, "sev1", id="nothing lowers it"),
        pytest.param("sev3", None, "sev3", id="unknown raises nothing"),
    ],
)
def test_severity_only_rises(old: Any, tier: float | None, severity: str) -> None:
    assert after(facts(burnt(severity=old, burn=None, cause=None), seen=sli(tier))).severity == severity


# --- one page


def alerts_only(severity: str = "sev3", **status: Any) -> Any:
    """Opened by alerts, no burn."""
    item = incident("answers-1", {"detectedAt": at(0), "severity": severity, **status})
    signal = Signal.model_validate({"kind": "alerts", "at": T0, "severity": severity})
    spec = IncidentSpec(release="answers", service="answers", title="t", signal=signal)
    return item.model_copy(update={"spec": spec})


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        pytest.param(facts(incident()), 1, id="sev1 pages at once"),
        pytest.param(facts(alerts_only("sev2"), seen=BACK), 1, id="sev2 pages as well"),
        pytest.param(facts(alerts_only("sev3"), seen=BACK), 0, id="sev3 pages nobody"),
        pytest.param(facts(alerts_only("sev3"), seen=sli(0.5)), 1, id="until a burn raises it"),
        pytest.param(facts(burnt("Resolved", page=None), seen=BACK), 0, id="what is over pages nobody"),
        pytest.param(facts(burnt(mergedInto="catalog-1", page=None)), 0, id="what was merged pages nobody"),
        pytest.param(facts(burnt()), 0, id="a page that was sent is not sent again"),
    ],
)
def test_paging(seen: IncidentFacts, count: int) -> None:
    assert len(acts(seen, SendPage)) == count


def decided(**more: Any) -> Any:
    page = {"state": "Decided", "severity": "sev1", "dedupKey": "uid-answers-1", "decidedAt": at(1)}
    return burnt(page=page, **more)


def test_the_page_is_decided_and_stored_before_the_call_and_its_key_is_the_incidents() -> None:
    page = after(facts(incident())).page
    assert page is not None and (page.state, page.dedup_key) == ("Decided", "uid-answers-1")


def test_a_page_that_was_decided_and_not_delivered_is_sent_again_with_the_same_key() -> None:
    (again,) = acts(facts(decided()), SendPage)
    assert again.page.dedup_key == "uid-answers-1"


def test_a_delivered_page_is_stored_with_its_time() -> None:
    seen = facts(decided(), page_sent_at=at(3))
    page = after(seen).page
    assert page is not None and (page.state, page.sent_at) == ("Sent", at(3)) and acts(seen, SendPage) == []


# --- its end


@pytest.mark.parametrize(
    ("seen", "phase", "reason"),
    [
        pytest.param(facts(burnt(), seen=sli(0.5)), "Open", "NotBack", id="the harm goes on"),
        pytest.param(facts(burnt(), seen=sli(None)), "Open", "TelemetryUnknown", id="unknown ends nothing"),
        pytest.param(facts(burnt(), seen=BACK), "Mitigated", "SliBack", id="the SLI is back"),
        pytest.param(facts(burnt("Mitigating", plays=[play()], rollback=WANTED), seen=BACK), "Mitigating", "SliBack", id="not while a decided rollback is pending"),
        pytest.param(facts(burnt("Mitigating", plays=[play()], rollback=WANTED), service(rollback=DONE, live=V1), BACK), "Mitigated", "SliBack", id="but when it is done"),
        pytest.param(facts(burnt("Mitigating", plays=[play()], rollback=WANTED), service(rollback=DONE, live=V1), sli(0.0, at(79))), "Mitigating", "SliBack", id="and was read since"),
        pytest.param(facts(burnt("Mitigated"), seen=sli(None)), "Mitigated", "TelemetryUnknown", id="unknown does not resolve"),
        pytest.param(facts(burnt("Mitigated"), seen=sli(0.5)), "Open", "NotBack", id="a relapse"),
        pytest.param(facts(alerts_only(), seen=BACK), "Open", "NotBack", id="without a burn and without alerts a person must say so"),
    ],
)  # fmt: skip
def test_mitigated(seen: IncidentFacts, phase: str, reason: str) -> None:
    status = after(seen)
    assert status.phase == phase
    assert phase == "Mitigating" or said(status, "Mitigated")[1] == reason


@pytest.mark.parametrize(
    ("since", "seen", "phase"),
    [
        pytest.param(86, BACK, "Mitigated", id="back for less than resolveAfter"),
        pytest.param(85, BACK, "Resolved", id="back for resolveAfter"),
        pytest.param(10, sli(None), "Mitigated", id="unknown at the end of it"),
    ],
)
def test_resolved_when_that_held(since: float, seen: Any, phase: str) -> None:
    status = after(facts(burnt("Mitigated", backSince=at(since)), seen=seen))
    assert status.phase == phase and (status.resolved_at == NOW) == (phase == "Resolved")


def test_unknown_in_between_begins_the_hold_anew() -> None:
    silent = after(facts(burnt("Mitigated", backSince=at(10)), seen=sli(None)))
    assert silent.back_since is None
    again = burnt("Mitigated").model_copy(update={"status": silent})
    assert after(facts(again, seen=BACK)).phase == "Mitigated"


def alert(status: str, n: int = 1) -> Alert:
    return Alert(f"f{n}", status, at(1), {"alertname": "Down", "service": "answers", "severity": "warning"}, {}, at(2))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("alerts", "meta", "phase"),
    [
        pytest.param((alert("firing"),), {}, "Open", id="an alert still fires"),
        pytest.param((alert("resolved"), alert("firing", 2)), {}, "Open", id="one of two still fires"),
        pytest.param((alert("resolved"),), {}, "Mitigated", id="all are resolved"),
        pytest.param((alert("firing"),), {"annotations": {"opsloop.dev/mitigated": "true"}}, "Mitigated", id="a person said that it is over"),
    ],
)  # fmt: skip
def test_without_a_burn_its_alerts_or_a_person_end_it(alerts: Any, meta: Any, phase: str) -> None:
    item = alerts_only()
    item = item.model_copy(update={"metadata": item.metadata.model_copy(update=meta)})
    assert after(facts(item, seen=BACK, ledger=Ledger(alerts=alerts))).phase == phase


def test_a_person_cannot_talk_away_a_burn_but_can_end_one_whose_release_is_gone() -> None:
    said_so = burnt(meta={"annotations": {"opsloop.dev/mitigated": "true"}})
    assert after(facts(said_so)).phase == "Open"
    assert after(IncidentFacts(said_so, None, (), (), (), (), Ledger(), None)).phase == "Mitigated"


def test_four_timestamps() -> None:
    status = after(facts(burnt("Mitigated", backSince=at(80), mitigatedAt=at(80)), seen=BACK))
    assert [status.onset_at, status.detected_at, status.mitigated_at, status.resolved_at] == [at(-5), T0, at(80), NOW]
