"""Two owners of one Deployment: what people's tools and opsloop's restore of last-good do to each other.

Runs where OPSLOOP_CONTRACT_KUBECONFIG names a cluster whose node has the pause image; kubectl and helm are those of
`e2e.cluster`. For each tool: the good template is stored as a ControllerRevision and read back by opsloop's own code, the
tool makes a change, opsloop restores last-good by its JSON patch of the whole template, and the user goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.bench.share import runtime_on
from e2e.cluster import paths
from opsloop.adapters.kube import Kube
from opsloop.core.actions import EnsureRevision, SetTemplate
from opsloop.core.release.revisions import digest
from opsloop.errors import Conflict
from opsloop.shell.ports import DEPLOYMENTS, REPLICASETS, Object
from opsloop.shell.reconcile import observe
from opsloop.shell.reconcile.apply import execute
from opsloop.shell.watch.cache import template_manager

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG", "")
pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG names no cluster")

GOOD, BAD, NEW = "good", "bad", "new"
PAUSE = "registry.k8s.io/pause:3.10"
IMAGES = {GOOD: PAUSE, BAD: f"{PAUSE}.1", NEW: f"{PAUSE}.1"}
EXTRA = {"name": "EXTRA", "value": "left by somebody"}
CONFLICT = "refused: conflict with opsloop"
SETTLE_SECONDS = 120.0
AT_ONCE = 5  # cases; each has one or two pods of the pause image


def run_tool(*command: str, text: str | None = None) -> str:
    """The complaint of kubectl or helm; "" where it did as told."""
    environment = {**os.environ, "KUBECONFIG": KUBECONFIG}
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=environment, timeout=90, check=False)
    return (done.stderr.strip() or done.stdout.strip() or "failed") if done.returncode else ""


def manifest(namespace: str, name: str, version: str) -> Object:
    """A user's file. The bad one has an environment variable and an annotation that the others do not have."""
    env = [{"name": "MODE", "value": version}, *([EXTRA] if version == BAD else [])]
    annotations = {"team": "desk", **({"extra": "1"} if version == BAD else {})}
    requests = {"cpu": "1m", "memory": "1M"}
    container = {"name": "c", "image": IMAGES[version], "env": env, "resources": {"requests": requests}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {  # no replicas: they are the autoscaler's
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": annotations},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
            },
        },
    }


def autoscaler(namespace: str, name: str, least: int) -> Object:
    """A HorizontalPodAutoscaler without a metrics server: only its bounds act."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": 3},
    }


class User:
    """The owner of one Deployment. Each method returns the complaint of the tool, "" where there is none."""

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace, self.name = namespace, name

    def client_apply(self, version: str) -> str:
        return self._kubectl("apply", "-f", "-", file=manifest(self.namespace, self.name, version))

    def server_apply(self, version: str) -> str:
        """Without --force-conflicts."""
        return self._kubectl("apply", "--server-side", "-f", "-", file=manifest(self.namespace, self.name, version))

    def helm_upgrade(self, version: str) -> str:
        """A chart whose one template is the file."""
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(folder)
            (chart / "templates").mkdir()
            (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
            (chart / "templates" / "all.yaml").write_text(json.dumps(manifest(self.namespace, self.name, version)))
            return run_tool(str(paths.HELM), "-n", self.namespace, "upgrade", "--install", self.name, folder)

    def set_image(self) -> str:
        return self._kubectl("set", "image", f"deployment/{self.name}", f"c={IMAGES[BAD]}")

    def set_env(self) -> str:
        return self._kubectl("set", "env", f"deployment/{self.name}", f"{EXTRA['name']}={EXTRA['value']}")

    def unset_env(self) -> str:
        """kubectl set env NAME-: it only takes away."""
        return self._kubectl("set", "env", f"deployment/{self.name}", "MODE-")

    def restart(self) -> str:
        """Its annotation has seconds, so two in one second are one."""
        return self._kubectl("rollout", "restart", f"deployment/{self.name}")

    def scale(self) -> str:
        return self._kubectl("scale", f"deployment/{self.name}", "--replicas=2")

    def raise_minimum(self) -> str:
        """An autoscaler whose least is 2: the controller scales within its period of 15 s."""
        return self._kubectl("apply", "-f", "-", file=autoscaler(self.namespace, self.name, 2))

    def _kubectl(self, *arguments: str, file: Object | None = None) -> str:
        text = json.dumps(file) if file else None
        return run_tool(str(paths.KUBECTL), "-n", self.namespace, *arguments, text=text)


@dataclass(frozen=True)
class Tool:
    """`put` writes a version's file, as this user always does; `change` is the harmful write; `replicas` after it."""

    name: str
    put: Callable[[User, str], str]
    change: Callable[[User], str]
    new_revision: bool = True  # False: the digest must stay
    only_adds: bool = False  # nothing that was there is changed, so restoring only takes away
    only_removes: bool = False  # the change itself only takes away
    replicas: int = 1


