import asyncio
import os
import uuid
from pathlib import Path
from typing import Any

import kopf
import pytest

from opsloop.adapters.kube import Kube
from opsloop.entry import watches as handlers
from opsloop.entry.watches import KINDS, RESYNC, SETTLE, Resync, build_registry, kopf_settings, resync, run_kopf
from opsloop.errors import NotFound, Unavailable
from opsloop.shell.ports import DEPLOYMENTS, INCIDENTS, RELEASES, Object, Resource
from opsloop.shell.watch.cache import Cache
from tests.fakes.cluster import FakeCluster

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG")
NAMESPACES = Resource("v1", "Namespace", "namespaces")


def incident(name: str = "web-1", version: str = "1", uid: str = "u1", namespace: str = "shop") -> Object:
    signal = {"kind": "alerts", "at": "2026-01-05T09:00:00Z", "severity": "sev3"}
    meta = {"name": name, "namespace": namespace, "resourceVersion": version, "uid": uid}
    spec = {"service": "s", "title": "t", "signal": signal}
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Incident", "metadata": meta, "spec": spec}


class Watched:
    """A cache with its handlers, and what they said."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.changes: list[tuple[str, str]] = []
        self.spoke: list[bool] = []
        self.registry = build_registry(self.cache, self.changed, seen=self.spoke.append)

    def changed(self, kind: str, obj: Object) -> None:
        self.changes.append((kind, obj["metadata"]["name"]))

    async def event(self, change: str | None, obj: Object) -> None:
        ids = {str(h.id): h.fn for h in self.registry._watching.get_all_handlers()}
        fed: Any = ids["feed-incidents"]
        assert await fed(event={"type": change, "object": obj}) is None, "a result would be written to the object"


async def test_a_change_is_stored_and_said() -> None:
    watched = Watched()
    await watched.event("ADDED", incident())
    await watched.event("MODIFIED", incident(version="2"))
    stored = watched.cache.get("Incident", "shop", "web-1")
    assert stored and stored["metadata"]["resourceVersion"] == "2"
    assert watched.changes == [("Incident", "web-1")] * 2
    assert watched.spoke == [False, False]


async def test_a_deletion_is_said_after_it_is_forgotten() -> None:
    watched = Watched()
    await watched.event("ADDED", incident())
    await watched.event("DELETED", incident(version="3"))
    assert watched.cache.list("Incident") == []
    assert len(watched.changes) == 2


async def test_an_older_echo_wakes_but_does_not_overwrite() -> None:
    watched = Watched()
    watched.cache.put("Incident", incident(version="9"))
    await watched.event("MODIFIED", incident(version="8"))
    stored = watched.cache.get("Incident", "shop", "web-1")
    assert stored and stored["metadata"]["resourceVersion"] == "9"
    assert watched.changes == [("Incident", "web-1")]


async def test_a_relisted_object_is_told_apart_so_that_a_resync_can_look_for_ghosts() -> None:
    watched = Watched()
    await watched.event(None, incident())
    assert watched.spoke == [True]


def test_only_event_handlers_exist_each_with_group_and_version() -> None:
    registry = Watched().registry
    found = {
        (h.selector.group, h.selector.version, h.selector.any_name)
        for h in registry._watching.get_all_handlers()
        if h.selector
    }
    assert found == {(r.api_version.split("/")[0], r.api_version.split("/")[1], r.plural) for r in KINDS}
    for kind in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert not list(kind.get_all_handlers())
    assert [h.id for h in registry._activities.get_all_handlers()] == ["login"]


def test_kopf_is_told_to_write_nothing_and_to_time_out() -> None:
    settings = kopf_settings()
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
async def test_in_a_pod_the_login_is_the_mounted_token_and_needs_no_dns(
    host: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t")
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: info)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = await handlers._login(settings=kopf_settings())
    assert found and (found.server, found.token) == (server, "t")


async def test_elsewhere_the_login_is_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],"
        " clusters: [{name: k, cluster: {server: 'https://here'}}], users: [{name: u, user: {token: t}}]}"
    )
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: None)
    monkeypatch.setenv("KUBECONFIG", str(path))
    found = await handlers._login(settings=kopf_settings())
    assert found and (found.server, found.token) == ("https://here", "t")


async def test_a_resync_stores_what_is_there_drops_what_is_gone_and_wakes_both() -> None:
    watched, cluster = Watched(), FakeCluster(incident("here"), incident("elsewhere", namespace="other"))
    watched.cache.put("Incident", incident("ghost", uid="u2"))
    assert await resync(cluster, watched.cache, watched.changed) == 1
    assert [o["metadata"]["name"] for o in watched.cache.list("Incident")] == ["elsewhere", "here"]
    assert sorted(watched.changes) == [("Incident", "elsewhere"), ("Incident", "ghost"), ("Incident", "here")]
    assert cluster.writes == []


async def test_a_resync_of_chosen_namespaces_leaves_the_others_out() -> None:
    watched, cluster = (
        Watched(),
        FakeCluster(incident("a"), incident("b", namespace="other"), incident("c", namespace="third")),
    )
    await resync(cluster, watched.cache, watched.changed, ["shop", "third"])
    assert [o["metadata"]["name"] for o in watched.cache.list("Incident")] == ["a", "c"]


async def test_a_list_that_fails_prunes_nothing_and_does_not_keep_the_other_kinds_waiting() -> None:
    watched, cluster = Watched(), FakeCluster(incident("here"))
    watched.cache.put("Release", {"metadata": {"name": "kept", "namespace": "shop", "uid": "u9"}})
    cluster.fail_next = [Unavailable("releases")]
    with pytest.raises(Unavailable):
        await resync(cluster, watched.cache, watched.changed, kinds=(RELEASES, INCIDENTS, DEPLOYMENTS))
    assert watched.cache.get("Release", "shop", "kept")
    assert watched.cache.get("Incident", "shop", "here")


class Lists:
    """Notes when it was called; the first `failures` calls fail."""

    def __init__(self, failures: int = 0) -> None:
        self.at: list[float] = []
        self.failures = failures

    async def __call__(self) -> int:
        self.at.append(round(asyncio.get_running_loop().time(), 3))
        if len(self.at) <= self.failures:
            raise Unavailable("x")
        return 0


@pytest.mark.looptime
async def test_a_list_at_the_start_then_every_ten_minutes() -> None:
    lists, succeeded = Lists(), []
    again = Resync(lists, lambda: succeeded.append(1))
    task = asyncio.create_task(again.run())
    await asyncio.sleep(2 * RESYNC + 1)
    task.cancel()
    assert lists.at == [0, RESYNC, 2 * RESYNC]
    assert len(succeeded) == 3


@pytest.mark.looptime
async def test_a_burst_of_requests_is_one_list() -> None:
    lists = Lists()
    again = Resync(lists)
    task = asyncio.create_task(again.run())
    await asyncio.sleep(10)
    for _ in range(100):
        again.request()
        await asyncio.sleep(0.01)
    await asyncio.sleep(20)
    task.cancel()
    assert lists.at == [0, 10 + SETTLE]


@pytest.mark.looptime
async def test_a_request_shortly_before_the_ten_minutes_end_is_not_lost() -> None:
    lists = Lists()
    again = Resync(lists)
    task = asyncio.create_task(again.run())
    await asyncio.sleep(RESYNC - 0.5)
    again.request()
    await asyncio.sleep(10)
    task.cancel()
    assert len(lists.at) == 2


@pytest.mark.looptime
async def test_it_is_not_done_before_a_list_succeeded() -> None:
    lists = Lists(failures=2)
    again = Resync(lists, retry=5.0)
    task = asyncio.create_task(again.run())
    await asyncio.sleep(6)
    assert not again.done.is_set()
    await asyncio.sleep(6)
    assert again.done.is_set()
    task.cancel()
    assert lists.at == [0, 5, 10]


@pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG")
async def test_on_a_real_cluster_events_arrive_and_kopf_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", KUBECONFIG or "")
    watched, kube, namespace = Watched(), await Kube.connect(KUBECONFIG), f"contract-{uuid.uuid4().hex[:8]}"
    await kube.create(NAMESPACES, "", {"metadata": {"name": namespace}})
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run_kopf(watched.registry, kopf_settings(), [namespace], stop, ready))
    try:
        body = {"metadata": {"name": "web-1"}, "spec": incident()["spec"]}
        made = await kube.create(INCIDENTS, namespace, body)
        await eventually(lambda: watched.cache.get("Incident", namespace, "web-1") is not None)
        await asyncio.sleep(1)
        assert (await kube.get(INCIDENTS, namespace, "web-1")) == made, "no annotation, no finalizer, no status"
        await kube.delete(INCIDENTS, namespace, "web-1")
        await eventually(lambda: watched.cache.get("Incident", namespace, "web-1") is None)
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
