"""Checks of `opsloop lint` that need no cluster: fields, PromQL, references. Pure functions of the documents."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import jsonschema_rs
import promql_parser
from pydantic import ValidationError

from opsloop.api.crd import object_schema
from opsloop.api.evalcase import EvalCase, Load
from opsloop.api.kinds import ALL, Kind
from opsloop.api.meta import API_VERSION
from opsloop.api.release import Release
from opsloop.core.evalcase.measured import expression
from opsloop.core.release import patched, revisions
from opsloop.core.slo import promql
from opsloop.core.slo.objectives import objectives
from opsloop.entry.cli import patches
from opsloop.shell.ports import Object

There = Mapping[str, Mapping[str, Mapping[str, Object]]]
"""Namespace → kind → name → object; a kind that may not be listed is left out."""
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in ALL}
FREE = "x-kubernetes-preserve-unknown-fields"
ANY_WINDOW = timedelta(minutes=5)
LONGEST = 300  # characters of what a library says
SERVER_SIDE = ("status",)  # fields of an object that nobody writes into a manifest, and the API server ignores


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file. `place` names both."""

    place: str
    body: Object

    @property
    def kind(self) -> str:
        """The kind, as written."""
        return str(self.body.get("kind", ""))

    def namespace(self, default: str) -> str:
        """Where it goes: its own namespace, else that of the command."""
        meta = self.body.get("metadata")
        return str((meta or {}).get("namespace") or default) if isinstance(meta, dict) or meta is None else default


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and where; not `fatal`: a note."""

    place: str
    text: str
    fatal: bool = True


# --- fields


def of_schema(document: Document) -> list[Finding]:
    """Fields that the CRD does not have, and values that its schema refuses."""
    kind = KINDS.get(document.kind)
    if kind is None or document.body.get("apiVersion") != API_VERSION:
        return [Finding(document.place, _no_kind(document))]
    schema = object_schema(kind)
    body = {key: value for key, value in document.body.items() if key not in SERVER_SIDE}
    found = [Finding(document.place, text) for text in _unknown(body, schema, "")]
    return found + [Finding(document.place, _sentence(error)) for error in _validator(kind.name).iter_errors(body)]


def _no_kind(document: Document) -> str:
    version, names = document.body.get("apiVersion"), list(KINDS)
    if document.kind in names:
        return f"apiVersion: {version} is not served; write {API_VERSION}"
    near = difflib.get_close_matches(document.kind, names, n=1)
    return f"kind: {document.kind} is none of {', '.join(names)}" + (f"; did you mean {near[0]}?" if near else "")


@lru_cache(maxsize=8)
def _validator(name: str) -> Any:
    return jsonschema_rs.validator_for(_plain(object_schema(KINDS[name])))


def _plain(node: Any) -> Any:
    """The structural schema as draft 2020-12 reads it: exclusive bounds are numbers there."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain(value) for key, value in node.items() if not key.startswith("x-kubernetes")}
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if plain.get(exclusive) is True:
            plain[exclusive] = plain.pop(bound)
    return plain


def _sentence(error: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path).lstrip(".")
    return f"{where or 'object'}: {' '.join(str(error.message).split())[:LONGEST]}"


