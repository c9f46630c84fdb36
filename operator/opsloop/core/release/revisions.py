"""Revisions: the identity of pod templates, the target of a rollback, the base of a new target."""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from opsloop.api.release import Blocked, Revision

LONGEST_VERSION = 128
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


def digest(template: Mapping[str, Any]) -> str:
    """16 hex digits over the pod template as the API server returns it.

    `kubectl rollout restart` is not a new revision, so its annotation does not count; nor do empty and null fields,
    which servers of different versions write or leave out.
    """
    metadata = dict(template.get("metadata") or {})
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != RESTARTED_AT}
    cleaned = _without_empty({**template, "metadata": {**metadata, "annotations": annotations}})
    text = json.dumps(cleaned, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: c for k, v in value.items() if (c := _without_empty(v)) not in (None, {}, [])}
    if isinstance(value, list):
        return [_without_empty(v) for v in value]
    return value


def images_of(template: Mapping[str, Any]) -> dict[str, str]:
    """Container name → image."""
    containers = (template.get("spec") or {}).get("containers") or []
    return {str(c.get("name", "")): str(c.get("image", "")) for c in containers}


def with_images(template: Mapping[str, Any], images: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """A copy of the template with these images, and the container names that it does not have."""
    new = copy.deepcopy(dict(template))
    for container in (new.get("spec") or {}).get("containers") or []:
        if container.get("name") in images:
            container["image"] = images[container["name"]]
    return new, sorted(set(images) - set(images_of(template)))


def version_of(images: Mapping[str, str], spec_images: Mapping[str, str], label: str) -> str:
    """Version label of a template: the spec's label where the images are those of the spec, else the image's tag."""
    if spec_images and all(images.get(name) == image for name, image in spec_images.items()):
        return label
    name = next(iter(sorted(spec_images)), "")
    image = images.get(name) or next(iter(images.values()), "")
    tail = image.rsplit("/", 1)[-1]
    if "@" in tail:
        return tail.rsplit("@", 1)[-1][:24]
    return (tail.rsplit(":", 1)[-1] if ":" in tail else tail)[:LONGEST_VERSION]


def find(revisions: Sequence[Revision], digest_: str) -> Revision | None:
    """The revision with this digest."""
    return next((r for r in revisions if r.digest == digest_), None)


def put(revisions: Sequence[Revision], revision: Revision) -> list[Revision]:
    """The revisions with this one replaced or added."""
    if find(revisions, revision.digest):
        return [revision if r.digest == revision.digest else r for r in revisions]
    return [*revisions, revision]


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
    """The revision that a rollback from `live` goes to, and whether it is proven: the newest last-good, else the adopted one."""
    others = [r for r in revisions if r.digest != live and r.blocked is None]
    proven = [r for r in others if r.proven_at is not None and r.live_since is not None]
    if proven:
        return max(proven, key=_live_since), True
    adopted = [r for r in others if r.reason == "Adopted"]
    return (adopted[-1], False) if adopted else None


def base(revisions: Sequence[Revision]) -> Revision | None:
    """The template that a target's images are put on: adopted, or the last change by hand that is not blocked."""
    by_hand = [r for r in revisions if r.reason in ("Adopted", "Drifted") and r.blocked is None and r.live_since]
    return max(by_hand, key=_live_since) if by_hand else None


def _live_since(revision: Revision) -> datetime:
    assert revision.live_since is not None
    return revision.live_since


def prune(revisions: Sequence[Revision], keep: set[str], most: int = 20, hardest: int = 40) -> list[Revision]:
    """At most `most` revisions: those in `keep` stay, then blocked ones (at most `hardest` in all), then the newest."""
    free = [r for r in revisions if r.digest not in keep and r.blocked is None]
    blocked = [r for r in revisions if r.digest not in keep and r.blocked is not None]
    drop = _oldest(free, len(revisions) - most)
    drop |= _oldest(blocked, len(revisions) - len(drop) - hardest)
    return [r for r in revisions if r.digest not in drop]


def _oldest(revisions: Sequence[Revision], count: int) -> set[str]:
    return {r.digest for r in sorted(revisions, key=lambda r: r.number)[: max(0, count)]}
