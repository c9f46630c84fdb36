"""An API server in memory: just what the ports Reader and Writer promise, no more.

The contract suite (tests/contract/test_kube.py) runs the same tests on this and on the real one.
"""

import asyncio
import itertools
import json
import marshal
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from opsloop.api.meta import format_time
from opsloop.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from opsloop.names import FIELD_MANAGER
from opsloop.shell import ports
from opsloop.shell.ports import DEPLOYMENTS, PODS, Labels, Object, Resource
from opsloop.simulator.fakes.clock import FakeClock

T = TypeVar("T")
RESOURCES = {value.kind: value for value in vars(ports).values() if isinstance(value, Resource)}
WITH_STATUS = {
    "releases",
    "incidents",
    "runbooks",
    "evalcases",
    "deployments",
    "replicasets",
    "pods",
    "services",
    "httproutes",
}


class FakeDeath(BaseException):
    """The process died here; not an Exception, so that no handler in the product can survive it."""


@dataclass(frozen=True)
class Write:
    """One call that tried to write; status writes have the verb `replace_status`."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    body: Any


@dataclass(frozen=True, eq=False)
class Follower:
    """One watch, with what it has not reported yet."""

    plural: str
    namespace: str
    labels: Mapping[str, str]
    changed: asyncio.Queue[Object] = field(default_factory=asyncio.Queue)

    def see(self, plural: str, namespace: str, meta: Object) -> None:
        if (
            plural == self.plural
            and self.namespace in ("", namespace)
            and self.labels.items() <= meta.get("labels", {}).items()
        ):
            self.changed.put_nowait(clone(meta))


class FakeCluster:
    """Reader, Writer and Watcher over a dict. `writes` lists every write that took effect, in order."""

    def __init__(self, *objects: Object, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.writes: list[Write] = []
        self.fence: Callable[[], None] = lambda: None
        self.fail_next: list[Exception] = []  # raised one per call (read or write), before it takes effect
        self.forbidden = {"secrets"}  # kinds whose metadata may not be read: by default, as in the chart
        self.admission: Callable[[Object], Object] = lambda obj: (
            obj
        )  # what webhooks and defaults make of a written spec
        self.webhook_without_dry_run = ""  # name of a webhook with side effects: the server refuses dry runs
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._applied: dict[tuple[str, str, str], Object] = {}
        self._snapshot: dict[tuple[str, str, str], Object] | None = None
        self._followers: list[Follower] = []
        self._versions = itertools.count(1)
        self._deadline: tuple[int, bool] | None = None
        for item in objects:
            self.seed(item)

    # what a test does to the world, unlogged

    def seed(self, body: Object) -> Object:
        """Put an object, with its status, as somebody else would have (create or overwrite)."""
        resource, namespace = RESOURCES[body["kind"]], body["metadata"].get("namespace", "")
        return self._store(resource, namespace, self._admitted(resource, namespace, clone(body)))

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Somebody else deletes it."""
        self._objects.pop((resource.plural, namespace, name), None)

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """What is stored now, whatever `stale_reads` says."""
        return clone(self._objects.get((resource.plural, namespace, name)))

    def written(self, verb: str = "", plural: str = "") -> list[Write]:
        """The logged writes of one verb and/or plural."""
        return [w for w in self.writes if verb in ("", w.verb) and plural in ("", w.resource.plural)]

    @property
    def stale_reads(self) -> bool:
        """While True, get and list answer from the moment at which it was set."""
        return self._snapshot is not None

    @stale_reads.setter
    def stale_reads(self, value: bool) -> None:
        self._snapshot = clone(self._objects) if value else None

    def die_at(self, n: int, after: bool = False) -> None:
        """The n-th write from now (1 = the next) and all later ones raise FakeDeath; `after` = it took effect first."""
        self._deadline = (n, after)

    def revive(self) -> None:
        """A new process: writes work again."""
        self._deadline = None

    # Reader

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._maybe_fail()
        source = self._objects if self._snapshot is None else self._snapshot
        found = source.get((resource.plural, namespace, name))
        if found is None:
            raise NotFound(f"{resource.plural} {namespace}/{name} not found")
        return clone(found)

    async def metadata(self, resource: Resource, namespace: str, name: str) -> Object:
        if resource.plural in self.forbidden:
            self._maybe_fail()
            raise Forbidden(f'{resource.plural} "{name}" is forbidden')
        found = await self.get(resource, namespace, name)
        return {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": found["metadata"]}

    async def list(self, resource: Resource, namespace: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        self._maybe_fail()
        source = self._objects if self._snapshot is None else self._snapshot
        return [
            clone(item)
            for (plural, ns, _), item in sorted(source.items())
            if plural == resource.plural
            and namespace in ("", ns)
            and (labels or {}).items() <= item["metadata"].get("labels", {}).items()
        ]

    # Watcher

    async def watch(
        self, resource: Resource, namespace: str, labels: Mapping[str, str]
    ) -> AsyncGenerator[Sequence[Object], None]:
        follower = Follower(resource.plural, namespace, labels)
        self._followers.append(follower)
        try:
            yield [item["metadata"] for item in await self.list(resource, namespace, labels)]
            while True:
                yield [await follower.changed.get()]
        finally:
            self._followers.remove(follower)

    # Writer

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        def effect() -> Object:
            if self._key(resource, namespace, body) in self._objects:
                raise AlreadyExists(f"{resource.plural} {namespace}/{body['metadata']['name']} already exists")
            fresh = clone(body)
            if resource.plural in WITH_STATUS:
                fresh.pop("status", None)
            return self._store(resource, namespace, self._admitted(resource, namespace, fresh))

        return self._write("create", resource, namespace, body["metadata"]["name"], body, effect)

    async def apply(self, resource: Resource, namespace: str, body: Object) -> Object:
        def effect() -> Object:
            key = self._key(resource, namespace, body)
            old = clone(self._objects.get(key, {}))
            if (seen := body["metadata"].get("resourceVersion")) and seen != old.get("metadata", {}).get(
                "resourceVersion"
            ):
                raise Conflict(
                    f"{resource.plural} {namespace}/{body['metadata']['name']}: resourceVersion {seen} is stale"
                )
            _prune(old, self._applied.get(key, {}), body)
            self._applied[key] = clone(body)
            return self._store(resource, namespace, self._admitted(resource, namespace, _merge(old, body)))

        return self._write("apply", resource, namespace, body["metadata"]["name"], body, effect)

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str = "", version: str = "", orphan: bool = False
    ) -> None:
        def effect() -> Object:
            key = (resource.plural, namespace, name)
            found = self._objects.get(key)
            if found and version not in ("", found["metadata"]["resourceVersion"]):
                raise Conflict(f"{resource.plural} {namespace}/{name}: resourceVersion {version} is stale")
            if found and uid in ("", found["metadata"]["uid"]):
                if orphan:
                    self._orphan(namespace, name)
                del self._objects[key]
                self._applied.pop(key, None)
            return {}

        self._write("delete", resource, namespace, name, {"uid": uid}, effect)

    def _orphan(self, namespace: str, owner: str) -> None:
        """Pods of a ReplicaSet have no owner any more."""
        for key, pod in list(self._objects.items()):
            references = pod["metadata"].get("ownerReferences") or ()
            if key[:2] == ("pods", namespace) and any(one["name"] == owner for one in references):
                meta = {k: v for k, v in pod["metadata"].items() if k != "ownerReferences"}
                self.seed({**pod, "metadata": meta})

    async def json_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        ops: Sequence[Object],
        dry_run: bool = False,
        strict: bool = False,
    ) -> Object:
        def effect() -> Object:
            return self._store(resource, namespace, self._patched(resource, namespace, name, ops))

        if dry_run:
            self.fence()
            self._maybe_fail()
            if self.webhook_without_dry_run:
                raise Invalid(f'admission webhook "{self.webhook_without_dry_run}" does not support dry run')
            return self._patched(resource, namespace, name, ops)
        return self._write("json_patch", resource, namespace, name, list(ops), effect)

    async def replace(self, resource: Resource, namespace: str, body: Object) -> Object:
        def effect() -> Object:
            old = self._current(resource, namespace, body)
            new = clone(body)
            if resource.plural in WITH_STATUS:
                _keep(new, old, "status")
            return self._store(resource, namespace, self._admitted(resource, namespace, new))

        return self._write("replace", resource, namespace, body["metadata"]["name"], body, effect)

    async def replace_status(self, resource: Resource, namespace: str, body: Object) -> Object:
        def effect() -> Object:
            new = self._current(resource, namespace, body)
            _keep(new, body, "status")
            return self._store(resource, namespace, clone(new))

        return self._write("replace_status", resource, namespace, body["metadata"]["name"], body, effect)

    async def patch_pod_condition(
        self, namespace: str, pod: str, uid: str, condition: Object, labels: Labels | None = None
    ) -> Object:
        def effect() -> Object:
            new = self._existing(PODS, namespace, pod)
            if uid not in ("", new["metadata"]["uid"]):
                raise Conflict(f"pod {namespace}/{pod} is another one: uid {new['metadata']['uid']}")
            conditions = new.setdefault("status", {}).setdefault("conditions", [])
            old = next((c for c in conditions if c["type"] == condition["type"]), None)
            if old is None:
                conditions.append(clone(condition))
            else:
                old.update(clone(condition))
            if labels:
                found = {**(new["metadata"].get("labels") or {}), **labels}
                new["metadata"]["labels"] = {key: value for key, value in found.items() if value is not None}
            return self._store(PODS, namespace, new)

        return self._write("patch_pod_condition", PODS, namespace, pod, condition, effect)

    # inside

    def _write(
        self, verb: str, resource: Resource, namespace: str, name: str, body: Any, effect: Callable[[], Object]
    ) -> Object:
        self.fence()
        self._maybe_fail()
        left, after = self._deadline or (0, False)
        if self._deadline:
            self._deadline = (left - 1, after)
            if left <= 1 and not (after and left == 1):
                raise FakeDeath(f"died before {verb} {resource.plural} {namespace}/{name}")
        result = clone(effect())
        self.writes.append(Write(verb, resource, namespace, name, clone(body)))
        if self._deadline and left == 1:
            raise FakeDeath(f"died after {verb} {resource.plural} {namespace}/{name}")
        return result

    def _patched(self, resource: Resource, namespace: str, name: str, ops: Sequence[Object]) -> Object:
        """The object as it would be stored."""
        old = self._existing(resource, namespace, name)
        try:
            new = json_patch(old, ops)
        except (KeyError, IndexError, AssertionError, ValueError) as error:
            raise Conflict(f"JSON patch of {resource.plural} {namespace}/{name} failed: {error}") from error
        if resource.plural in WITH_STATUS:
            _keep(new, old, "status")
        new = self._admitted(resource, namespace, new)
        if resource == DEPLOYMENTS:
            _note_manager(new, old, format_time(self.clock.now()))
        return new

    def _admitted(self, resource: Resource, namespace: str, new: Object) -> Object:
        """What admission makes of an object whose spec is new; a write that leaves the spec alone is not rewritten."""
        old = self._objects.get(self._key(resource, namespace, new), {})
        return new if old.get("spec") == new.get("spec") else self.admission(new)

    def _maybe_fail(self) -> None:
        if self.fail_next:
            raise self.fail_next.pop(0)

    @staticmethod
    def _key(resource: Resource, namespace: str, body: Object) -> tuple[str, str, str]:
        return resource.plural, namespace, body["metadata"]["name"]

    def _existing(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.find(resource, namespace, name)
        if found is None:
            raise NotFound(f"{resource.plural} {namespace}/{name} not found")
        return found

    def _current(self, resource: Resource, namespace: str, body: Object) -> Object:
        old = self._existing(resource, namespace, body["metadata"]["name"])
        seen = body["metadata"].get("resourceVersion", "")
        if seen not in ("", old["metadata"]["resourceVersion"]):
            raise Conflict(f"{resource.plural} {namespace}/{body['metadata']['name']}: resourceVersion {seen} is stale")
        return old

    def _store(self, resource: Resource, namespace: str, new: Object) -> Object:
        key = self._key(resource, namespace, new)
        old = self._objects.get(key)
        version = next(self._versions)
        meta = new["metadata"] = dict(new["metadata"])
        kept = (
            old["metadata"]
            if old
            else {"uid": meta.get("uid") or f"uid-{version}", "creationTimestamp": format_time(self.clock.now())}
        )
        meta.update(namespace=namespace, uid=kept["uid"], creationTimestamp=kept["creationTimestamp"])
        changed = old is None or old.get("spec") != new.get("spec")
        meta["generation"] = (old or {}).get("metadata", {}).get("generation", meta.get("generation", 1) - 1) + changed
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)
        meta["resourceVersion"] = old["metadata"]["resourceVersion"] if old else ""
        if new != old:  # like the real one: a write that changes nothing makes no new version
            meta["resourceVersion"] = str(version)
        self._objects[key] = new
        for follower in self._followers:
            follower.see(resource.plural, namespace, meta)
        return new


