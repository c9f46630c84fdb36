from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opsloop.api.meta import format_time
from opsloop.shell.ports import Object
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.mapping import requests_for_object, requests_for_reading

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
TIME = format_time(NOW)


def meta(name: str) -> Object:
    return {"name": name, "namespace": "shop", "resourceVersion": "1", "uid": name}


def release(name: str, **status: Any) -> Object:
    spec = {"workloadRef": {"name": f"{name}-app"}, "version": "v1", "images": {"app": "x:v1"}}
    return {"metadata": meta(name), "spec": spec, "status": status}


def incident(name: str, root: str = "", **status: Any) -> Object:
    signal = {"kind": "alerts", "at": TIME, "severity": "sev3"}
    return {
        "metadata": meta(name),
        "spec": {"release": root, "service": "s", "title": "t", "signal": signal},
        "status": status,
    }


def runbook(name: str) -> Object:
    return {"metadata": meta(name), "spec": {"steps": [{"type": "rollback"}], "serviceAccountName": "ops"}}


def evalcase(name: str, root: str, origin: str = "") -> Object:
    spec = {"release": root, "request": {"path": "/", "port": 80}, "expect": {}, "origin": {"incident": origin}}
    return {"metadata": meta(name), "spec": spec}


def target(state: str) -> Object:
    return {"digest": "a" * 16, "version": "v2", "state": state, "startedAt": TIME}


def play(state: str) -> Object:
    return {"runbook": "rb", "step": 0, "type": "rollback", "state": state, "requestedAt": TIME}


def closed(status: str) -> list[Object]:
    return [{"type": "LoopClosed", "status": status, "reason": "x", "lastTransitionTime": TIME}]


def cache_of(**objects: list[Object]) -> Cache:
    cache = Cache()
    for kind, items in objects.items():
        for item in items:
            cache.put(kind, item)
    return cache


def short(keys: set[tuple[str, str, str]]) -> set[str]:
    assert {key[1] for key in keys} <= {"shop"}
    return {f"{kind}/{name}" for kind, _, name in keys}


@pytest.mark.parametrize(
    ("kind", "changed", "others", "expected"),
    [
        pytest.param(
            "Release",
            release("web"),
            {},
            {"Release/web", "Namespace/shop"},
            id="a release requests itself and the correlator",
        ),
        pytest.param(
            "Release",
            release("web"),
            {
                "Incident": [
                    incident("web-1", "web", phase="Resolved", conditions=closed("True")),
                    incident("web-2", "web", phase="Resolved", conditions=closed("False")),
                    incident("web-3", "web"),
                    incident("api-1", "api"),
                ]
            },
            {"Release/web", "Namespace/shop", "Incident/web-2", "Incident/web-3"},
            id="a release requests its incidents until their loop is closed",
        ),
        pytest.param(
            "Release",
            release("web"),
            {"EvalCase": [evalcase("a", "web"), evalcase("b", "api")]},
            {"Release/web", "Namespace/shop", "EvalCase/a"},
            id="a release requests its eval cases",
        ),
        pytest.param(
            "Incident",
            incident("web-1", "web"),
            {},
            {"Incident/web-1", "Release/web"},
            id="an incident requests its root",
        ),
        pytest.param(
            "Incident",
            incident("shop-1"),
            {},
            {"Incident/shop-1"},
            id="an incident without a root requests only itself",
        ),
        pytest.param(
            "Incident",
            incident("web-1", "web", plays=[play("Requested")]),
            {"Runbook": [runbook("a"), runbook("b")]},
            {"Incident/web-1", "Release/web", "Runbook/a", "Runbook/b"},
            id="an incident that asks for a play requests the runbooks",
        ),
        pytest.param(
            "Incident",
            incident("web-1", "web", plays=[play("Running")], evalCase="case"),
            {"Runbook": [runbook("a")]},
            {"Incident/web-1", "Release/web", "EvalCase/case"},
            id="an incident that asks for nothing requests its case and no runbook",
        ),
        pytest.param(
            "Runbook",
            runbook("a"),
            {"Incident": [incident("web-1", "web"), incident("web-2", "web", phase="Resolved")]},
            {"Runbook/a", "Incident/web-1"},
            id="a runbook requests incidents that are not resolved",
        ),
        pytest.param(
            "EvalCase",
            evalcase("case", "web", "web-1"),
            {"Release": [release("web", target=target("Stepping"))]},
            {"EvalCase/case", "Incident/web-1", "Release/web"},
            id="an eval case requests its incident and the release that waits for it",
        ),
        pytest.param(
            "EvalCase",
            evalcase("case", "web"),
            {"Release": [release("web", target=target("Promoted"))]},
            {"EvalCase/case"},
            id="an eval case does not request a release with nothing under way",
        ),
        pytest.param(
            "Deployment",
            {"metadata": meta("web-app")},
            {"Release": [release("web"), release("api")]},
            {"Release/web"},
            id="a deployment requests the release that looks after it",
        ),
        pytest.param(
            "Deployment",
            {"metadata": meta("web-app-canary")},
            {"Release": [release("web"), release("api")]},
            {"Release/web"},
            id="a canary deployment requests its release",
        ),
        pytest.param(
            "Deployment",
            {"metadata": meta("other")},
            {"Release": [release("web")]},
            set(),
            id="another deployment requests nothing",
        ),
        pytest.param(
            "Incident",
            {"metadata": meta("broken"), "spec": {"title": 7}},
            {},
            {"Incident/broken"},
            id="an object that cannot be parsed requests itself alone",
        ),
    ],
)
def test_requests_for_object(kind: str, changed: Object, others: dict[str, list[Object]], expected: set[str]) -> None:
    cache = cache_of(**others)
    if kind != "Deployment":
        cache.put(kind, changed)
    assert short(requests_for_object(kind, changed, cache)) == expected


def test_a_deleted_incident_requests_its_root_although_the_cache_has_dropped_it() -> None:
    keys = requests_for_object("Incident", incident("web-1", "web"), Cache())
    assert short(keys) == {"Incident/web-1", "Release/web"}


def resolved(minutes_ago: float) -> Object:
    return {"phase": "Resolved", "resolvedAt": format_time(NOW - timedelta(minutes=minutes_ago))}


@pytest.mark.parametrize(
    ("status", "grace", "requested"),
    [
        pytest.param({"phase": "Open"}, 30, True, id="open"),
        pytest.param({"phase": "Mitigated"}, 30, True, id="mitigated but not resolved"),
        pytest.param(resolved(30), 30, True, id="just resolved: may reopen"),
        pytest.param(resolved(31), 30, False, id="resolved longer ago than the grace"),
        pytest.param(resolved(45), 120, True, id="resolved 45 minutes ago, with a grace of two hours"),
        pytest.param(resolved(2), 1, False, id="resolved two minutes ago, with a grace of one"),
        pytest.param({"phase": "Resolved"}, 30, False, id="resolved without a time"),
    ],
)
def test_a_changed_reading_requests_release_correlator_and_incidents_that_may_reopen(
    status: Object, grace: float, requested: bool
) -> None:
    cache = cache_of(Incident=[incident("web-1", "web", **status), incident("api-1", "api")])
    expected = {"Release/web", "Namespace/shop"} | ({"Incident/web-1"} if requested else set())
    assert short(requests_for_reading("shop", "web", cache, NOW, timedelta(minutes=grace))) == expected
