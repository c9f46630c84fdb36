"""Two owners of one Deployment: what people's tools and opsloop's restore do to each other.

For each way of changing a Deployment: the good template is stored as a ControllerRevision and read back by opsloop's own
code, the user makes a change, and last-good is restored, once by opsloop's JSON patch of the whole template and once, for
comparison, by a forced server-side apply. Then the user goes on with an old file, a new one, and the same change again.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from e2e.experiments import orphans
from e2e.experiments.lab import differences, dry_run, namespace, require, show, world_of
from e2e.experiments.ways import BAD, GOOD, NEW, WAYS, User, Way, manifest
from opsloop.adapters.kube.kube import Kube
from opsloop.core.actions import EnsureRevision, SetTemplate
from opsloop.core.release.revisions import digest
from opsloop.errors import Conflict
from opsloop.shell.ports import DEPLOYMENTS, REPLICASETS, Object
from opsloop.shell.reconcile import observe
from opsloop.shell.reconcile.apply import execute
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.cache import template_manager

NS = "exp-coownership"
PATH = f"/apis/apps/v1/namespaces/{NS}/deployments"
JSON_PATCH, FORCED_APPLY = "JSON patch", "forced apply"


@dataclass
class Case:
    """One Deployment on its way through the experiment."""

    kube: Kube
    way: Way
    user: User
    world: Runtime
    wanted: int = 1  # replicas

    @property
    def name(self) -> str:
        """Of the Deployment, and of the Release that would look after it."""
        return self.user.name

    async def live(self) -> Object:
        """The Deployment now."""
        return await self.kube.get(DEPLOYMENTS, NS, self.name)

    async def settled(self) -> Object:
        """The Deployment when its controller has seen it and its pods run."""
        for _ in range(300):
            found = await self.live()
            status, wanted = found.get("status", {}), found["spec"]["replicas"]
            seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            counts = (status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas"))
            if seen and wanted == self.wanted and all(count == wanted for count in counts):
                return found
            await asyncio.sleep(0.2)
        raise TimeoutError(f"{self.name} did not settle: {found.get('status')}")

    async def stored(self) -> Object:
        """The good template as it comes back from its ControllerRevision in a new process."""
        found = await observe.templates(world_of(self.kube), NS, self.name)
        (template,) = found.values()
        return dict(template)

    async def sets(self) -> dict[str, Object]:
        """ReplicaSets of the Deployment by name."""
        return {s["metadata"]["name"]: s for s in await self.kube.list(REPLICASETS, NS, {"app": self.name})}


async def clean_templates(kube: Kube, name: str) -> dict[str, Object]:
    """version → template, as the files would be on a Deployment that nobody else ever wrote."""
    found = {}
    for version in (GOOD, BAD, NEW):
        body = manifest(NS, name, version)
        body["metadata"]["name"] = f"{name}-clean"
        status, answer = await dry_run(kube, "POST", PATH, body)
        assert status == 201, answer
        found[version] = answer["spec"]["template"]
    return found


async def restore(case: Case, how: str, good: Object) -> None:
    """Last-good by opsloop's own action, or by the alternative."""
    live = await case.live()
    case.world.cache.put("Deployment", live)
    if how == JSON_PATCH:
        at = digest(live["spec"]["template"])
        await execute(case.world, NS, live, SetTemplate(case.name, at, good, digest(good)))
    else:
        body = {"metadata": {"name": case.name}, "spec": {"template": good}}
        await case.kube.apply(DEPLOYMENTS, NS, body)


async def stale_is_refused(case: Case, seen: Object, good: Object) -> bool:
    """A restore that observed the Deployment before the change."""
    world = world_of(case.kube)
    world.cache.put("Deployment", seen)
    try:
        await execute(world, NS, seen, SetTemplate(case.name, digest(seen["spec"]["template"]), good, digest(good)))
    except Conflict:
        return True
    return False


async def after(case: Case, complaint: str, clean: dict[str, Object], bad: str) -> str:
    """What the user's next write left on the Deployment, in words."""
    if complaint:
        return "refused: conflict with opsloop" if re.search('conflicts? with "opsloop"', complaint) else complaint[:60]
    now = digest((await case.live())["spec"]["template"])
    known = {bad: "changed again", **{digest(template): version for version, template in clean.items()}}
    return known.get(now, "a mixture")


async def run(kube: Kube, way: Way, how: str, clean: dict[str, Object], name: str) -> dict[str, Any]:
    """One row."""
    case = Case(kube, way, User(NS, name), world_of(kube))
    assert not way.put(case.user, GOOD)
    seen = await case.settled()
    original = digest(seen["spec"]["template"])
    await execute(case.world, NS, seen, EnsureRevision(name, original, 1, seen["spec"]["template"]))
    good, first = await case.stored(), set(await case.sets())
    row: dict[str, Any] = {"change by": way.name, "restore by": how, "read back": _yes(digest(good) == original)}

    assert not way.change(case.user)
    case.wanted = way.replicas  # an autoscaler takes its time
    changed = await case.settled()
    bad = digest(changed["spec"]["template"])
    row["digest"] = "kept" if bad == original else "new"
    row["seen as"] = template_manager(changed)["name"]
    row["stale write"] = "refused" if await stale_is_refused(case, seen, good) else "no-op"
    row["dry run"] = _yes(await dry_digest(case, good) == original)

    before = await case.sets()
    await restore(case, how, good)
    restored = await case.settled()
    row["restored"] = _yes(digest(restored["spec"]["template"]) == original)
    row["left behind"] = ", ".join(differences(good, restored["spec"]["template"])) or "-"
    row["ReplicaSet"] = replica_set(first, before, await case.sets())
    row["replicas"] = restored["spec"]["replicas"]
    row["then seen as"] = template_manager(restored)["name"]
    return {**row, **(await goes_on(case, good, clean, bad) if how == JSON_PATCH else {})}


