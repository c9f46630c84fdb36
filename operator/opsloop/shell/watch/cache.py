"""What the watches (and our own writes) said last, by kind, namespace and name.

Everything in it is read only: copy before you change. DELETED events are not trusted to be complete: `prune` compares
with a LIST (kopf reports no deletion that happened during a relist).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import Model
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.shell.ports import Object

M = TypeVar("M", bound=Model)
Report = Callable[[str, str, str, str], None]  # (kind, namespace, name, what is wrong)
MODELS: Mapping[str, type[Model]] = {"Release": Release, "Incident": Incident, "Runbook": Runbook, "EvalCase": EvalCase}
GONE = 1024  # uids of deleted objects that are remembered, against a late echo
SYNTHETIC = "opsloop"  # our own key in cached Deployments


def _nothing(kind: str, namespace: str, name: str, message: str) -> None:
    """Report nothing."""


@dataclass(slots=True)
class _Entry:
    obj: Object
    parsed: Model | None = None
    tried: bool = False


class Cache:
    """`report` is called once per version of an object that cannot be parsed."""

    def __init__(self, report: Report = _nothing) -> None:
        self._kinds: dict[str, dict[tuple[str, str], _Entry]] = {}
        self._gone: dict[str, None] = {}
        self._report = report

    def put(self, kind: str, obj: Object) -> bool:
        """Store an object as the API server returned it; False where a newer one (or its deletion) is known already.

        A Deployment gets obj["opsloop"]["templateManager"] = {"name", "time"}: who last wrote its pod template.
        """
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        old = self._kinds.setdefault(kind, {}).get(key)
        if meta.get("uid") in self._gone or (old and not _newer(obj, old.obj)):
            return False
        self._kinds[kind][key] = _Entry(_compact(kind, obj))
        return True

    def drop(self, kind: str, namespace: str, name: str, uid: str = "") -> None:
        """It was deleted; with `uid`, only if it still is that object."""
        entries = self._kinds.get(kind, {})
        found = entries.get((namespace, name))
        if found and uid in ("", found.obj["metadata"].get("uid")):
            del entries[namespace, name]
        if gone := uid or (found.obj["metadata"].get("uid", "") if found else ""):
            self._gone[gone] = None
            while len(self._gone) > GONE:
                del self._gone[next(iter(self._gone))]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The stored object, or None."""
        found = self._kinds.get(kind, {}).get((namespace, name))
        return found.obj if found else None

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """All stored objects of a kind, by namespace and name."""
        return [entry.obj for entry in self._entries(kind, namespace)]

    def uids(self, kind: str) -> dict[tuple[str, str], str]:
        """(namespace, name) → uid of all that is stored: what `prune` wants to know from before the LIST."""
        return {key: entry.obj["metadata"].get("uid", "") for key, entry in self._kinds.get(kind, {}).items()}

    def prune(
        self, kind: str, live: Collection[tuple[str, str]], known: Mapping[tuple[str, str], str]
    ) -> tuple[Object, ...]:
        """Drop what was `known` before a LIST and is not in it (`live`): it is gone. Returns what was dropped.

        What a watch added during the LIST stays: it is not in `known`, or has another uid.
        """
        entries = self._kinds.get(kind, {})
        ghosts = [
            key
            for key, uid in known.items()
            if key not in live and key in entries and entries[key].obj["metadata"].get("uid", "") == uid
        ]
        dropped = tuple(entries[key].obj for key in ghosts)
        for namespace, name in ghosts:
            self.drop(kind, namespace, name, known[namespace, name])
        return dropped

    def releases(self, namespace: str | None = None) -> tuple[Release, ...]:
        """Releases that can be parsed."""
        return self._models(Release, namespace)

    def incidents(self, namespace: str | None = None) -> tuple[Incident, ...]:
        """Incidents that can be parsed."""
        return self._models(Incident, namespace)

    def runbooks(self, namespace: str | None = None) -> tuple[Runbook, ...]:
        """Runbooks that can be parsed."""
        return self._models(Runbook, namespace)

    def evalcases(self, namespace: str | None = None) -> tuple[EvalCase, ...]:
        """EvalCases that can be parsed."""
        return self._models(EvalCase, namespace)

    def model(self, model: type[M], namespace: str, name: str) -> M | None:
        """One object of the four kinds; None where it is not known or cannot be parsed."""
        entry = self._kinds.get(model.__name__, {}).get((namespace, name))
        parsed = self._parse(model, entry) if entry else None
        return parsed if isinstance(parsed, model) else None

    def keys(self) -> tuple[tuple[str, str, str], ...]:
        """(kind, namespace, name) of everything that opsloop reconciles, and one ("Namespace", ns, ns) per namespace."""
        own = [(kind, *key) for kind in MODELS for key in sorted(self._kinds.get(kind, {}))]
        return (*own, *(("Namespace", namespace, namespace) for namespace in sorted({key[1] for key in own})))

    def _entries(self, kind: str, namespace: str | None) -> tuple[_Entry, ...]:
        return tuple(
            entry
            for key, entry in sorted(self._kinds.get(kind, {}).items(), key=lambda item: item[0])
            if namespace in (None, key[0])
        )

    def _models(self, model: type[M], namespace: str | None) -> tuple[M, ...]:
        parsed = (self._parse(model, entry) for entry in self._entries(model.__name__, namespace))
        return tuple(item for item in parsed if isinstance(item, model))

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
    last = {"name": "", "time": ""}
    for entry in obj["metadata"].get("managedFields") or []:
        spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        written = (
            "f:template" in spec and not entry.get("subresource") and entry.get("manager") != "kube-controller-manager"
        )
        if written and entry.get("time", "") >= last["time"]:
            last = {"name": entry.get("manager", ""), "time": entry.get("time", "")}
    return last if last["name"] else {}


def _first(error: ValidationError) -> str:
    """The first complaint, with its field."""
    detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']} ({error.error_count()} in all)"


def _compact(kind: str, obj: Object) -> Object:
    meta: dict[str, Any] = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    compact = {**obj, "metadata": meta}
    if kind == "Deployment":
        compact[SYNTHETIC] = {"templateManager": template_manager(obj)}
    return compact


def _newer(new: Object, old: Object) -> bool:
    """False for an older resourceVersion, or the same once more; where they are not numbers the later arrival wins."""
    a, b = (str(o["metadata"].get("resourceVersion", "")) for o in (new, old))
    return int(a) > int(b) if a.isdigit() and b.isdigit() else a != b
