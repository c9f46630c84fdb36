"""Stories of changes beside the template, with opsloop's own wiring in fake time: configuration and the number of pods."""

import pytest

from opsloop.api.incident import Incident
from opsloop.shell.ports import ACCOUNTS, CONFIGMAPS, DEPLOYMENTS, Object
from tests.sim.shift import Shift, resolved, seconds
from tests.sim.shop import NS
from tests.sim.test_plays import ordinary

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def configured() -> Shift:
    """The pods of `answers` mount a ConfigMap, and have a Secret in their environment that opsloop may not read."""
    shift = ordinary()
    write(shift, "helm")
    stored = deployment(shift)
    pod = stored["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "settings", "configMap": {"name": "settings"}}]
    pod["containers"][0]["envFrom"] = [{"secretRef": {"name": "password"}}]
    shift.shop.cluster.seed(stored)
    for _ in range(10):
        shift.shop.tick()  # all pods have it
    return shift


async def adopted_for_hours(shift: Shift) -> None:
    """v1 serves for hours and is proven."""
    shift.shop.pass_quietly(4 * 3600)
    await shift.until("v1 is adopted", lambda: bool(shift.release().status.live))
    await seconds(shift, 2)
    shift.shop.pass_quietly(11 * 60)
    await shift.until("v1 is last-good", lambda: bool(shift.release().status.revisions[0].proven_at))


def deployment(shift: Shift) -> Object:
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    return stored


def entry(shift: Shift, manager: str, **fields: Object) -> Object:
    return {"manager": manager, "time": f"{shift.shop.clock.now():%Y-%m-%dT%H:%M:%SZ}", "fieldsV1": fields}


def write(shift: Shift, manager: str) -> None:
    """Somebody writes the ConfigMap."""
    before = shift.shop.cluster.find(CONFIGMAPS, NS, "settings") or {"metadata": {}}
    entries = [e for e in before["metadata"].get("managedFields", []) if e["manager"] != manager]
    meta = {"name": "settings", "namespace": NS, "managedFields": [*entries, entry(shift, manager, **{"f:data": {}})]}
    shift.shop.cluster.seed({"kind": "ConfigMap", "metadata": meta, "data": {"written": manager}})


def scale(shift: Shift, replicas: int) -> None:
    """`kubectl scale`."""
    stored = deployment(shift)
    stored["spec"]["replicas"] = replicas
    written = entry(shift, "kubectl", **{"f:spec": {"f:replicas": {}}}) | {"subresource": "scale"}
    stored["metadata"].setdefault("managedFields", []).append(written)
    shift.shop.cluster.seed(stored)


async def harmless_push(shift: Shift, minutes: int) -> None:
    """So long before."""
    shift.shop.errors |= {"v1": 0.0005, "v4": 0.0005}
    await adopted_for_hours(shift)
    shift.shop.set_image("v4")
    await seconds(shift, 10)
    shift.shop.pass_quietly(60 * minutes)
    await seconds(shift, 3)


def open_incident(shift: Shift) -> Incident:
    incident = shift.incident()
    assert incident is not None and incident.status.cause is not None
    return incident


async def test_a_config_map_is_written_and_everybody_errs_a_minute_later_no_revision_is_rolled_back() -> None:
    shift = configured()
    await harmless_push(shift, minutes=20)
    write(shift, "kubectl-edit")
    at = shift.shop.clock.now().replace(microsecond=0)
    await seconds(shift, 60)
    shift.shop.errors |= {"v1": 0.9, "v4": 0.9}
    await shift.until("a page", lambda: bool(shift.operator.pager.pages), most=150)
    await seconds(shift, 60)
    incident = open_incident(shift)
    cause = incident.status.cause
    assert cause is not None and shift.wrote() == []
    assert (cause.kind, cause.reason, cause.object, cause.manager) == (
        "config", "ConfigChanged", "ConfigMap settings", "kubectl-edit",
    )  # fmt: skip
    assert cause.changed_at == at
    assert [(e.type, e.at) for e in incident.status.timeline if "ConfigMap settings" in e.message] == [("Change", at)]
    paged = str(shift.operator.pager.pages[-1])
    assert f"ConfigMap settings, {at:%H:%M:%S} UTC, by kubectl-edit" in paged
    assert "kubectl -n shop get configmap settings -o jsonpath={.metadata.managedFields}" in paged
    assert "Secret password cannot be seen: opsloop may not read it" in str(cause.evidence)
    write(shift, "kubectl-edit")
    shift.shop.errors |= {"v1": 0.0005, "v4": 0.0005}
    await shift.until("resolved", lambda: resolved(shift), most=900)
    await shift.until("a postmortem", lambda: postmortem(shift) != "")
    assert f"a change at {at:%H:%M:%S} UTC by `kubectl-edit`: `ConfigMap settings`" in postmortem(shift)
    assert shift.wrote() == [] and [r.version for r in shift.release().status.revisions if r.blocked] == []
    await shift.operator.stop()


def postmortem(shift: Shift) -> str:
    stored = shift.shop.cluster.find(CONFIGMAPS, NS, "answers-1-postmortem")
    return str(stored["data"]["postmortem.md"]) if stored else ""


async def test_a_bad_push_with_an_old_config_map_is_rolled_back_though_a_secret_cannot_be_seen() -> None:
    shift = configured()
    await adopted_for_hours(shift)
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=150)
    cause = open_incident(shift).status.cause
    assert cause is not None and (cause.kind, cause.version) == ("bad_release", "v2")
    assert "Secret password cannot be seen" in str(cause.evidence)
    await shift.operator.stop()