async def goes_on(case: Case, good: Object, clean: dict[str, Object], bad: str) -> dict[str, str]:
    """The user's next writes, each on the restored Deployment."""
    said = case.way.put(case.user, GOOD)
    row = {"old file": await after(case, said, clean, bad)}
    said = case.way.put(case.user, NEW)
    row["new file"] = await after(case, said, clean, bad)
    await restore(case, JSON_PATCH, good)
    said = case.way.change(case.user)
    row["same change"] = await after(case, said, clean, bad)
    await restore(case, JSON_PATCH, clean[NEW])
    said = case.way.put(case.user, GOOD)
    row["promotion of new, old file"] = await after(case, said, clean, bad)
    return row


async def dry_digest(case: Case, good: Object) -> str:
    """What the API server would store."""
    ops = [{"op": "replace", "path": "/spec/template", "value": good}]
    status, answer = await dry_run(case.kube, "PATCH", f"{PATH}/{case.name}", ops, "application/json-patch+json")
    assert status == 200, answer
    return digest(answer["spec"]["template"])


def replica_set(first: set[str], before: dict[str, Object], now: dict[str, Object]) -> str:
    """Which ReplicaSet carries the pods after the restore."""
    (active,) = [name for name, s in now.items() if s["spec"]["replicas"]]
    if set(now) - set(before):
        return "a new one"
    return "the first again" if active in first else "the changed one"


def _yes(holds: bool) -> str:
    return "yes" if holds else "NO"


def check(rows: list[dict[str, Any]]) -> None:
    """What opsloop relies on, over all ways."""
    print()
    ours = [
        (way, row) for way in WAYS for row in rows if row["change by"] == way.name and row["restore by"] == JSON_PATCH
    ]
    theirs = [row for row in rows if row["restore by"] == FORCED_APPLY]
    for key, sentence in (("read back", "a template stored as a ControllerRevision comes back with the same digest"),
                          ("dry run", "a dry run of the restore says the digest that is stored afterwards"),
                          ("restored", "the JSON patch gives back exactly the last-good digest")):  # fmt: skip
        require(all(row[key] == "yes" for _, row in ours), sentence)
    require(all(row["left behind"] == "-" for _, row in ours), "it leaves no field behind")
    require(
        all(row["ReplicaSet"] == "the first again" for _, row in ours),
        "it reuses the ReplicaSet of last-good, no new one",
    )
    require(all(row["replicas"] == way.replicas for way, row in ours), "it never touches replicas: HPA and scale go on")
    kept = all((row["digest"] == "kept") != way.new_revision for way, row in ours)
    require(kept, "restart, scale and HPA are no new revision; every other way is")
    refused = all((row["stale write"] == "refused") == way.touches_template for way, row in ours)
    require(
        refused,
        "a restore from a stale observation is refused whenever the template was written since, also by a restart",
    )
    named = [row["then seen as"] == "opsloop" for way, row in ours if way.new_revision and not way.only_adds]
    require(all(named), "our write is seen as opsloop's, except where it only took fields away")
    blind = [row["seen as"] for way, row in ours if way.only_removes]
    require(
        blind == ["kubectl-client-side-apply"], "nor is a user's write that only takes away: an earlier one is named"
    )
    require(all(row["old file"] == GOOD for _, row in ours), "the good file applied again afterwards changes nothing")
    require(any(row["restored"] == "NO" for row in theirs), "a forced server-side apply does not: it is no alternative")


async def main() -> None:
    """All rows, then ControllerRevisions."""
    rows: list[dict[str, Any]] = []
    async with namespace(NS) as kube:
        for i, way in enumerate(WAYS):
            for how in (JSON_PATCH, FORCED_APPLY):
                name = f"case-{i}-{how[0].lower()}"
                clean = await clean_templates(kube, name)
                rows.append(await run(kube, way, how, clean, name))
                await kube.delete(DEPLOYMENTS, NS, name)
    first = ("change by", "digest", "seen as", "stale write", "read back", "dry run")
    second = ("change by", "restore by", "restored", "left behind", "ReplicaSet", "replicas", "then seen as")
    third = ("change by", "old file", "new file", "same change", "promotion of new, old file")
    ours = [row for row in rows if row["restore by"] == JSON_PATCH]
    show("The change", [{k: row[k] for k in first} for row in ours])
    show("The restore of last-good", [{k: row[k] for k in second} for row in rows])
    show("What the user does next, after our restore", [{k: row[k] for k in third} for row in ours])
    check(rows)
    await orphans.main()


if __name__ == "__main__":
    asyncio.run(main())
