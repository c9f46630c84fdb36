"""What is asked for: the base with the spec's patch and images, before the API server says what it makes of it; or a guarded one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.core.facts import ReleaseFacts
from opsloop.core.release import patched, revisions
from opsloop.core.release.asked import asked
from opsloop.core.slo import promql
from opsloop.core.slo.objectives import objectives

# Named reasons
UNKNOWN_CONTAINER = "UnknownContainer"  # spec.images names a container that the Deployment does not have


@dataclass(frozen=True, slots=True)
class Wanted:
    """A template, its digest, what it remembers of its base, and why it cannot be a target: a reason with its message."""

    template: dict[str, Any]
    digest: str
    base_images: dict[str, str]
    base: str = ""  # digest of the revision that a patch was merged into
    problem: tuple[str, str] | None = None


def wanted(facts: ReleaseFacts, status: ReleaseStatus) -> Wanted | None:
    """What is asked for; None while the template that it starts from is not stored.

    A guarded Deployment says it by its own template, as the API server has stored it.
    """
    spec, guard = facts.release.spec, facts.workload.guard if facts.workload else None
    if spec.guard:
        return Wanted(dict(guard.template), guard.digest, {}) if guard else None
    beside = revisions.base(status.revisions, status.live)
    stored = facts.templates.get(beside.digest) if beside else None
    if beside is None or stored is None:
        return None
    start, problem = patched.start_of(status, facts.templates, beside), None
    if start is None:
        start, problem = stored, (patched.BASE_MISSING, patched.base_missing(beside, spec.workload_ref.name))
    merged, refused = patched.apply(start, patched.patch_of(spec))
    template, unknown = revisions.with_images(merged, spec.images)
    if refused:
        problem = problem or (patched.PATCH_INVALID, refused)
    elif unknown:
        text = f"spec.images names {', '.join(unknown)}, which the Deployment does not have"
        problem = problem or (UNKNOWN_CONTAINER, text)
    own = {**revisions.base_images(start, spec.images), **patched.changed_images(start, template)}
    base = (beside.base or beside.digest) if patched.digest_of(spec) else ""
    return Wanted(template, revisions.digest(template, spec.ignore_stamps), own, base, problem)


def template_of(facts: ReleaseFacts, status: ReleaseStatus, digest: str) -> dict[str, Any]:
    """The template to write for a revision: as it is stored, with the images that it ran with. Raises KeyError where it is not stored."""
    revision, stored = revisions.find(status.revisions, digest), facts.templates[digest]
    return revisions.with_images(stored, revision.images)[0] if revision else stored


def find_blocked(status: ReleaseStatus, digest: str, template: Mapping[str, Any]) -> Revision | None:
    """The blocked revision that a target of this template would be: the same, or another one with its images."""
    revision = revisions.find(status.revisions, digest)
    if revision is not None and revision.blocked is not None:
        return revision
    return revisions.blocked_images(status.revisions, revisions.images_of(template))


def version_not_changed(facts: ReleaseFacts, status: ReleaseStatus) -> str:
    """What to write where canary and live would be one series to the SLI; empty where their labels differ or do not matter."""
    spec, live = facts.release.spec, revisions.find(status.revisions, status.live)
    by_label = spec.slo is not None and any(promql.by_version_label(one.sli) for one in objectives(spec.slo))
    wish = asked(facts, status)
    if not by_label or live is None or live.version != wish.version:
        return ""
    if spec.guard:
        return (
            f"the image's tag is still {wish.version}, which the SLI reads as live's: canary and live would be one series. "
            "Give the image another tag, or have the SLI tell revisions by their pods (docs/sli.md)"
        )
    changed = "spec.templatePatch" if live.images == {**live.images, **spec.images} else "spec.images"
    return (
        f"{changed} changed and spec.version is still {spec.version}, which the SLI reads as live's: canary and live "
        "would be one series. Write the new version, as its pods report it in the label of {{version}}, into spec.version"
    )