async def test_a_restart_of_opsloop_does_not_forget_the_config_map_and_roll_a_harmless_push_back() -> None:
    """The push came five minutes before: without the ConfigMap it might be blamed."""
    shift = configured()
    await harmless_push(shift, minutes=5)
    write(shift, "kubectl-edit")
    await seconds(shift, 20)
    shift.shop.errors |= {"v1": 0.9, "v4": 0.9}
    await shift.until("a page", lambda: bool(shift.operator.pager.pages), most=150)
    await shift.operator.stop()
    await seconds(shift, 120)
    cause = open_incident(shift).status.cause
    assert cause is not None and shift.wrote() == [] and cause.kind == "config"
    await shift.operator.stop()


async def test_a_config_map_that_nobody_may_read_leaves_the_judgement_as_it_was() -> None:
    shift = configured()
    shift.shop.cluster.forbidden.add("configmaps")
    await harmless_push(shift, minutes=20)
    write(shift, "kubectl-edit")
    await seconds(shift, 60)
    shift.shop.errors |= {"v1": 0.9, "v4": 0.9}
    await shift.until("a page", lambda: bool(shift.operator.pager.pages), most=150)
    await seconds(shift, 60)
    cause = open_incident(shift).status.cause
    assert cause is not None and cause.kind == "unknown" and shift.wrote() == []
    assert "ConfigMap settings cannot be seen: opsloop may not read it" in str(cause.evidence)
    await shift.operator.stop()


async def test_pods_are_taken_away_and_the_rest_errs_under_the_load() -> None:
    shift = configured()
    await harmless_push(shift, minutes=30)
    scale(shift, 2)
    await seconds(shift, 20)
    shift.shop.errors |= {"v1": 0.9, "v4": 0.9}
    await shift.until("a page", lambda: bool(shift.operator.pager.pages), most=150)
    await seconds(shift, 60)
    cause = open_incident(shift).status.cause
    assert cause is not None and shift.wrote() == []
    assert (cause.kind, cause.object, cause.manager) == (
        "scaling", "Deployment answers scaled from 4 to 2 pods", "kubectl",
    )  # fmt: skip
    await shift.operator.stop()


async def test_what_pods_use_is_read_only_for_an_open_incident_and_once_a_minute() -> None:
    """An Incident that a dependency may explain, or whose cause is unknown, is looked at every few seconds."""
    shift = configured()
    reads: list[str] = []
    real = shift.shop.cluster.metadata

    async def counted(resource: object, namespace: str, name: str) -> Object:
        if resource != ACCOUNTS:  # a Runbook's account is looked at now and then
            reads.append(name)
        return await real(resource, namespace, name)  # type: ignore[arg-type]

    shift.shop.cluster.metadata = counted  # type: ignore[method-assign]
    await adopted_for_hours(shift)
    assert reads == []
    shift.shop.errors |= {"v1": 0.9}
    await shift.until("a page", lambda: bool(shift.operator.pager.pages), most=150)
    reads.clear()
    await seconds(shift, 125)
    assert 2 <= reads.count("settings") <= 3 and reads.count("password") == reads.count("settings")
    await shift.operator.stop()
