"""What pods use is read for an open Incident only, seldom, and never its content."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.core.facts import ObjectChanges
from opsloop.errors import Unavailable
from opsloop.shell.ports import Object
from opsloop.shell.reconcile.observe import incident_facts
from tests.builders.objects import incident
from tests.fakes.runtime import Bench, bench, deployment
from tests.sim.shop import NS

TIME = "2026-01-05T09:00:00Z"
CAUSE = {"kind": "bad_release", "release": "answers", "revision": "d2", "version": "v2", "confidence": 0.5}
PAGE = {"state": "Decided", "severity": "sev1", "dedupKey": "uid-answers-1", "decidedAt": TIME}
EVERY = timedelta(minutes=1)


def configmap(name: str = "settings", time: str = TIME) -> Object:
    entry = {"manager": "helm", "time": time, "fieldsV1": {"f:data": {}}}
    meta = {"name": name, "namespace": NS, "managedFields": [entry]}
    return {"kind": "ConfigMap", "metadata": meta, "data": {"x": "1"}}


def using(*names: str, secret: str = "") -> Object:
    body = deployment()
    sources: list[Object] = [{"configMapRef": {"name": name}} for name in names]
    sources += [{"secretRef": {"name": secret}}] if secret else []
    body["spec"]["template"]["spec"]["containers"][0]["envFrom"] = sources
    return body


def stored(**status: Any) -> Object:
    body = incident().model_dump(by_alias=True, mode="json", exclude_none=True)
    return {**body, "kind": "Incident", "status": status}


async def look(on: Bench) -> ObjectChanges:
    facts = await incident_facts(on.runtime, NS, "answers-1")
    assert facts is not None and facts.root is not None
    return facts.root.objects


def asked(on: Bench) -> list[str]:
    """Names of the objects that were read since the last call."""
    reads = [r.rsplit(" ", 1)[1] for r in on.cluster.reads if r.startswith("get configmaps") and "answers-1" not in r]
    on.cluster.reads.clear()
    return reads


async def test_it_is_read_once_a_minute_while_the_cause_is_not_settled() -> None:
    on = bench(using("settings"), configmap(), stored(phase="Open"))
    first = await look(on)
    assert [(c.what, c.manager) for c in first.found] == [("ConfigMap settings", "helm")]
    assert asked(on) == ["settings"] and await look(on) == first and asked(on) == []
    on.cluster.seed(configmap(time="2026-01-05T09:10:00Z"))
    on.clock.advance(EVERY.total_seconds())
    again = [f"{c.at:%H:%M}" for c in (await look(on)).found]
    assert again == ["09:00", "09:10"], "who writes it back does not hide what he wrote before"


async def test_of_a_settled_cause_a_new_process_reads_it_once_so_that_no_revision_gets_likelier_by_a_restart() -> None:
    on = bench(using("settings"), configmap(), stored(phase="Open", cause=CAUSE, page=PAGE))
    assert len((await look(on)).found) == 1 and asked(on) == ["settings"]
    on.clock.advance(10 * EVERY.total_seconds())
    assert len((await look(on)).found) == 1 and asked(on) == []


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"phase": "Resolved"}, id="it is resolved"),
        pytest.param({"phase": "Open", "mergedInto": "catalog-1"}, id="it was merged into another one"),
    ],
)
async def test_nothing_is_read_for_an_incident_that_is_over(status: dict[str, Any]) -> None:
    on = bench(using("settings"), configmap(), stored(**status))
    assert await look(on) == ObjectChanges() and asked(on) == []


async def test_what_may_not_be_read_is_said_what_is_not_there_is_not_and_the_others_are_read() -> None:
    on = bench(using("gone", "settings", secret="password"), configmap(), stored(phase="Open"))
    seen = await look(on)
    assert [c.what for c in seen.found] == ["ConfigMap settings"]
    assert seen.unseen == ("Secret password cannot be seen: opsloop may not read it",)


async def test_where_the_api_server_does_not_answer_the_others_wait_for_the_next_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on = bench(using("a", "settings"), configmap(), stored(phase="Open"))
    real, tried = on.cluster.metadata, list[str]()

    async def silent(resource: Any, namespace: str, name: str) -> Object:
        tried.append(name)
        raise Unavailable("no answer")

    monkeypatch.setattr(on.cluster, "metadata", silent)
    seen = await look(on)
    assert tried == ["a"] and seen.found == ()
    assert seen.unseen == tuple(
        f"ConfigMap {name} cannot be seen: the API server did not answer" for name in ("a", "settings")
    )
    monkeypatch.setattr(on.cluster, "metadata", real)
    on.clock.advance(EVERY.total_seconds())
    assert [c.what for c in (await look(on)).found] == ["ConfigMap settings"]
