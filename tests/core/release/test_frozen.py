"""Freezes: which Releases wait, until when, and what passes."""

from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.core.release import frozen
from tests.builders.objects import at, incident, release, release_facts
from tests.builders.rollouts import NOW


def freezes(until: float = 200, of: str = "", name: str = "web-1", phase: str = "Mitigating") -> Incident:
    one = {"release": of, "reason": "hold still", "at": at(50), "until": at(until)}
    over = {"resolvedAt": at(90)} if phase == "Resolved" else {}
    return incident(name, {"phase": phase, "freezes": [one], **over})


@pytest.mark.parametrize(
    ("freezing", "fixes", "by"),
    [
        pytest.param([], "", "", id="nobody froze anything"),
        pytest.param([freezes()], "", "web-1", id="the whole namespace is frozen"),
        pytest.param([freezes(of="answers")], "", "web-1", id="this Release is"),
        pytest.param([freezes(of="web")], "", "", id="another one is"),
        pytest.param([freezes(until=100)], "", "", id="its time is over at the second that it names"),
        pytest.param([freezes(phase="Resolved")], "", "", id="its Incident is over"),
        pytest.param([freezes()], "web-1", "", id="the fix passes"),
        pytest.param([freezes()], "web-0", "web-1", id="a left-over annotation of another Incident passes nothing"),
        pytest.param([freezes(), freezes(of="answers", name="answers-1")], "web-1", "answers-1", id="the fix of one is no fix of the other"),
        pytest.param([freezes(), freezes(of="answers", name="answers-1")], "web-1, answers-1", "", id="a fix of both passes both"),
        pytest.param([freezes(until=150), freezes(until=300, name="answers-1")], "", "answers-1", id="of two the one that ends last is told"),
    ],
)  # fmt: skip
def test_what_holds_a_release(freezing: list[Incident], fixes: str, by: str) -> None:
    meta: dict[str, Any] = {"annotations": {"opsloop.dev/fixes": fixes}} if fixes else {}
    facts = release_facts(release(meta=meta), freezing=tuple(freezing))
    held = frozen.holding(facts, NOW)
    assert (held.incident if held else "") == by
    assert held is None or (f"opsloop.dev/fixes={by}" in held.sentence and "hold still" in held.sentence)
