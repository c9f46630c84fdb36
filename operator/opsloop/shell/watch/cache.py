"""Cache of watched objects, by kind, namespace and name, filled by watches, LISTs and opsloop's own writes.

Objects in it are read only: copy before a change. DELETED events are not trusted to be complete: `prune` compares
with a LIST (kopf reports no deletion that happened during a relist).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import Model
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.shell.ports import NamespacedName, Object, ObjectKey

M = TypeVar("M", bound=Model)
Report = Callable[[str, str, str, str], None]  # (kind, namespace, name, error)
MODELS: Mapping[str, type[Model]] = {"Release": Release, "Incident": Incident, "Runbook": Runbook, "EvalCase": EvalCase}
DELETED_KEPT = 1024  # uids of deleted objects that are kept, so that a late event does not bring one back
AUTOSCALER = "kube-controller-manager"  # field manager of the HorizontalPodAutoscaler controller, which KEDA uses too
SYNTHETIC = "opsloop"  # our own key in cached Deployments and Incidents


def _nothing(kind: str, namespace: str, name: str, message: str) -> None:
    """Does nothing."""


@dataclass(slots=True)
class _Entry:
    obj: Object
    parsed: Model | None = None
    tried: bool = False


class Cache:
    """Objects as dicts, and as models of the four kinds. `report` is called once per version that cannot be parsed."""

    def __init__(self, report: Report = _nothing) -> None:
        self._kinds: dict[str, dict[NamespacedName, _Entry]] = {}
        # Of what every look of an Incident lists: (kind, namespace) → its entries by name, until one of them changes
        self._ordered: dict[tuple[str, str | None], tuple[_Entry, ...]] = {}
        self._parsed: dict[tuple[str, str | None], tuple[Any, ...]] = {}  # the same as models, where they can be parsed
        self._deleted: dict[str, None] = {}
        self._report = report

    def put(self, kind: str, obj: Object) -> bool:
        """Stores an object as the API server returned it; False where the cache has a newer one or saw its deletion.

        A Deployment gets obj["opsloop"]["templateManager"] = {"name", "time"}: the last writer of its pod template;
        "pausedManager", who paused it; and "scaled", the same of its number of pods, with "from" and "to" where it changed while this cache had it. An Incident
        gets the last writers of "assignee" and "notes" likewise.
        """
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        old = self._kinds.setdefault(kind, {}).get(key)
        if meta.get("uid") in self._deleted or (old and not _newer(obj, old.obj)):
            return False
        self._kinds[kind][key] = _Entry(_compact(kind, obj, old.obj if old else None))
        self._disorder(kind, key[0])
        return True

    def drop(self, kind: str, namespace: str, name: str, uid: str = "") -> None:
        """Drops a deleted object; with `uid`, only that very object."""
        entries = self._kinds.get(kind, {})
        entry = entries.get((namespace, name))
        if entry and uid in ("", entry.obj["metadata"].get("uid")):
            del entries[namespace, name]
            self._disorder(kind, namespace)
        if deleted := uid or (entry.obj["metadata"].get("uid", "") if entry else ""):
            self._deleted[deleted] = None
            while len(self._deleted) > DELETED_KEPT:
                del self._deleted[next(iter(self._deleted))]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The stored object, or None."""
        entry = self._kinds.get(kind, {}).get((namespace, name))
        return entry.obj if entry else None

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """All stored objects of a kind, by namespace and name."""
        return [entry.obj for entry in self._entries(kind, namespace)]

    def uids(self, kind: str) -> dict[NamespacedName, str]:
        """(namespace, name) → uid of all objects of a kind: the `before` of `prune`."""
        return {key: entry.obj["metadata"].get("uid", "") for key, entry in self._kinds.get(kind, {}).items()}

    def prune(
        self, kind: str, live: Collection[NamespacedName], before: Mapping[NamespacedName, str]
    ) -> tuple[Object, ...]:
        """Drops objects that were cached before a LIST and are not in it (`live`); returns them.

        An object that a watch added during the LIST stays: it is not in `before`, or has another uid there.
        """
        entries = self._kinds.get(kind, {})
        missing = [
            key
            for key, uid in before.items()
            if key not in live and key in entries and entries[key].obj["metadata"].get("uid", "") == uid
        ]
        dropped = tuple(entries[key].obj for key in missing)
        for namespace, name in missing:
            self.drop(kind, namespace, name, before[namespace, name])
        return dropped

    def releases(self, namespace: str | None = None) -> tuple[Release, ...]:
        """Releases that can be parsed."""
        return self._models(Release, namespace)

    def incidents(self, namespace: str | None = None) -> tuple[Incident, ...]:
        """Incidents that can be parsed."""
        return self._models(Incident, namespace)

    def unreadable_incidents(self, namespace: str) -> tuple[Object, ...]:
        """Incidents that cannot be parsed: their names are taken all the same."""
        entries = self._entries("Incident", namespace)
        return tuple(entry.obj for entry in entries if self._parse(Incident, entry) is None)

    def runbooks(self, namespace: str | None = None) -> tuple[Runbook, ...]:
        """Runbooks that can be parsed."""
        return self._models(Runbook, namespace)

    def evalcases(self, namespace: str | None = None) -> tuple[EvalCase, ...]:
        """EvalCases that can be parsed."""
        return self._models(EvalCase, namespace)

    def parse_some(self, kinds: Collection[type[Model]], most: int) -> bool:
        """Parses up to so many objects of these kinds that nobody has asked for yet; True where there are more."""
        unread = ((kind, e) for kind in kinds for e in self._kinds.get(kind.__name__, {}).values() if not e.tried)
        for kind, entry in islice(unread, most):
            self._parse(kind, entry)
        return next(unread, None) is not None

    def model(self, model: type[M], namespace: str, name: str) -> M | None:
        """One object of the four kinds; None where it is not cached or cannot be parsed."""
        entry = self._kinds.get(model.__name__, {}).get((namespace, name))
        parsed = self._parse(model, entry) if entry else None
        return parsed if isinstance(parsed, model) else None

    def keys(self) -> tuple[ObjectKey, ...]:
        """(kind, namespace, name) of everything that opsloop reconciles, and one ("Namespace", ns, ns) per namespace."""
        own = [(kind, *key) for kind in MODELS for key in sorted(self._kinds.get(kind, {}))]
        return (*own, *(("Namespace", namespace, namespace) for namespace in sorted({key[1] for key in own})))

    def _entries(self, kind: str, namespace: str | None) -> tuple[_Entry, ...]:
        if (kind, namespace) not in self._ordered:
            entries = self._kinds.get(kind, {})
            keys = sorted(key for key in entries if namespace in (None, key[0]))
            self._ordered[kind, namespace] = tuple(entries[key] for key in keys)
        return self._ordered[kind, namespace]

    def _disorder(self, kind: str, namespace: str) -> None:
        for known in (self._ordered, self._parsed):
            known.pop((kind, namespace), None)
            known.pop((kind, None), None)

    def _models(self, model: type[M], namespace: str | None) -> tuple[M, ...]:
        key = (model.__name__, namespace)
        if key not in self._parsed:
            parsed = (self._parse(model, entry) for entry in self._entries(*key))
            self._parsed[key] = tuple(item for item in parsed if isinstance(item, model))
        return self._parsed[key]

    def _parse(self, model: type[Model], entry: _Entry) -> Model | None:
        if not entry.tried:
            entry.tried = True
            try:
                entry.parsed = model.model_validate(entry.obj)
            except ValidationError as error:
                meta = entry.obj["metadata"]
                self._report(model.__name__, meta.get("namespace", ""), meta["name"], _first(error))
        return entry.parsed