TOOLS = (
    Tool("client-side apply", User.client_apply, lambda u: u.client_apply(BAD)),
    Tool("server-side apply", User.server_apply, lambda u: u.server_apply(BAD)),
    Tool("set image", User.client_apply, User.set_image),
    Tool("set env", User.client_apply, User.set_env, only_adds=True),
    Tool("set env, removing", User.client_apply, User.unset_env, only_removes=True),
    Tool("rollout restart", User.client_apply, User.restart, new_revision=False),
    Tool("helm upgrade", User.helm_upgrade, lambda u: u.helm_upgrade(BAD)),
    Tool("scale", User.client_apply, User.scale, new_revision=False, replicas=2),
    Tool("HPA minimum", User.client_apply, User.raise_minimum, new_revision=False, replicas=2),
)
EVERY = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
WITH_A_FILE = pytest.mark.parametrize("tool", [TOOLS[0], TOOLS[6]], ids=lambda tool: tool.name)
FORCED = Tool("forced apply", User.client_apply, lambda u: u.client_apply(BAD))


@dataclass(frozen=True)
class Outcome:
    """Of one case. Digests of the good template: `original` as stored first, the others at the step of their name."""

    original: str
    read_back: str
    changed: str
    dry_run: str
    restored: str
    left_behind: list[str]  # paths that differ from the good template after the restore
    stale_refused: bool  # a restore that observed the Deployment before the change
    replica_set: str  # which one carries the pods after the restore
    replicas: int
    change_seen_as: str  # manager of the template in managedFields after the change …
    restore_seen_as: str  # … and after the restore
    after: dict[str, str]  # the user's next write → the version that it left, or the refusal


