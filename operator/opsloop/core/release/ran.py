"""What the canary ran is what is promoted: the images with which the API server stored the canary's Deployment."""

from collections.abc import Mapping

from opsloop.api.revision import Revision
from opsloop.api.target import Target
from opsloop.core import conditions
from opsloop.core.release import ReleaseBuilder, identity, revisions
from opsloop.core.release.admission import ADMISSION_CHANGED, DRY_RUN_REFUSED, STORED_AS_DECIDED, mark
from opsloop.core.release.outcome import Outcome, Reject, Rollout
from opsloop.core.release.target import record_live


def take_images(builder: ReleaseBuilder, target: Target) -> bool:
    """What the canary ran is what is promoted: the revision takes the images that its Deployment was stored with.

    False where they make it what is live already, and the target has ended for that.
    """
    facts, status, canary = builder.facts, builder.status, builder.facts.canary
    revision = revisions.find(status.revisions, target.digest)
    if canary is None or revision is None or (target.digest not in facts.templates or canary.digest != target.digest):
        return True
    if not _rewritten(canary.images, revision):
        return True
    ran, ignored = revision.model_copy(update={"images": dict(canary.images)}), facts.release.spec.ignore_stamps
    template, _ = revisions.with_images(facts.templates[target.digest], ran.images)
    if identity.identify(template, status.revisions, facts.templates, ignored) == status.live:
        record_live(builder, target.model_copy(update={"digest": status.live}))
        return False
    ran = identity.also_stored_as(ran, revisions.digest(template, ignored))
    builder.set(revisions=revisions.put(status.revisions, ran))
    told = conditions.get(status.conditions, STORED_AS_DECIDED)
    if told is None or told.reason != DRY_RUN_REFUSED:
        text = f"the canary of {target.version} was stored with other images: {sorted(canary.images.values())}"
        mark(builder, False, ADMISSION_CHANGED, text)
    return True


def _rewritten(images: Mapping[str, str], revision: Revision) -> bool:
    return bool(images) and images != revision.images and identity.may_be_same_images(images, revision.images)


def other_images(rollout: Rollout) -> Outcome | None:
    """Reject where the canary was stored with images that cannot be the target's: it would be another version that is judged."""
    canary, revision = rollout.facts.canary, revisions.find(rollout.status.revisions, rollout.target.digest)
    if canary is None or revision is None or not canary.images:
        return None
    if identity.may_be_same_images(canary.images, revision.images):
        return None
    text = f"the API server stored the canary with {dict(canary.images)} instead of {revision.images}"
    return Reject(ADMISSION_CHANGED, text, block=False)
