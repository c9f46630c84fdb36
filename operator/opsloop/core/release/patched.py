"""spec.templatePatch: merged into the base, which is what somebody else put on the Deployment last, and never live itself.

So what a patch no longer names is gone with the next target, as are the images that a spec no longer names.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from opsloop.api.release import ReleaseSpec, ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.core.facts import ReleaseFacts
from opsloop.core.release import revisions
from opsloop.core.release.strategic import PatchInvalid, merge

# Named reasons
PATCH_INVALID = "PatchInvalid"  # spec.templatePatch cannot be merged into the Deployment's pod template
BASE_MISSING = "BaseMissing"  # the template that live was made from by a patch is not stored any more

LONGEST_PATCH = 65_536  # characters of its JSON; the object must stay far below what the API server stores

Template = dict[str, Any]


def digest_of(spec: ReleaseSpec) -> str:
    """16 hex digits of the patch, its nulls included; empty without one."""
    patch = patch_of(spec)
    return hashlib.sha256(_text(patch).encode()).hexdigest()[:16] if patch else ""


def base_of(status: ReleaseStatus, revision: Revision) -> Revision | None:
    """The revision that this one was made from by a patch; itself without one. None where it is not known any more."""
    return revisions.find(status.revisions, revision.base) if revision.base else revision


def start_of(status: ReleaseStatus, templates: Mapping[str, Template], revision: Revision) -> Template | None:
    """The template that a target starts from beside this revision, without what opsloop set; None where it is not stored."""
    base = base_of(status, revision)
    stored = templates.get(base.digest) if base is not None else None
    return revisions.without_own_images(stored, base) if base is not None and stored is not None else None


def apply(template: Template, patch: Mapping[str, Any]) -> tuple[Template, str]:
    """The template with this patch, and why it cannot be merged; empty where it can."""
    if len(text := _text(patch)) > LONGEST_PATCH:
        return template, f"spec.templatePatch has {len(text)} characters as JSON, at most {LONGEST_PATCH} are taken"
    try:
        new = merge(template, patch)
        _check_containers(new, template)
    except PatchInvalid as error:
        return template, f"spec.templatePatch.{error}"
    return new, ""


def _check_containers(new: Template, before: Template) -> None:
    """A name that the template does not have is a new container, or a name that is misspelt: without an image it is the latter."""
    for field in ("containers", "initContainers"):
        names = [str(c.get("name", "")) for c in before["spec"].get(field) or []]
        for container in (new.get("spec") or {}).get(field) or []:
            if not isinstance(container.get("image"), str) or not container["image"]:
                name = container.get("name")
                there = f"; the Deployment has {', '.join(names)}" if name not in names and names else ""
                raise PatchInvalid(f"spec.{field}: {name} has no image{there}")
    if not (new.get("spec") or {}).get("containers"):
        raise PatchInvalid("spec.containers: no container is left")


def containers(patch: Mapping[str, Any]) -> set[str]:
    """Names of the containers that the patch names: it may add them."""
    inner = patch.get("spec") or {}
    lists = (inner.get(field) for field in ("containers", "initContainers"))
    return {str(c.get("name")) for some in lists if isinstance(some, list) for c in some if isinstance(c, dict)}


def changed_images(start: Template, template: Template) -> dict[str, str]:
    """Images before, of the containers that have another one now: what the revision remembers of its base."""
    now = revisions.images_of(template)
    return {name: image for name, image in revisions.images_of(start).items() if now.get(name, image) != image}


def base_missing(revision: Revision, workload: str) -> str:
    """What is missing, and what to do."""
    return (
        f"the pod template from which {revision.version} was made ({revision.base}) is not stored any more; write the "
        f"template that shall be the next one's base by hand: kubectl edit deployment/{workload}"
    )


def refused_now(facts: ReleaseFacts, status: ReleaseStatus) -> tuple[str, str] | None:
    """(reason, message) where the present target was refused for its patch."""
    target = status.target
    if target is None or target.state != "Refused" or target.patch != digest_of(facts.release.spec):
        return None
    return (target.reason, target.message) if target.reason in (PATCH_INVALID, BASE_MISSING) else None


def patch_of(spec: ReleaseSpec) -> dict[str, Any]:
    """The patch of the spec; empty without one."""
    patch = spec.template_patch
    return {name: part for name, part in (("metadata", patch.metadata), ("spec", patch.spec)) if part} if patch else {}


def _text(patch: Mapping[str, Any]) -> str:
    return json.dumps(patch, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
