"""Revisions: the identity of pod templates, the target of a rollback, the base of a new target."""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from opsloop.api.revision import Blocked, Revision
from opsloop.core.release.stamps import unstamped

LONGEST_VERSION = 128
MOST_REPLICA_SETS = 8
RAN_AS_WANTED = (
    "Adopted",
    "Canaried",
    "Direct",
)  # reasons of revisions that nobody put on the Deployment past the spec


def digest(template: Mapping[str, Any], ignored: Iterable[str] = ()) -> str:
    """16 hex digits over the pod template as the API server returns it.

    Stamps do not count (`ignored`: more of them, by name); nor do empty and null fields, which servers of different
    versions write or leave out.
    """
    return hashlib.sha256(canonical(unstamped(template, ignored)).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """JSON in which empty and null are one thing; two parts of templates are the same where this is the same."""
    return json.dumps(_without_empty(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _without_empty(value: Any) -> Any:
    """The value without its empty fields; None for one that is empty itself. List items keep their places."""
    if isinstance(value, Mapping):
        return {k: c for k, v in value.items() if (c := _without_empty(v)) is not None} or None
    if isinstance(value, list):
        return [_without_empty(v) for v in value] or None
    return value


def images_of(template: Mapping[str, Any]) -> dict[str, str]:
    """Container name → image; init containers (native sidecars among them) after the others."""
    return {str(c.get("name", "")): str(c.get("image", "")) for c in _containers(template)}


def _containers(template: Mapping[str, Any]) -> list[Any]:
    spec = template.get("spec") or {}
    return [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]


def with_images(template: Mapping[str, Any], images: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """A copy of the template with these images, and the container names that it does not have."""
    new = copy.deepcopy(dict(template))
    for container in _containers(new):
        if container.get("name") in images:
            container["image"] = images[container["name"]]
    return new, sorted(set(images) - set(images_of(template)))


def version_of(images: Mapping[str, str], spec_images: Mapping[str, str], label: str) -> str:
    """Version label of a template: the spec's label where the images are those of the spec, else the image's tag.

    Admission may have added a digest to a tag that it keeps.
    """
    if spec_images and all(image in _with_and_without_digest(images.get(n, "")) for n, image in spec_images.items()):
        return label
    name = next(iter(sorted(spec_images)), "")
    image = images.get(name) or next(iter(images.values()), "")
    tail = image.rsplit("/", 1)[-1]
    tagged, _, resolved = tail.partition("@")
    if resolved and ":" not in tagged:
        return resolved[:24]
    return tagged.rsplit(":", 1)[-1][:LONGEST_VERSION]


def _with_and_without_digest(image: str) -> tuple[str, str]:
    return image, image.partition("@")[0]


def find(revisions: Sequence[Revision], digest_: str) -> Revision | None:
    """The revision with this digest."""
    return next((r for r in revisions if r.digest == digest_), None)


def put(revisions: Sequence[Revision], revision: Revision) -> list[Revision]:
    """The revisions with this one replaced or added."""
    if find(revisions, revision.digest):
        return [revision if r.digest == revision.digest else r for r in revisions]
    return [*revisions, revision]


def with_replica_sets(revisions: Sequence[Revision], seen: Mapping[str, Sequence[str]]) -> list[Revision]:
    """The revisions with the ReplicaSets that were seen to run them; the newest of each are kept."""
    return [_with_replica_sets(r, seen.get(r.digest, ())) for r in revisions]


def _with_replica_sets(revision: Revision, seen: Sequence[str]) -> Revision:
    names = [*(name for name in revision.replica_sets if name not in seen), *seen][-MOST_REPLICA_SETS:]
    return revision if names == revision.replica_sets else revision.model_copy(update={"replica_sets": names})


def next_number(revisions: Sequence[Revision]) -> int:
    """Numbers only go up."""
    return 1 + max((r.number for r in revisions), default=0)


def block(revisions: Sequence[Revision], digest_: str, blocked: Blocked) -> list[Revision]:
    """Blocks a revision; an earlier block stays, because its reason is the one with the evidence."""
    return [r.model_copy(update={"blocked": r.blocked or blocked}) if r.digest == digest_ else r for r in revisions]


def unblock(revisions: Sequence[Revision], digest_: str) -> list[Revision]:
    """Lifts the block of a revision."""
    return [r.model_copy(update={"blocked": None}) if r.digest == digest_ else r for r in revisions]


def rollback_target(revisions: Sequence[Revision], live: str) -> tuple[Revision, bool] | None:
    """The revision that a rollback from `live` goes to, and whether it is proven: the newest last-good, else what served longest.

    Never one with the images of `live`, unless a templatePatch sets the two apart: harm that came with those images would stay. A service with too few events to prove
    anything within its bake time is rolled back to what was adopted or shipped by the spec, and was live for the longest time.
    """
    fled = find(revisions, live)
    others = [r for r in revisions if r.digest != live and r.blocked is None and not _as_bad_as(r, fled)]
    proven = [r for r in others if r.proven_at is not None and r.live_since is not None]
    if proven:
        return max(proven, key=_live_since), True
    ran = [r for r in others if r.live_since is not None and not r.never_ran and r.reason in RAN_AS_WANTED]
    return (max(ran, key=lambda r: (_served(r, revisions), r.reason == "Adopted")), False) if ran else None


def unsafe_between(revisions: Sequence[Revision], from_: str, to: str) -> Revision | None:
    """The newest revision that says that nothing is rolled back across it, of those that a rollback `from_` → `to` leaves
    behind: what was live after `to` was, with `from_` itself. None: it may be rolled back."""
    target = find(revisions, to)
    since = target.live_since if target else None
    left = [r for r in revisions if r.digest == from_ or (r.live_since and since and r.live_since > since)]
    unsafe = [r for r in left if r.rollback_unsafe and r.digest != to]
    return max(unsafe, key=lambda r: r.number, default=None)


def _served(revision: Revision, revisions: Sequence[Revision]) -> timedelta:
    """How long it was live until the next one was, the last time; longest where none came after it."""
    since = _live_since(revision)
    later = [r.live_since for r in revisions if r.live_since is not None and r.live_since > since]
    return min(later) - since if later else timedelta.max


def _as_bad_as(revision: Revision, other: Revision | None) -> bool:
    return other is not None and bool(other.images) and (revision.images, revision.patch) == (other.images, other.patch)


def blocked_images(revisions: Sequence[Revision], images: Mapping[str, str]) -> Revision | None:
    """The blocked revision with these images, whatever else its template says; None where they also proved themselves.

    A templatePatch answers for itself where its images ran, unblocked, without it.
    """
    same = [r for r in revisions if images and r.images == images]
    if any(r.proven_at is not None and r.blocked is None for r in same):
        return None
    ran = {r.patch for r in same if r.blocked is None and r.live_since is not None}
    return next((r for r in same if r.blocked is not None and not (r.patch and ran - {r.patch})), None)


def base(revisions: Sequence[Revision], live: str) -> Revision | None:
    """The revision whose template a target starts from (`without_own_images`): live; where live is blocked, what was live last and is not."""
    found = find(revisions, live)
    if found is None or found.blocked is None:
        return found
    others = [r for r in revisions if r.blocked is None and r.live_since]
    return max(others, key=_live_since) if others else found


def without_own_images(template: Mapping[str, Any], revision: Revision) -> dict[str, Any]:
    """A copy of the revision's template with the images that its containers had before opsloop set them."""
    return with_images(template, revision.base_images)[0]


def base_images(base_template: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, str]:
    """What a revision made by setting `images` on this template remembers of it."""
    return {name: image for name, image in images_of(base_template).items() if name in images}


def kept_base_images(before: Revision | None, images: Mapping[str, str]) -> dict[str, str]:
    """Base images of a revision that somebody made of `before`: for the containers whose image they left as opsloop had set it."""
    if before is None:
        return {}
    return {n: image for n, image in before.base_images.items() if images.get(n) == before.images.get(n)}


def _live_since(revision: Revision) -> datetime:
    assert revision.live_since is not None
    return revision.live_since


def prune(revisions: Sequence[Revision], keep: set[str], most: int = 20, hardest: int = 40) -> list[Revision]:
    """At most `most` revisions: those in `keep` stay, then blocked ones and those that a rollback must not cross (at most `hardest`
    in all), then the newest. Of the latter the one that was live last stays as long as an older one is left to go back to: it alone
    refuses whatever the others would."""
    unsafe = [r for r in revisions if r.rollback_unsafe and r.live_since is not None]
    last = max(unsafe, key=_live_since, default=None)
    older = last and any(r.digest in keep and r.live_since and r.live_since < _live_since(last) for r in revisions)
    keep = keep | {last.digest} if last and older else keep
    hard = [r for r in revisions if r.digest not in keep and (r.blocked is not None or r in unsafe)]
    free = [r for r in revisions if r.digest not in keep and r not in hard]
    drop = _oldest(free, len(revisions) - most)
    drop |= _oldest(hard, len(revisions) - len(drop) - hardest)
    return [r for r in revisions if r.digest not in drop]


def _oldest(revisions: Sequence[Revision], count: int) -> set[str]:
    return {r.digest for r in sorted(revisions, key=lambda r: r.number)[: max(0, count)]}
