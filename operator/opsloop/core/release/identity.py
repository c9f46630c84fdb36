"""Which revision a template is of: its own digest, a digest under which the API server stored it, or another spelling of it.

docs/decisions/same-revision.md has the cases.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from opsloop.api.revision import LONGEST_PATH, MOST_ALSO, Revision
from opsloop.core.release.revisions import canonical, digest, images_of

_WHAT_RUNS = re.compile("/spec|/spec/(containers|initContainers)(/[0-9]+(/name|/image)?)?")


def identify(
    template: Mapping[str, Any],
    history: Sequence[Revision],
    templates: Mapping[str, Mapping[str, Any]],
    ignored: Iterable[str] = (),
) -> str | None:
    """Digest of the revision that this template is of; None for a new one.

    The stored templates are compared last: a digest is older than the rule by which it is made now (`ignored`).
    """
    names = tuple(ignored)
    own = digest(template, names)
    known = next((r for r in history if own in (r.digest, *r.also)), None)
    unstable = (r for r in history if r.left_out)
    known = known or next(
        (r for r in unstable if digest(without(template, r.left_out), names) in (r.digest, *r.also)), None
    )
    stored = (r for r in history if r.digest in templates)
    known = known or next((r for r in stored if digest(templates[r.digest], names) == own), None)
    return known.digest if known else None


def also_stored_as(revision: Revision, own: str) -> Revision:
    """The revision with one more digest under which it was stored."""
    if own in (revision.digest, *revision.also):
        return revision
    return revision.model_copy(update={"also": [*revision.also, own][-MOST_ALSO:]})


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """JSON pointers to where two templates differ; the list itself where two lists have different lengths."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key), other.get(key), f"{path}/{_escaped(key)}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(a, b, f"{path}/{index}")
    elif canonical(one) != canonical(other):
        yield path


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def sentence(one: Mapping[str, Any], other: Mapping[str, Any], most: int = 4) -> str:
    """Where two templates differ, for a person: the paths with both values."""
    paths = list(differences(one, other))
    told = [f"{path}: {_short(at(one, path))} → {_short(at(other, path))}" for path in paths[:most]]
    return "; ".join(told) + (f"; and {len(paths) - most} more" if len(paths) > most else "")


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 100 else f"{text[:99]}…"


def at(template: Any, path: str) -> Any:
    """The value at a JSON pointer; None where there is none."""
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(template, Mapping):
            template = template.get(key)
        elif isinstance(template, list) and key.isdigit() and int(key) < len(template):
            template = template[int(key)]
        else:
            return None
    return template


def without(template: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """A copy of the template with null at these JSON pointers."""
    new = copy.deepcopy(dict(template))
    for path in paths:
        parent_path, _, last = path.rpartition("/")
        parent, key = at(new, parent_path), last.replace("~1", "/").replace("~0", "~")
        if isinstance(parent, dict) and key in parent:
            parent[key] = None
        elif isinstance(parent, list) and key.isdigit() and int(key) < len(parent):
            parent[int(key)] = None
    return new


def too_unstable(paths: Sequence[str]) -> bool:
    """True where what differs between two answers cannot be left out: an image is among it, or it is too much to name."""
    images = any(_WHAT_RUNS.fullmatch(path) for path in paths)
    return images or len(paths) > MOST_ALSO or any(len(path) > LONGEST_PATH for path in paths)


def only_completed(decided: Any, stored: Any) -> bool:
    """True where the stored template has all that was decided, and only more fields beside it."""
    if isinstance(decided, Mapping) and isinstance(stored, Mapping):
        return all(only_completed(value, stored.get(key)) for key, value in decided.items())
    if isinstance(decided, list) and isinstance(stored, list):
        return len(decided) == len(stored) and all(map(only_completed, decided, stored))
    return canonical(decided) in (canonical(stored), canonical(None))


def may_be_same_images(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """True where the containers are the same and each image may be the other's with its tag resolved or from a mirror."""
    return one.keys() == other.keys() and all(_may_be_same(image, other[name]) for name, image in one.items())


def _may_be_same(one: str, other: str) -> bool:
    (name, tag, sha), (other_name, other_tag, other_sha) = _parts(one), _parts(other)
    tags = "" in (tag, other_tag) or tag == other_tag
    return name == other_name and tags and ("" in (sha, other_sha) or sha == other_sha)


def _parts(image: str) -> tuple[str, str, str]:
    """(last part of the repository's path, tag, digest); a mirror has another registry and more path."""
    name, _, sha = image.rsplit("/", 1)[-1].partition("@")
    name, _, tag = name.partition(":")
    return name, tag or ("" if sha else "latest"), sha


def images_of_both_may_be_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """`may_be_same_images` of two templates."""
    return may_be_same_images(images_of(one), images_of(other))