class Case:
    """One Deployment on its way through a case, on a connection of its own."""

    def __init__(self, kube: Kube, namespace: str, name: str, tool: Tool) -> None:
        self.kube, self.namespace, self.name, self.tool = kube, namespace, name, tool
        self.user = User(namespace, name)
        self.runtime = runtime_on(kube)
        self.path = f"/apis/apps/v1/namespaces/{namespace}/deployments"

    async def live(self) -> Object:
        return await self.kube.get(DEPLOYMENTS, self.namespace, self.name)

    async def settled(self, replicas: int) -> Object:
        """The Deployment when its controller has seen it and its pods run."""
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                live = await self.live()
                status = live.get("status", {})
                observed = status.get("observedGeneration", 0) >= live["metadata"]["generation"]
                counts = (status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas"))
                if observed and live["spec"]["replicas"] == replicas and all(count == replicas for count in counts):
                    return live
                await asyncio.sleep(0.2)

    async def restore(self, good: Object, observed: Object) -> None:
        """Last-good by opsloop's own action, as decided on this observation of the Deployment.

        While its pods are replaced, the Deployment's status moves its version faster than a busy machine writes. The queue
        then comes back, as here; what was observed is stale only once another revision is live.
        """
        self.runtime.cache.put("Deployment", observed)
        at = digest(observed["spec"]["template"])
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                try:
                    write = SetTemplate(self.name, at, good, digest(good))
                    return await execute(self.runtime, self.namespace, observed, write)
                except Conflict:
                    live = await self.live()
                    if digest(live["spec"]["template"]) != at:
                        raise
                    self.runtime.cache.put("Deployment", live)

    async def forced_apply(self, good: Object) -> None:
        """The alternative: a server-side apply of the good template that takes every field."""
        await self.kube.apply(
            DEPLOYMENTS, self.namespace, {"metadata": {"name": self.name}, "spec": {"template": good}}
        )

    async def refuses_stale(self, good: Object, observed: Object) -> bool:
        stale = Case(self.kube, self.namespace, self.name, self.tool)
        try:
            await stale.restore(good, observed)
        except Conflict:
            return True
        return False

    async def dry_run(self, method: str, path: str, body: Any, content: str = "application/json") -> Object:
        """The answer to a write that the API server carries out in every way but storing it."""
        query = {"dryRun": "All", "fieldManager": "opsloop"}
        status, answer = await self.kube.raw(method, path, query, {"Content-Type": content}, body)
        assert status in (200, 201), answer
        return dict(json.loads(answer))

    async def dry_digest(self, good: Object) -> str:
        ops = [{"op": "replace", "path": "/spec/template", "value": good}]
        answer = await self.dry_run("PATCH", f"{self.path}/{self.name}", ops, "application/json-patch+json")
        return digest(answer["spec"]["template"])

    async def clean_templates(self) -> dict[str, Object]:
        """version → template, as the files would be on a Deployment that nobody else ever wrote."""
        templates = {}
        for version in (GOOD, BAD, NEW):
            body = manifest(self.namespace, self.name, version)
            body["metadata"]["name"] = f"{self.name}-clean"
            templates[version] = (await self.dry_run("POST", self.path, body))["spec"]["template"]
        return templates

    async def replica_sets(self) -> dict[str, int]:
        sets = await self.kube.list(REPLICASETS, self.namespace, {"app": self.name})
        return {s["metadata"]["name"]: s["spec"]["replicas"] for s in sets}


async def play(case: Case) -> Outcome:
    """One case from the good template to the user's next writes."""
    tool, clean = case.tool, await case.clean_templates()
    assert not await asyncio.to_thread(tool.put, case.user, GOOD)
    first = await case.settled(1)
    original = digest(first["spec"]["template"])
    revision = EnsureRevision(case.name, original, 1, first["spec"]["template"])
    await execute(case.runtime, case.namespace, first, revision)
    (good,) = map(dict, (await observe.templates(runtime_on(case.kube), case.namespace, case.name)).values())
    first_sets = set(await case.replica_sets())

    assert not await asyncio.to_thread(tool.change, case.user)
    changed = await case.settled(tool.replicas)
    stale_refused = await case.refuses_stale(good, first)
    dry, sets = await case.dry_digest(good), set(await case.replica_sets())
    if tool is FORCED:
        await case.forced_apply(good)
    else:
        await case.restore(good, changed)
    restored = await case.settled(tool.replicas)
    return Outcome(
        original=original,
        read_back=digest(good),
        changed=digest(changed["spec"]["template"]),
        dry_run=dry,
        restored=digest(restored["spec"]["template"]),
        left_behind=differences(good, restored["spec"]["template"]),
        stale_refused=stale_refused,
        replica_set=carrier(first_sets, sets, await case.replica_sets()),
        replicas=restored["spec"]["replicas"],
        change_seen_as=template_manager(changed)["name"],
        restore_seen_as=template_manager(restored)["name"],
        after={} if tool is FORCED else await next_writes(case, good, clean),
    )


async def next_writes(case: Case, good: Object, clean: dict[str, Object]) -> dict[str, str]:
    """The user's next writes, each on the restored Deployment."""
    tool, user = case.tool, case.user

    async def version_after(write: Callable[..., str], *arguments: Any) -> str:
        complaint = await asyncio.to_thread(write, user, *arguments)
        if complaint:
            return CONFLICT if re.search('conflicts? with "opsloop"', complaint) else complaint
        now = digest((await case.live())["spec"]["template"])
        return {digest(template): version for version, template in clean.items()}.get(now, "mixed")

    after = {"the good file": await version_after(tool.put, GOOD)}
    after["a new file"] = await version_after(tool.put, NEW)
    await case.restore(good, await case.live())
    after["the same change"] = await version_after(tool.change)
    await case.restore(clean[NEW], await case.live())
    after["an old file after a promotion"] = await version_after(tool.put, GOOD)
    return after


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Paths at which two templates differ; list items go by name."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        keys = sorted(set(expected) | set(actual))
        return [d for k in keys for d in differences(expected.get(k), actual.get(k), f"{path}.{k}" if path else k)]
    both_lists = isinstance(expected, list) and isinstance(actual, list)
    if both_lists and all(isinstance(i, dict) and "name" in i for i in expected):
        return differences({i["name"]: i for i in expected}, {i["name"]: i for i in actual}, path)
    return [] if expected == actual else [path.replace("spec.containers.", "").replace("metadata.", "")]


def carrier(first: set[str], before: set[str], now: dict[str, int]) -> str:
    (active,) = [name for name, replicas in now.items() if replicas]
    if set(now) - before:
        return "a new one"
    return "the first again" if active in first else "the changed one"


Outcomes = dict[str, Outcome | BaseException]


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Outcomes]:
    """Outcome of each tool by name; all cases run in one namespace, a few at a time."""
    namespace = f"contract-{uuid.uuid4().hex[:8]}"
    assert not run_tool(str(paths.KUBECTL), "create", "namespace", namespace)
    try:
        yield asyncio.run(play_all(namespace))
    finally:
        run_tool(str(paths.KUBECTL), "delete", "namespace", namespace, "--wait=false")


