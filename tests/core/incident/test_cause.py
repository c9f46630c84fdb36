"""Causes: which change is blamed for harm, and when nobody is."""

from datetime import datetime
from typing import Any

import pytest

from opsloop.api.release import Blocked, ReleaseStatus, Revision
from opsloop.core.facts import Reading, Readings, ReleaseView, Unknown
from opsloop.core.incident import cause as causes
from opsloop.core.topology import Topology
from tests.builders.objects import V1, V2, at, release, value, view

ONSET, CHANGED = at(100), at(90)


def service(name: str = "answers", since: datetime | None = CHANGED, number: int = 2, needs: tuple[str, ...] = (), split: dict[str, Reading] | None = None, **more: Any) -> ReleaseView:  # fmt: skip
    """v2 became live at `since`."""
    live = Revision(
        digest=V2, number=number, version="v2", reason="Drifted", live_since=since, first_seen=at(0), **more
    )
    old = Revision(digest=V1, number=1, version="v1", reason="Adopted", live_since=at(0), first_seen=at(0))
    known = [live] if number == 1 else [old, live]
    status = ReleaseStatus(live=V2, revisions=known)
    return view(release(name, status=status, dependsOn=list(needs)), Readings(by_revision=split or {}))


def calm(name: str, needs: tuple[str, ...] = ()) -> ReleaseView:
    return service(name, since=at(-9999), needs=needs)


@pytest.mark.parametrize(
    ("root", "kind", "reason"),
    [
        pytest.param(service(), "bad_release", "ChangedJustBefore", id="a revision became live shortly before: it is blamed"),
        pytest.param(service(since=at(120)), "bad_release", "ChangedJustBefore", id="seen live up to half a minute late, it still is"),
        pytest.param(service(since=at(140)), "unknown", "NothingChanged", id="what came later is not the cause"),
        pytest.param(service(since=at(100 - 3700)), "unknown", "NothingChanged", id="what came over an hour before is not the cause"),
        pytest.param(service(since=None), "unknown", "NothingChanged", id="what was never seen to become live is not the cause"),
        pytest.param(service(number=1), "unknown", "NothingChanged", id="adoption is no change"),
        pytest.param(service(number=1, blocked=Blocked(reason="RolledBack", at=at(0))), "bad_release", "ChangedJustBefore", id="unless that revision was blocked and came back"),
        pytest.param(service(split={V1: value(0.0), V2: value(0.8)}), "bad_release", "VersionIsBad", id="the split by version shows the harm on it: sure"),
        pytest.param(service(split={V1: value(0.8), V2: value(0.0)}), "unknown", "OtherVersionBad", id="the split shows the harm elsewhere: it is not blamed"),
        pytest.param(service(split={V2: value(0.8)}), "bad_release", "ChangedJustBefore", id="one version alone is no comparison"),
        pytest.param(service(split={V1: Unknown("NoSeries"), V2: value(0.8)}), "bad_release", "ChangedJustBefore", id="unknown is no comparison"),
        pytest.param(service(split={V1: value(0.5, coverage=0.5), V2: value(0.6, coverage=0.5)}), "bad_release", "ChangedJustBefore", id="overlapping intervals are no comparison"),
    ],
)  # fmt: skip
def test_blamed_change(root: ReleaseView, kind: str, reason: str) -> None:
    cause = causes.explain(root, Topology((root,)), ONSET)
    assert (cause.kind, cause.reason) == (kind, reason)
    assert kind != "unknown" or cause.revision == ""


def test_nearer_by_topology_comes_before_nearer_in_time() -> None:
    root, catalog = service(since=at(50), needs=("catalog",)), service("catalog", since=at(99))
    cause = causes.explain(root, Topology((root, catalog)), ONSET)
    assert (cause.release, cause.revision) == ("answers", V2)


def test_a_dependency_s_change_is_blamed_less_surely_where_the_root_did_not_change() -> None:
    root, catalog = calm("answers", ("catalog",)), service("catalog", since=at(99))
    cause = causes.explain(root, Topology((root, catalog)), ONSET)
    assert (cause.kind, cause.release) == ("bad_release", "catalog") and cause.confidence < 0.8


def test_a_dependent_is_never_blamed() -> None:
    root, web = calm("answers"), service("web", needs=("answers",))
    assert causes.explain(root, Topology((root, web)), ONSET).kind == "unknown"


def test_the_evidence_tells_of_the_missing_canary_and_the_split_by_version() -> None:
    root = service(shipped_without_canary=True, manager="kubectl-set", split={V1: value(0.0), V2: value(0.8)})
    evidence = {e.name: e.value for e in causes.explain(root, Topology((root,)), ONSET).evidence}
    assert evidence["became live before onset"] == "v2 10 s before"
    assert evidence["shipped without a canary"] == "by kubectl-set"
    assert evidence["error ratio of v2"].startswith("80.0%")