def _unknown(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Fields that the schema does not name, each with the one that may be meant."""
    if isinstance(value, list) and "items" in schema:
        for n, item in enumerate(value):
            yield from _unknown(item, schema["items"], f"{path}[{n}]")
    if not isinstance(value, dict) or schema.get(FREE):
        return
    known, rest = schema.get("properties"), schema.get("additionalProperties")
    for name, item in value.items():
        where = f"{path}.{name}".lstrip(".")
        if known is not None and name in known:
            if where != "metadata":  # the API server's own
                yield from _unknown(item, known[name], where)
        elif isinstance(rest, dict):
            yield from _unknown(item, rest, where)
        elif known is not None and where not in ("apiVersion", "kind", "metadata"):
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"there: {', '.join(sorted(known))[:LONGEST]}"
            yield f"{where}: there is no such field; {hint}"


def of_room(document: Document) -> list[Finding]:
    """A note where pods are to be kept warm: what they need is asked of quotas and nodes when a promotion comes."""
    spec = document.body.get("spec")
    strategy = spec.get("strategy") if isinstance(spec, dict) else None
    keep = strategy.get("keepWarm") if isinstance(strategy, dict) else None
    if document.kind != "Release" or not isinstance(keep, dict):
        return []
    count = f"{keep['replicas']} pods" if "replicas" in keep else "half as many pods as live has"
    text = f"strategy.keepWarm: {count} more for {keep.get('for', '30m')} after each promotion; the quota of the namespace must have room for them"
    return [Finding(document.place, text, fatal=False)]


def of_patch(document: Document) -> list[Finding]:
    """What a templatePatch shows by itself, whatever the Deployment has."""
    spec = document.body.get("spec")
    patch = spec.get("templatePatch") if isinstance(spec, dict) else None
    if document.kind != "Release" or not isinstance(patch, dict):
        return []
    return [Finding(document.place, text) for text in patches.mistakes(patch)]


# --- PromQL


def of_expressions(document: Document) -> list[Finding]:
    """What a parser says to the PromQL of each objective and of each measure under load, and what cannot be a count of events."""
    try:
        if document.kind == "EvalCase":
            return [
                Finding(document.place, text) for text in _of_load(EvalCase.model_validate(document.body).spec.load)
            ]
        if document.kind != "Release":
            return []
        release = Release.model_validate(document.body)
    except ValidationError as error:
        first = error.errors()[0]
        return [Finding(document.place, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")]
    if release.spec.slo is None:
        return []
    return [Finding(document.place, text) for one in objectives(release.spec.slo) for text in _mistakes(one.sli)]


def _of_load(load: Load | None) -> Iterator[str]:
    for number, one in enumerate(load.measured if load else ()):
        field, query = f"spec.load.measured[{number}].query", expression(one, "pod", ANY_WINDOW)
        if found := list(_parsed(field, query)):
            yield from found
        elif isinstance(promql_parser.parse(query), promql_parser.MatrixSelector):
            yield f"{field}: gives all samples of a time, not one number; write for example max_over_time({one.query})"


def _mistakes(sli: Any) -> Iterator[str]:
    if (problem := promql.problem(sli)) is not None:
        yield f"{problem.reason}: {problem.detail}"
        return
    for field, query in promql.single_queries(sli, ANY_WINDOW).items():
        yield from _parsed(field, query)


def _parsed(field: str, query: str) -> Iterator[str]:
    try:
        promql_parser.parse(query)
    except ValueError as error:
        yield f"{field}: is no PromQL: {' '.join(str(error).split())[:LONGEST]}"


# --- references


def of_references(documents: Sequence[Document], there: There | None, namespace: str) -> list[Finding]:
    """Names of objects that are neither in the files nor in the cluster. Without a cluster a missing one is a note."""
    found: list[Finding] = []
    for document in documents:
        space = document.namespace(namespace)
        spec = document.body.get("spec")
        if not isinstance(spec, dict):
            continue
        for field, kind, name in _references(document, spec):
            known = _known(documents, there, kind, space, namespace)
            if known is not None and name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                where = (
                    f"neither in these files nor in namespace {space}" if there is not None else "not in these files"
                )
                found.append(
                    Finding(document.place, f"{field}: {kind} {name} is {where}{hint}", fatal=there is not None)
                )
        found += _containers(document, spec, documents, there, namespace)
    return found


def _references(document: Document, spec: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Field, kind and name of each object that this one names."""
    if document.body.get("apiVersion") != API_VERSION:
        return
    if document.kind == "Release":
        if has_workload(document):
            yield "spec.workloadRef.name", "Deployment", str(spec["workloadRef"]["name"])
        if spec.get("serviceAccountName"):
            yield "spec.serviceAccountName", "ServiceAccount", str(spec["serviceAccountName"])
        for name in spec.get("dependsOn") or []:
            yield "spec.dependsOn", "Release", str(name)
    if document.kind == "EvalCase" and spec.get("release"):
        yield "spec.release", "Release", str(spec["release"])
    if document.kind == "Runbook" and spec.get("serviceAccountName"):
        yield "spec.serviceAccountName", "ServiceAccount", str(spec["serviceAccountName"])


def has_workload(document: Document) -> bool:
    """True where a Release names its Deployment."""
    spec = document.body.get("spec")
    ref = spec.get("workloadRef") if isinstance(spec, dict) else None
    return isinstance(ref, dict) and bool(ref.get("name"))


def _known(
    documents: Sequence[Document], there: There | None, kind: str, space: str, default: str
) -> dict[str, Object] | None:
    """The objects of a kind by name, in the files and in the cluster; None where the cluster may not be asked for them."""
    inside = {
        str(d.body["metadata"].get("name")): d.body
        for d in documents
        if d.kind == kind and d.namespace(default) == space and isinstance(d.body.get("metadata"), dict)
    }
    if there is None:
        return inside
    live = there.get(space, {}).get(kind)
    return None if live is None else {**live, **inside}


def _containers(
    document: Document, spec: Mapping[str, Any], documents: Sequence[Document], there: There | None, namespace: str
) -> list[Finding]:
    """A patch that does not fit the Deployment's template, and containers of spec.images that it does not have."""
    images, patch = spec.get("images") or {}, spec.get("templatePatch") or {}
    if (
        document.kind != "Release"
        or not has_workload(document)
        or not all(isinstance(f, dict) for f in (images, patch))
    ):
        return []
    known = _known(documents, there, "Deployment", document.namespace(namespace), namespace) or {}
    deployment = known.get(str(spec["workloadRef"]["name"]))
    template = ((deployment or {}).get("spec") or {}).get("template") if deployment else None
    if not isinstance(template, dict):
        return []
    names = list(revisions.images_of(template))
    _, problem = patched.apply(template, patch)
    unfit = [Finding(document.place, problem)] if problem else []
    return unfit + [
        Finding(document.place, f"spec.images.{name}: the Deployment has no such container, but {', '.join(names)}")
        for name in images
        if name not in (*names, *patched.containers(patch))
    ]
