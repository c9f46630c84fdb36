"""Objects by the name that a person typed: read, changed under their version, and what is there where they are not."""

import difflib
from collections.abc import Callable, Iterable, Sequence

from opsloop.errors import Conflict, Invalid, NotFound
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import Object, Reader, Resource

TRIES = 5  # where others write the same object at the same time
MOST_NAMED = 8
Change = Callable[[Object], Sequence[Object]]  # the object as it is → operations of a JSON patch


async def found(reader: Reader, resource: Resource, namespace: str, name: str) -> Object:
    """The object. Raises NotFound that says what is there, and which of it may be meant."""
    try:
        return await reader.get(resource, namespace, name)
    except NotFound:
        pass
    names = [item["metadata"]["name"] for item in await reader.list(resource, namespace)]
    raise NotFound(f"there is no {resource.kind} {name!r} in namespace {namespace}{hint(name, names)}")


async def changed(cluster: Cluster, resource: Resource, namespace: str, name: str, change: Change) -> Object:
    """Patches the object as it was read; once more where somebody wrote it meanwhile. Raises Conflict after TRIES."""
    for last in (False,) * (TRIES - 1) + (True,):
        item = await found(cluster, resource, namespace, name)
        same = {"op": "test", "path": "/metadata/resourceVersion", "value": item["metadata"]["resourceVersion"]}
        try:
            return await cluster.json_patch(resource, namespace, name, [same, *change(item)])
        except Conflict:
            if last:
                raise
    raise AssertionError("the last try returns or raises")


def annotated(item: Object, key: str, value: str) -> list[Object]:
    """The operations that set one annotation and leave the others."""
    annotations = {**(item["metadata"].get("annotations") or {}), key: value}
    return [{"op": "add", "path": "/metadata/annotations", "value": annotations}]


def bare(name: str, prefixes: Iterable[str]) -> str:
    """The name without a kind before it: `rel/answers` is `answers`. Raises Invalid for another kind."""
    kind, slash, rest = name.partition("/")
    if slash and kind.lower() not in prefixes:
        raise Invalid(f"{name}: {kind} is not what this command takes; write {next(iter(prefixes))}/{rest} or {rest}")
    return rest if slash else name


def hint(name: str, names: Iterable[str]) -> str:
    """What a wrong name may mean, else what there is."""
    known = sorted(set(names))
    if near := difflib.get_close_matches(name, known, n=3, cutoff=0.6):
        return f"; did you mean {' or '.join(near)}?"
    if not known:
        return "; there is none"
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"; there: {', '.join(known[:MOST_NAMED])}{more}"