def clone(value: T) -> T:
    """A deep copy of JSON. marshal is far faster than copy.deepcopy; its version 2 knows no references, so that nothing stays shared."""
    copied: T = marshal.loads(marshal.dumps(value, 2))  # type: ignore[arg-type]
    return copied


def _keep(new: Object, source: Object, field: str) -> None:
    new.pop(field, None)
    if field in source:
        new[field] = clone(source[field])


def _note_manager(deployment: Object, old: Object, at: str) -> None:
    """As the real one notes who wrote the template and who paused it: one entry per manager, the latest time."""
    new, before = deployment["spec"], old["spec"]
    if not new.get("paused"):
        new.pop("paused", None)  # as Go's omitempty does
    changed = {f"f:{key}" for key in ("template", "paused") if new.get(key) != before.get(key)}
    if not changed:
        return
    kept: list[Object] = []
    for entry in deployment["metadata"].get("managedFields") or []:
        spec = {k: v for k, v in entry["fieldsV1"].get("f:spec", {}).items() if k not in changed}
        if spec and entry["manager"] != FIELD_MANAGER:
            kept.append({**entry, "fieldsV1": {**entry["fieldsV1"], "f:spec": spec}})
        elif entry["manager"] == FIELD_MANAGER:
            changed |= set(spec)
        elif not entry["fieldsV1"].get("f:spec"):
            kept.append(entry)
    if not new.get("paused"):
        changed.discard("f:paused")
    fields: Object = {"f:spec": {field: {} for field in sorted(changed)}}
    deployment["metadata"]["managedFields"] = [*kept, {"manager": FIELD_MANAGER, "time": at, "fieldsV1": fields}]