async def play_all(namespace: str) -> Outcomes:
    """All cases on one connection, the autoscaler's first: it takes its time."""
    kube, some = await Kube.connect(KUBECONFIG), asyncio.Semaphore(AT_ONCE)

    async def play_one(tool: Tool, name: str) -> Outcome:
        async with some:
            return await play(Case(kube, namespace, name, tool))

    tools = [*reversed(TOOLS), FORCED]
    try:
        cases = (play_one(tool, f"case-{i}") for i, tool in enumerate(tools))
        results = await asyncio.gather(*cases, return_exceptions=True)
    finally:
        await kube.close()
    return dict(zip((tool.name for tool in tools), results, strict=True))


def outcome_of(outcomes: Outcomes, tool: Tool) -> Outcome:
    """Raises what ended the case."""
    outcome = outcomes[tool.name]
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@EVERY
def test_a_template_stored_as_a_revision_comes_back_with_the_same_digest(outcomes: Outcomes, tool: Tool) -> None:
    outcome = outcome_of(outcomes, tool)
    assert outcome.read_back == outcome.original


@EVERY
def test_a_dry_run_of_the_restore_tells_the_digest_stored_afterwards(outcomes: Outcomes, tool: Tool) -> None:
    outcome = outcome_of(outcomes, tool)
    assert outcome.dry_run == outcome.original == outcome.restored


@EVERY
def test_the_json_patch_gives_back_exactly_the_last_good_template(outcomes: Outcomes, tool: Tool) -> None:
    outcome = outcome_of(outcomes, tool)
    assert (outcome.restored, outcome.left_behind) == (outcome.original, [])


@EVERY
def test_the_restore_reuses_the_replicaset_of_last_good(outcomes: Outcomes, tool: Tool) -> None:
    assert outcome_of(outcomes, tool).replica_set == "the first again"


@EVERY
def test_the_restore_never_touches_replicas(outcomes: Outcomes, tool: Tool) -> None:
    assert outcome_of(outcomes, tool).replicas == tool.replicas


@EVERY
def test_only_a_changed_template_is_a_new_revision(outcomes: Outcomes, tool: Tool) -> None:
    """A restart, a scaling and an autoscaler are none."""
    outcome = outcome_of(outcomes, tool)
    assert (outcome.changed != outcome.original) == tool.new_revision


@EVERY
def test_a_restore_from_a_stale_observation_is_refused(outcomes: Outcomes, tool: Tool) -> None:
    """If another revision is live since. A restart, a scaling and an autoscaler make none: it looks again and goes on."""
    assert outcome_of(outcomes, tool).stale_refused == tool.new_revision


@pytest.mark.parametrize("tool", [t for t in TOOLS if t.new_revision and not t.only_adds], ids=lambda tool: tool.name)
def test_managed_fields_name_opsloop_after_its_write(outcomes: Outcomes, tool: Tool) -> None:
    """Except where the restore only took fields away."""
    assert outcome_of(outcomes, tool).restore_seen_as == "opsloop"


@pytest.mark.parametrize("tool", [t for t in TOOLS if t.only_removes], ids=lambda tool: tool.name)
def test_managed_fields_do_not_name_a_writer_that_only_took_away(outcomes: Outcomes, tool: Tool) -> None:
    assert outcome_of(outcomes, tool).change_seen_as == "kubectl-client-side-apply", "an earlier one is named"


@EVERY
def test_the_good_file_applied_again_changes_nothing(outcomes: Outcomes, tool: Tool) -> None:
    assert outcome_of(outcomes, tool).after["the good file"] == GOOD


@WITH_A_FILE
def test_another_file_takes_the_template_from_the_release(outcomes: Outcomes, tool: Tool) -> None:
    """Client-side apply and Helm: a change by hand, also an old file after a promotion."""
    after = outcome_of(outcomes, tool).after
    assert (after["a new file"], after["the same change"]) == (NEW, BAD)
    assert after["an old file after a promotion"] == GOOD


def test_server_side_apply_of_another_file_is_refused(outcomes: Outcomes) -> None:
    after = outcome_of(outcomes, TOOLS[1]).after
    refused = {file for file, version in after.items() if version == CONFLICT}
    assert refused == {"a new file", "the same change", "an old file after a promotion"}


def test_a_forced_server_side_apply_is_no_rollback(outcomes: Outcomes) -> None:
    """It leaves behind the fields that others added."""
    outcome = outcome_of(outcomes, FORCED)
    assert outcome.restored != outcome.original
    assert outcome.left_behind
