"""Was a gate opened that had not been decided? Situations as lists of requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from e2e.harness import gates
from e2e.harness.audit import Request
from e2e.harness.recorder import Version

OPEN, CLOSE = "opsloop-open", "opsloop-close"


def request(time: float, verb: str, target: str, name: str, manager: str = "opsloop", code: int = 200) -> Request:
    resource, _, sub = target.partition("/")
    return Request(time, time + 0.01, "operator", verb, resource, sub, "shop", name, code, "opsloop", manager)


def gate(time: float, pod: str, manager: str = OPEN, code: int = 200) -> Request:
    return request(time, "patch", "pods/status", f"answers-canary-{pod}", manager, code)


DECIDED = [(10.0, 1), (20.0, 4), (30.0, 0)]


@pytest.mark.parametrize(
    ("requests", "wrong"),
    [
        pytest.param([gate(11, "a"), gate(21, "b"), gate(21, "c"), gate(21, "d")], [], id="as decided, step by step"),
        pytest.param([gate(9, "a")], [(9, 1, 0)], id="opened before anything was decided"),
        pytest.param([gate(10, "a")], [(10, 1, 0)], id="at the very instant of the decision is not after it"),
        pytest.param([gate(11, "a"), gate(12, "b")], [(12, 2, 1)], id="one more than decided"),
        pytest.param(
            [gate(11, "a"), gate(12, "a")], [], id="the same pod once more, as after a restart, raises nothing"
        ),
        pytest.param([gate(11, "a"), gate(12, "a", CLOSE), gate(13, "b")], [], id="closed first, then another one"),
        pytest.param([gate(11, "a", CLOSE), gate(12, "b", CLOSE)], [], id="closings need no decision"),
        pytest.param([gate(11, "a"), gate(31, "b")], [(31, 2, 0)], id="opened after weight 0 was decided"),
        pytest.param([gate(11, "a", code=409), gate(12, "b")], [], id="a refused opening opened nothing"),
        pytest.param([gate(11, "a"), gate(12, "a", CLOSE, 404), gate(13, "b")], [], id="the pod to close was gone"),
        pytest.param(
            [gate(11, "a"), request(12, "delete", "pods", "answers-canary-a"), gate(13, "b")],
            [],
            id="a pod that somebody deleted is out of traffic",
        ),
        pytest.param(
            [gate(11, "a"), request(12, "delete", "deployments", "answers-canary"), gate(13, "b")],
            [],
            id="with its Deployment all its pods are gone",
        ),
        pytest.param(
            [gate(11, "a"), request(12, "delete", "deployments", "web-canary"), gate(13, "b")],
            [(13, 2, 1)],
            id="another Deployment's end says nothing of these pods",
        ),
        pytest.param(
            [gate(11, "a", "opsloop"), gate(12, "b")], [(12, 2, 1)], id="a patch that does not say counts as open"
        ),
        pytest.param([gate(11, "a"), replace(gate(12, "b", ""), user="system:node:n")], [], id="a kubelet reports"),
        pytest.param([gate(11, "a"), replace(gate(12, "b", ""), user="admin")], [(12, 2, 1)], id="a person opens one"),
        pytest.param([gate(12, "b"), gate(11, "a")], [(12, 2, 1)], id="in whatever order they are given"),
    ],
)
def test_openings_against_the_decided_number(requests: list[Request], wrong: list[tuple[float, int, int]]) -> None:
    assert [(u.request.time, u.open, u.decided) for u in gates.undecided_openings(requests, DECIDED, "shop")] == wrong


def test_openings_and_closings_are_told_apart() -> None:
    requests = [gate(1, "a"), gate(2, "a", CLOSE), gate(3, "b", code=409)]
    assert [r.time for r in gates.openings(requests)] == [1]
    assert [r.time for r in gates.closings(requests)] == [2]


def test_warm_pods_have_a_number_of_their_own() -> None:
    kept = [gate(11, "a"), replace(gate(12, "b"), name="answers-warm-5d9f8c6b5d-x7k2p")]
    assert [u.request.time for u in gates.undecided_openings(kept, DECIDED, "shop")] == [12]
    assert gates.undecided_openings(kept, DECIDED, "shop", warm=[(0.0, 0), (11.5, 1)]) == []
    stored = [Version(1, "answers", {"status": {"warm": {"pods": 2}}}), Version(2, "answers", {"status": {}})]
    decided = gates.decided_by_status(stored, [put(0.9), put(1.9)], "shop", "answers", warm=True)
    assert decided == [(0.91, 2), (1.91, 0)]


def version(at: float, pods: int, state: str = "Stepping", name: str = "answers") -> Version:
    return Version(at, name, {"status": {"target": {"pods": pods, "state": state}}})


def put(time: float, **more: Any) -> Request:
    return request(time, "update", "releases/status", "answers", **more)


def test_a_decision_counts_from_the_answer_to_the_put_that_stored_it() -> None:
    versions = [Version(0.5, "answers", {}), version(5.05, 0, "Dark"), version(10.05, 1), version(20.05, 4)]
    requests = [put(5.0), put(10.0), put(20.0)]
    assert gates.decided_by_status(versions, requests, "shop", "answers") == [(0.5, 0), (10.01, 1), (20.01, 4)]


def test_a_later_put_makes_the_decision_late_and_never_early() -> None:
    assert gates.decided_by_status([version(10.5, 1)], [put(10.0), put(10.4)], "shop", "answers") == [(10.41, 1)]


def test_a_watch_that_was_faster_than_the_answer_is_the_earlier_witness() -> None:
    assert gates.decided_by_status([version(10.005, 1)], [put(10.0)], "shop", "answers") == [(10.005, 1)]


@pytest.mark.parametrize("state", ["Rejected", "Cancelled", "Promoted", "Refused"])
def test_a_closed_target_allows_no_pod(state: str) -> None:
    versions = [version(1, 2), version(2, 2, state)]
    assert gates.decided_by_status(versions, [put(0.9), put(1.9)], "shop", "answers") == [(0.91, 2), (1.91, 0)]


def test_other_releases_decide_nothing_for_this_one() -> None:
    assert gates.decided_by_status([version(1, 3, name="web")], [put(0.9)], "shop", "answers") == []
