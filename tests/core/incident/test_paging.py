"""Paging: one page for one Incident, decided and stored before the call."""

from typing import Any

import pytest

from opsloop.core.actions import SendPage
from opsloop.core.facts import IncidentFacts
from tests.builders.incidents import acts, after, alerts_only, burnt, facts, sli
from tests.builders.objects import at, incident

# --- one page


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        pytest.param(facts(incident()), 1, id="sev1 pages at once"),
        pytest.param(facts(alerts_only("sev2"), seen=sli(0.0)), 1, id="sev2 pages as well"),
        pytest.param(facts(alerts_only("sev3"), seen=sli(0.0)), 0, id="sev3 pages nobody"),
        pytest.param(facts(alerts_only("sev3"), seen=sli(0.5)), 1, id="until a burn raises it"),
        pytest.param(facts(burnt("Resolved", page=None), seen=sli(0.0)), 0, id="what is over pages nobody"),
        pytest.param(facts(burnt(mergedInto="catalog-1", page=None)), 0, id="what was merged pages nobody"),
        pytest.param(facts(burnt()), 0, id="a page that was sent is not sent again"),
    ],
)
def test_paging(seen: IncidentFacts, count: int) -> None:
    assert len(acts(seen, SendPage)) == count


def decided(**more: Any) -> Any:
    page = {"state": "Decided", "severity": "sev1", "dedupKey": "uid-answers-1", "decidedAt": at(1)}
    return burnt(page=page, **more)


def test_a_page_is_stored_before_the_call_with_the_incident_s_key() -> None:
    page = after(facts(incident())).page
    assert page is not None and (page.state, page.dedup_key) == ("Decided", "uid-answers-1")


def test_an_undelivered_page_is_sent_again_with_the_same_key() -> None:
    (again,) = acts(facts(decided()), SendPage)
    assert again.page.dedup_key == "uid-answers-1"


def test_a_delivered_page_is_stored_with_its_time() -> None:
    seen = facts(decided(), page_sent_at=at(3))
    page = after(seen).page
    assert page is not None and (page.state, page.sent_at) == ("Sent", at(3)) and acts(seen, SendPage) == []
