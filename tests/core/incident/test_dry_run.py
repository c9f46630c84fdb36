"""A dry run says what would become of each step, also that it would wait or be refused, and does nothing."""

from typing import Any

import pytest

from opsloop.core.facts import IncidentFacts
from opsloop.core.readings import Harm, Interval, Readings
from tests.builders.incidents import BAD_CAUSE, after, book, burnt, condition_of, decide, facts, play, service, sli
from tests.builders.objects import V3, at

DRY: dict[str, Any] = {"safety": {"mode": "dryRun"}}
HALF_SURE = {**BAD_CAUSE, "confidence": 0.6}
OVER = sli(0.5, harm=Harm(tuple(Interval(at(n), at(n + 4), 0, 1000) for n in (92, 96))))


def rehearsed(asked_at: float = 90, cause: Any = BAD_CAUSE, root: Any = None, seen: Readings | None = None) -> IncidentFacts:  # fmt: skip
    dry = book(False, reason="DryRun", **DRY)
    item = burnt("Mitigating", plays=[play("Requested", requested_at=at(asked_at), started_at=None)], cause=cause)
    return facts(item, root, seen, runbooks=(dry,))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        pytest.param(rehearsed(), "dryRun: would roll back v2 to v1 (last-good)", id="what would be written"),
        pytest.param(rehearsed(root=service(live=V3)), "dryRun: would be refused, LiveIsAnother: v2 is not live any more", id="what would be refused"),
        pytest.param(rehearsed(30, HALF_SURE), "dryRun: would be refused, NotSureEnough: v2 is blamed with 0.60, safety.minConfidence is 0.8", id="a cause that would not be sure enough"),
        pytest.param(rehearsed(30, {**HALF_SURE, "confidence": 0.8}), "dryRun: would roll back", id="one that would be"),
    ],
)  # fmt: skip
def test_what_it_says(seen: IncidentFacts, words: str) -> None:
    decision = decide(seen)
    (told,) = after(seen).plays[:1]
    assert (told.state, told.reason) == ("Refused", "DryRun") and told.message.startswith(words)
    assert after(seen).rollback is None
    assert [e.reason for e in decision.events if e.reason == "PlayRefused"] == ["PlayRefused"]


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        pytest.param(rehearsed(cause=HALF_SURE), "NotSureEnough", id="for surer evidence, as long as a rollback would"),
        pytest.param(rehearsed(seen=OVER), "HarmIsOver", id="while the last readings show no harm"),
        pytest.param(rehearsed(seen=Readings()), "TelemetryUnknown", id="for a reading"),
    ],
)  # fmt: skip
def test_what_it_waits_for(seen: IncidentFacts, reason: str) -> None:
    status = after(seen)
    assert status.plays[0].state == "Requested" and condition_of(status, "Acting") == ("False", reason)
    assert next(c.message for c in status.conditions if c.type == "Acting").startswith("dryRun: it would wait, as")