def template_manager(obj: Object) -> dict[str, str]:
    """{"name", "time"} of the field manager that last wrote `.spec.template`; empty where managedFields do not say.

    Status writes (kube-controller-manager's) also list fields, but never f:spec.f:template.
    """
    return _last_writer(
        obj,
        lambda entry, spec: (
            "f:template" in spec and not entry.get("subresource") and entry.get("manager") != "kube-controller-manager"
        ),
    )


def paused_manager(obj: Object) -> dict[str, str]:
    """{"name", "time"} of the field manager that paused the Deployment; empty where nobody did."""
    return _writer_of(obj, "paused") if obj.get("spec", {}).get("paused") else {}


def paused_by(cached: Object) -> str:
    """The field manager that paused this cached Deployment; empty where nobody did, or it is not known."""
    return str(((cached.get(SYNTHETIC) or {}).get("pausedManager") or {}).get("name", ""))


def scaled(obj: Object, before: Object | None) -> dict[str, Any]:
    """Who last changed `.spec.replicas`, and when; with "from" and "to" where the number changed since `before`.

    A manager that owns the template too has a new time with each write of it: it is believed only where the number was
    seen to change.
    """
    replicas = obj.get("spec", {}).get("replicas", 1)
    if before is None or before["metadata"].get("uid") != obj["metadata"].get("uid"):
        return {**_last_writer(obj, lambda _, spec: "f:replicas" in spec and "f:template" not in spec)}
    old = before.get("spec", {}).get("replicas", 1)
    if old == replicas:
        known: dict[str, Any] = before[SYNTHETIC]["scaled"]
        return known
    return {"from": old, "to": replicas, **_last_writer(obj, lambda _, spec: "f:replicas" in spec)}


def scaler(obj: Object) -> str:
    """What sets `.spec.replicas` by the scale subresource without anybody's command, such as an autoscaler; empty where
    nothing does. `kubectl scale` and the like write by hand."""
    last = _last_writer(obj, lambda entry, spec: "f:replicas" in spec and entry.get("subresource") == "scale")
    return last["name"] if last and last["name"] == AUTOSCALER else ""


def _last_writer(obj: Object, wrote: Callable[[Object, Object], bool]) -> dict[str, str]:
    """{"name", "time"} of the newest entry of managedFields of which `wrote` (entry, its fields of the spec) is true."""
    last = {"name": "", "time": ""}
    for entry in obj["metadata"].get("managedFields") or []:
        spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if wrote(entry, spec) and entry.get("time", "") >= last["time"]:
            last = {"name": entry.get("manager", ""), "time": entry.get("time", "")}
    return last if last["name"] else {}


def _writer_of(obj: Object, field: str) -> dict[str, str]:
    return _last_writer(obj, lambda _, spec: f"f:{field}" in spec)


def _first(error: ValidationError) -> str:
    """The first error with its field, and the number of errors."""
    detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']} ({error.error_count()} in all)"


def _compact(kind: str, obj: Object, before: Object | None) -> Object:
    meta: dict[str, Any] = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    compact = {**obj, "metadata": meta}
    if kind == "Incident":
        compact[SYNTHETIC] = {field: _writer_of(obj, field) for field in ("assignee", "notes")}
    if kind == "Deployment":
        compact[SYNTHETIC] = {
            "templateManager": template_manager(obj),
            "pausedManager": paused_manager(obj),
            "scaled": scaled(obj, before),
            "scaler": scaler(obj),
        }
    return compact


def _newer(new: Object, old: Object) -> bool:
    """True for a newer resourceVersion; where they are not numbers, for any other one."""
    a, b = (str(o["metadata"].get("resourceVersion", "")) for o in (new, old))
    return int(a) > int(b) if a.isdigit() and b.isdigit() else a != b
