"""What a Release asks for: by its spec, or, where it guards its Deployment, by the template that stands on that."""

from collections.abc import Mapping
from dataclasses import dataclass

from opsloop.api.release import Release, ReleaseStatus
from opsloop.api.target import Target
from opsloop.core.facts import ReleaseFacts
from opsloop.core.release import patched, revisions


@dataclass(frozen=True, slots=True)
class Asked:
    """A version with its images, by container, and the digest of its patch; `digest` is of the revision where a template asks."""

    version: str
    images: Mapping[str, str]
    digest: str = ""
    patch: str = ""


def asked(facts: ReleaseFacts, status: ReleaseStatus) -> Asked:
    """Of a guarded Deployment the revision of its template, under the version that it has or that its image's tag says."""
    spec = facts.release.spec
    guard = facts.workload.guard if facts.workload else None
    if not spec.guard or guard is None:
        return Asked(spec.version, spec.images, patch=patched.digest_of(spec))
    images, known = revisions.images_of(guard.template), revisions.find(status.revisions, guard.digest)
    version = known.version if known else revisions.version_of(images, {}, "")
    return Asked(version, images, guard.digest)


def version_asked(release: Release) -> str:
    """The version that a Release asks for, as its object says it: of a guarded one that of the template seen last."""
    target = release.status.target
    return release.spec.version or (target.version if target is not None else release.status.version)


def answers(target: Target, wish: Asked) -> bool:
    """True where this target was recorded for what is asked for now."""
    if wish.digest:
        return target.digest == wish.digest
    return (target.version, target.images, target.patch) == (wish.version, wish.images, wish.patch)
