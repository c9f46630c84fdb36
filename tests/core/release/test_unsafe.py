"""Revisions that nothing is rolled back across: who says so, for which revision, and what it stops."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.play import RollbackDecision
from opsloop.api.release import ReleaseStatus
from opsloop.core.release import decide as decisions
from opsloop.core.release import revisions
from tests.builders.objects import V1, V2, V3, at, incident, release, release_facts, template, workload
from tests.builders.rollouts import ADOPTED, BAD, NOW, TEMPLATES, revision, target

SAFE = {"opsloop.dev/rollback-safe": "false"}


def marked(
    meta: dict[str, Any] | None, on_template: dict[str, str], asked: str = "v2", before: bool = False
) -> list[str]:
    """Versions that are marked after a look at v2 live, the spec asking for `asked`."""
    bad = BAD.model_copy(update={"rollback_unsafe": before})
    known = [ADOPTED, bad, revision("v3", "Canaried")]
    status = ReleaseStatus(live=V2, revisions=known, target=target("Promoted", asked))
    live = {**template("shop:v2"), "metadata": {**template("shop:v2")["metadata"], "annotations": on_template}}
    seen = workload("shop:v2")
    object.__setattr__(seen, "template", live)
    facts = release_facts(release(version=asked, status=status, meta=meta), workload=seen, templates=TEMPLATES)
    after = decisions.decide(facts, NOW).status or status
    return [r.version for r in after.revisions if r.rollback_unsafe]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("meta", "on_template", "asked", "before", "versions"),
    [
        pytest.param(None, {}, "v2", False, [], id="nobody says so"),
        pytest.param(None, SAFE, "v2", False, ["v2"], id="its template does"),
        pytest.param({"annotations": SAFE}, {}, "v2", False, ["v2"], id="the Release does, of what it asks for"),
        pytest.param({"annotations": {"opsloop.dev/rollback-safe": "true"}}, {}, "v2", True, [], id="the Release takes it back"),
        pytest.param(None, {}, "v2", True, [], id="by taking the annotation away, too"),
        pytest.param(None, {}, "v3", True, ["v2"], id="the Release goes on: what was said of v2 stays"),
        pytest.param({"annotations": SAFE}, {}, "v3", False, ["v3"], id="and a left-over annotation is said of v3, not of v2"),
    ],
)  # fmt: skip
def test_what_is_marked(
    meta: dict[str, Any] | None, on_template: dict[str, str], asked: str, before: bool, versions: list[str]
) -> None:
    assert marked(meta, on_template, asked, before) == versions


def unsafe(version: str, since: float, yes: bool = True) -> Any:
    return revision(version, "Drifted", live_since=at(since), rollback_unsafe=yes)


@pytest.mark.parametrize(
    ("known", "stops"),
    [
        pytest.param([ADOPTED, unsafe("v2", 60, False)], "", id="nothing is unsafe"),
        pytest.param([ADOPTED, unsafe("v2", 60)], "v2", id="what is left is unsafe"),
        pytest.param([ADOPTED, unsafe("v3", 40), unsafe("v2", 60, False)], "v3", id="what was live in between is"),
        pytest.param([revision("v1", live_since=at(50), proven_at=at(55)), unsafe("v3", 40), unsafe("v2", 60, False)], "", id="a person has gone back behind it since"),
        pytest.param([revision("v1", live_since=at(0), rollback_unsafe=True), unsafe("v2", 60, False)], "", id="where it goes to may be unsafe: that is on this side"),
    ],
)  # fmt: skip
def test_what_a_rollback_leaves_behind(known: list[Any], stops: str) -> None:
    found = revisions.unsafe_between(known, V2, V1)
    assert (found.version if found else "") == stops
    assert revision("v3").digest == V3


def test_the_release_refuses_what_an_incident_decided_before_the_mark_was_seen() -> None:
    ordered = RollbackDecision(release="answers", from_digest=V2, to_digest=V1, attempt=1, at=NOW)
    burning = incident("answers-1", {"phase": "Mitigating", "rollback": ordered.dump()})
    bad = BAD.model_copy(update={"rollback_unsafe": True})
    status = ReleaseStatus(live=V2, revisions=[ADOPTED, bad], target=target("Promoted", "v2"))
    facts = release_facts(
        release(version="v2", status=status, meta={"annotations": SAFE}), workload=workload("shop:v2"), templates=TEMPLATES, incidents=(burning,)
    )  # fmt: skip
    decision = decisions.decide(facts, NOW)
    record = decision.status.rollback  # type: ignore[union-attr]
    assert (record.state, record.reason) == ("Refused", "RollbackUnsafe") and decision.actions == ()


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        pytest.param("v2", "RollbackUnsafe", id="undo alone says how to insist"),
        pytest.param(f"v2/{V1}", "UndoStarted", id="who names where to go has decided"),
    ],
)
def test_a_persons_undo_across_it_names_where_to_go(order: str, reason: str) -> None:
    bad = BAD.model_copy(update={"rollback_unsafe": True})
    status = ReleaseStatus(live=V2, revisions=[ADOPTED, bad], target=target("Promoted", "v2"))
    meta = {"annotations": {**SAFE, "opsloop.dev/undo": order}}
    facts = release_facts(release(version="v2", status=status, meta=meta), workload=workload("shop:v2"), templates=TEMPLATES)  # fmt: skip
    decision = decisions.decide(facts, NOW)
    (command,) = decision.status.commands  # type: ignore[union-attr]
    started = decision.status.rollback is not None  # type: ignore[union-attr]
    assert started == (reason == "UndoStarted") and ("RollbackUnsafe" in command.reason) == (reason == "RollbackUnsafe")
    assert reason == "UndoStarted" or f"opsloop.dev/undo=v2/{V1}" in command.message


@pytest.mark.parametrize(
    ("meta", "before", "unsafe"),
    [
        pytest.param(None, True, ["v2"], id="v3 without it: what was said of v2 stays"),
        pytest.param({"annotations": SAFE}, False, ["v3"], id="v3 with it: it is said of v3 and not of v2"),
    ],
)
def test_the_annotation_is_of_the_version_that_the_spec_asks_for_in_the_same_write(
    meta: dict[str, Any] | None, before: bool, unsafe: list[str]
) -> None:
    bad = BAD.model_copy(update={"rollback_unsafe": before})
    known = [ADOPTED, bad, revision("v3", "Canaried")]
    status = ReleaseStatus(live=V2, revisions=known, target=target("Promoted", "v2"))
    facts = release_facts(release(version="v3", status=status, meta=meta), workload=workload("shop:v2"), templates=TEMPLATES)  # fmt: skip
    for _ in range(2):  # the target is of the version before at the first look
        looked = decisions.decide(facts, NOW).status or facts.release.status
        facts = replace(facts, release=facts.release.model_copy(update={"status": looked}))
    assert [one.version for one in facts.release.status.revisions if one.rollback_unsafe] == unsafe