def _merge(old: Object, new: Object) -> Object:
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(old.get(key), dict)
        old[key] = _merge(old[key], value) if both else clone(value)
    return old


def _prune(stored: Object, before: Object, after: Object) -> None:
    """Remove what the earlier apply set and this one no longer names."""
    for key in before.keys() & stored.keys():
        if key not in after:
            del stored[key]
        elif isinstance(before[key], dict) and isinstance(stored[key], dict) and isinstance(after[key], dict):
            _prune(stored[key], before[key], after[key])


def json_patch(document: Object, ops: Iterable[Object]) -> Object:
    """RFC 6902's add, replace, remove and test on a copy. Raises KeyError, IndexError or AssertionError."""
    result: Any = {"": clone(document)}
    for op in ops:
        *path, last = [p.replace("~1", "/").replace("~0", "~") for p in op["path"].split("/")]
        parent = result
        for part in path:
            parent = parent[int(part) if isinstance(parent, list) else part]
        _operate(parent, last, op)
    return result[""]  # type: ignore[no-any-return]


def _operate(parent: Any, last: str, op: Object) -> None:
    index: Any = last if isinstance(parent, dict) else len(parent) if last == "-" else int(last)
    match op["op"]:
        case "add" if isinstance(parent, list):
            parent.insert(index, clone(op["value"]))
        case "add":
            parent[index] = clone(op["value"])
        case "replace":
            parent[index]  # must exist
            parent[index] = clone(op["value"])
        case "remove":
            del parent[index]
        case "test":
            assert parent[index] == op["value"], f"testing value {op['path']} failed"
            assert not _spelled_differently(op["value"]), f"testing value {op['path']} failed (bytes of JSON)"
        case other:
            raise ValueError(f"the fake does not know {other}")


def _spelled_differently(value: Any) -> bool:
    """The API server compares the bytes of JSON, and spells these as escapes where a client need not
    (tests/contract/test_kube.py holds the real one to it). Only strings inside of a document are compared so."""
    return isinstance(value, dict | list) and any(
        c in "&<>" or not c.isascii() for c in json.dumps(value, ensure_ascii=False)
    )
