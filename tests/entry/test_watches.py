import asyncio
import os
import uuid
from pathlib import Path
from typing import Any

import kopf
import pytest

from opsloop.adapters.kube import Kube
from opsloop.entry import watches as entry_watches
from opsloop.entry.watches import build_registry, kopf_settings, may_scan, run_kopf
from opsloop.errors import NotFound
from opsloop.shell.ports import INCIDENTS, Object, Resource
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.resync import WATCHED
from opsloop.simulator.fakes.ports import FakeAccess

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG")
NAMESPACES = Resource("v1", "Namespace", "namespaces")


def incident(name: str = "web-1", version: str = "1", uid: str = "u1", namespace: str = "shop") -> Object:
    signal = {"kind": "alerts", "at": "2026-01-05T09:00:00Z", "severity": "sev3"}
    meta = {"name": name, "namespace": namespace, "resourceVersion": version, "uid": uid}
    spec = {"service": "s", "title": "t", "signal": signal}
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Incident", "metadata": meta, "spec": spec}


class Watches:
    """A cache and the handlers that fill it; `changes` and `relisted` list their calls."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.changes: list[tuple[str, str]] = []
        self.relisted: list[bool] = []
        self.registry = build_registry(self.cache, self.changed, on_event=self.relisted.append)

    def changed(self, kind: str, obj: Object) -> None:
        self.changes.append((kind, obj["metadata"]["name"]))

    async def event(self, change: str | None, obj: Object) -> None:
        ids = {str(h.id): h.fn for h in self.registry._watching.get_all_handlers()}
        fed: Any = ids["feed-incidents"]
        assert await fed(event={"type": change, "object": obj}) is None, "a result would be written to the object"


async def test_a_change_is_stored_and_reported() -> None:
    watches = Watches()
    await watches.event("ADDED", incident())
    await watches.event("MODIFIED", incident(version="2"))
    stored = watches.cache.get("Incident", "shop", "web-1")
    assert stored and stored["metadata"]["resourceVersion"] == "2"
    assert watches.changes == [("Incident", "web-1")] * 2
    assert watches.relisted == [False, False]


async def test_a_deletion_is_reported_after_the_cache_dropped_it() -> None:
    watches = Watches()
    await watches.event("ADDED", incident())
    await watches.event("DELETED", incident(version="3"))
    assert watches.cache.list("Incident") == []
    assert len(watches.changes) == 2


async def test_an_older_echo_is_reported_but_does_not_overwrite() -> None:
    watches = Watches()
    watches.cache.put("Incident", incident(version="9"))
    await watches.event("MODIFIED", incident(version="8"))
    stored = watches.cache.get("Incident", "shop", "web-1")
    assert stored and stored["metadata"]["resourceVersion"] == "9"
    assert watches.changes == [("Incident", "web-1")]


async def test_a_relisted_object_is_told_from_a_changed_one() -> None:
    watches = Watches()
    await watches.event(None, incident())
    assert watches.relisted == [True]


def test_only_event_handlers_exist_each_with_group_and_version() -> None:
    registry = Watches().registry
    found = {
        (h.selector.group, h.selector.version, h.selector.any_name)
        for h in registry._watching.get_all_handlers()
        if h.selector
    }
    assert found == {(r.api_version.split("/")[0], r.api_version.split("/")[1], r.plural) for r in WATCHED}
    for kind in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert not list(kind.get_all_handlers())
    assert [h.id for h in registry._activities.get_all_handlers()] == ["login"]


@pytest.mark.parametrize(
    ("namespaces", "allows", "scans"),
    [
        pytest.param((), False, True, id="in all namespaces kopf must list them"),
        pytest.param(("shop",), True, True, id="in chosen ones it notices CRDs where it may"),
        pytest.param(("shop",), False, False, id="and watches at once where it may not"),
    ],
)
async def test_kopf_asks_only_for_lists_that_it_may_have(
    namespaces: tuple[str, ...], allows: bool, scans: bool
) -> None:
    access = FakeAccess()
    access.allows = allows
    assert await may_scan(access, namespaces) is scans


def test_kopf_writes_nothing_and_times_out() -> None:
    settings = kopf_settings()
    assert kopf_settings(scanning=False).scanning.disabled and not settings.scanning.disabled
    assert (settings.posting.enabled, settings.peering.standalone) == (False, True)
    assert (settings.networking.connect_timeout, settings.networking.request_timeout) == (5, 20)
    assert settings.watching.inactivity_timeout == 70
    assert (settings.watching.chunk_size, settings.watching.initial_streaming, settings.queueing.worker_limit) == (
        None,
        False,
        None,
    )


@pytest.mark.parametrize(
    ("host", "server"),
    [
        pytest.param("10.0.0.1", "https://10.0.0.1:443", id="an IPv4 service address"),
        pytest.param("fd00::1", "https://[fd00::1]:443", id="an IPv6 service address"),
    ],
)
async def test_in_a_pod_the_login_is_the_token_and_needs_no_dns(
    host: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t")
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: info)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = await entry_watches._login(settings=kopf_settings())
    assert found and (found.server, found.token) == (server, "t")


async def test_elsewhere_the_login_is_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],"
        " clusters: [{name: k, cluster: {server: 'https://here'}}], users: [{name: u, user: {token: t}}]}"
    )
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: None)
    monkeypatch.setenv("KUBECONFIG", str(path))
    found = await entry_watches._login(settings=kopf_settings())
    assert found and (found.server, found.token) == ("https://here", "t")


@pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG")
async def test_on_a_real_cluster_events_arrive_and_kopf_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", KUBECONFIG or "")
    watches, kube, namespace = Watches(), await Kube.connect(KUBECONFIG), f"contract-{uuid.uuid4().hex[:8]}"
    await kube.create(NAMESPACES, "", {"metadata": {"name": namespace}})
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run_kopf(watches.registry, kopf_settings(), [namespace], stop, ready))
    try:
        body = {"metadata": {"name": "web-1"}, "spec": incident()["spec"]}
        made = await kube.create(INCIDENTS, namespace, body)
        await eventually(lambda: watches.cache.get("Incident", namespace, "web-1") is not None)
        await asyncio.sleep(1)
        assert (await kube.get(INCIDENTS, namespace, "web-1")) == made, "no annotation, no finalizer, no status"
        await kube.delete(INCIDENTS, namespace, "web-1")
        await eventually(lambda: watches.cache.get("Incident", namespace, "web-1") is None)
        with pytest.raises(NotFound):
            await kube.get(INCIDENTS, namespace, "web-1")
    finally:
        stop.set()
        await asyncio.wait([task], timeout=12)
        await kube.delete(NAMESPACES, "", namespace)
        await kube.close()


async def eventually(condition: Any, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a real cluster sets no event of ours
            await asyncio.sleep(0.1)
