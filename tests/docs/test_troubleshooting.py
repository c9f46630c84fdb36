"""docs/troubleshooting.md names reasons that there are, and each condition that can say why something waits."""

import re

import pytest

from opsloop.api.crd import object_schema
from opsloop.api.kinds import KINDS
from tests.docs.fenced import ROOT
from tools import reasons

TEXT = (ROOT / "docs" / "troubleshooting.md").read_text()
ROWS = [line.strip().strip("|").split("|") for line in TEXT.splitlines() if line.startswith("| ")]
CAMEL = re.compile(r"`([A-Z][a-z]+(?:[A-Z][a-z]*)+|[A-Z][a-z]{4,})`")
KNOWN = {reason.value for reason in reasons.reasons()} | set(reasons.IN_PLACE)
EVENTS = {"AlertsSetAside"}  # of the intake: said as an Event, not as a reason
SYMPTOMS = [part.split("\n", 1)[0] for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]]


def conditions() -> set[str]:
    listed = [object_schema(kind)["properties"].get("status") for kind in KINDS]
    texts = " ".join(status["properties"]["conditions"]["description"] for status in listed if status)
    return set(re.findall(r"\w+", texts))


def test_every_reason_of_a_row_exists() -> None:
    named = {word for row in ROWS for word in CAMEL.findall(row[0])}
    assert len(named) > 100
    assert named - KNOWN - conditions() - EVENTS == set()


def test_every_row_says_what_it_means_and_what_to_do() -> None:
    assert [row[0] for row in ROWS if len(row) != 3 or not all(cell.strip() for cell in row)] == []


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_a_symptom_has_a_table(symptom: str) -> None:
    part = TEXT.split(f"## {symptom}\n", 1)[1].split("\n## ")[0]
    assert "|---|---|---|" in part


@pytest.mark.parametrize("module", ["release.compared", "release.rollout_state", "release.admission", "slo.burn_rate", "slo.telling", "runbook.limits", "incident.plays", "release.route_ready"])  # fmt: skip
def test_what_a_module_can_make_people_wait_for_is_on_a_page(module: str) -> None:
    """On this one or on docs/operations.md, where the person on call looks."""
    pages = TEXT + (ROOT / "docs" / "operations.md").read_text() + (ROOT / "docs" / "gitops.md").read_text()
    fine = {"Known", "TiersComplete", "Fits", "WithinObjective", "ToldByPods", "ToldByAddresses", "ToldByVersion", "AsDecided", "Granted", "RouteReady", "ByPods", "NotChecked", "NotRead", "LiveAsWanted", "TierFiring"}  # fmt: skip
    own = {reason.value for reason in reasons.reasons() if reason.module == module} - fine
    assert {value for value in own if f"`{value}`" not in pages} == set()


GUIDES = ("operations", "gitops", "traffic", "back-fast", "checks", "evals", "runbooks", "target")
WAITING = re.compile(r"^(conditions|release\.|runbook\.|slo\.)")
"""Modules whose reasons make a condition False, or hold something."""
NOTHING_TO_DO = frozenset({
    "Known", "TiersComplete", "GoodEnough", "WithinObjective", "TierFiring", "NotRead", "NotChecked", "Approximate",
    "ToldByPods", "ToldByAddresses", "ToldByVersion", "AsDecided", "AsWritten", "Granted", "RouteReady", "ByPods", "Fits", "LiveAsWanted",
    "WithinBudget", "RollingUpdate", "NoBudget", "PodsAvailable", "Followed", "Adopted", "Thawed", "Restored", "RolledBack", "Undone",
    "RollingBack", "BurningSlowly", "NotBurning", "Restarting", "WarmStarting", "TookOver", "DarkAgain", "KeepWarmOff", "NoPromotion",
    "CommittedAtUnreadable",
})  # fmt: skip
"""Of these modules: all is well, or something is under way, or over."""


def test_every_reason_that_people_may_have_to_act_on_stands_with_its_remedy() -> None:
    """On this page, or on the guide of its subject."""
    pages = TEXT + "".join((ROOT / "docs" / f"{name}.md").read_text() for name in GUIDES)
    asked = {one.value for one in reasons.reasons() if WAITING.match(one.module)}
    assert asked >= NOTHING_TO_DO, "a name that is gone"
    assert {value for value in asked - NOTHING_TO_DO if f"`{value}`" not in pages} == set()
