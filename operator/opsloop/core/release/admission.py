"""What the API server makes of a template: asked before a target is taken, and told on the Release where it is not what was decided."""

from datetime import datetime, timedelta

from opsloop.api.revision import Revision
from opsloop.core import conditions
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder, identity
from opsloop.core.release.revisions import images_of
from opsloop.names import FIELD_MANAGER

STORED_AS_DECIDED = "StoredAsDecided"  # type of the condition

# Named reasons
AS_DECIDED = "AsDecided"  # the API server stores templates as they are decided
ADMISSION_CHANGED = "AdmissionChanged"  # the API server stored another template than the one that was written
ADMISSION_NOT_DETERMINISTIC = "AdmissionNotDeterministic"  # admission fills fields differently at each write
ADMISSION_REFUSED = "AdmissionRefused"  # the API server would refuse the target's template
DRY_RUN_REFUSED = "DryRunRefused"  # a webhook has side effects: what it makes of a template shows at the first write
ADMISSION_UNAVAILABLE = "AdmissionUnavailable"  # the API server cannot say now what it would store; it is asked again

ASKED_AGAIN = timedelta(minutes=1)  # after a refusal: somebody may have corrected the policy
ASKED_SOON = timedelta(seconds=10)  # after no answer

REFUSED = (ADMISSION_REFUSED, ADMISSION_NOT_DETERMINISTIC)  # answers without a template to go on with
REFUSALS = (*REFUSED, ADMISSION_CHANGED)  # a target that was refused for these starts once the answer is another


def mark(builder: ReleaseBuilder, stored: bool | None, reason: str, message: str) -> None:
    """Sets the condition, with an Event where it is news; a Release whose templates were always stored as decided has none."""
    before = conditions.get(builder.status.conditions, STORED_AS_DECIDED)
    if stored is not True or before is not None:
        builder.condition(STORED_AS_DECIDED, stored, reason, message[:1000])
    if stored is not True and (before is None or before.reason != reason):
        builder.event(reason, message, "Warning")


def without_effect(facts: ReleaseFacts, workload: WorkloadFacts, decided: str, since: datetime) -> str:
    """What was stored, where a write of this revision since then left live as it was; empty where it had effect or was not made.

    Such a write is not repeated: it would be answered in the same way, for ever.
    """
    written = facts.written
    if written is None or written.decided != decided or written.at < since or written.stored != workload.own_digest:
        return ""
    return f"the API server left the template as it was: {identity.sentence(facts.templates.get(decided, {}), workload.template)}"


def was_stored_instead(facts: ReleaseFacts, workload: WorkloadFacts, decided: Revision) -> bool:
    """True where live is what the API server made of our own write of this revision.

    This process knows the answer to its own write. After a restart managedFields say that opsloop was the last to write
    the template; only fields that somebody took away meanwhile would not show. Images that cannot be the decided ones
    are never the same revision.
    """
    written = facts.written
    if written is not None and written.decided == decided.digest:
        ours = written.stored == workload.own_digest
    else:
        ours = workload.manager == FIELD_MANAGER
    return ours and identity.may_be_same_images(decided.images, images_of(workload.template))


def note_stored_instead(builder: ReleaseBuilder, workload: WorkloadFacts, decided: Revision) -> None:
    """Says once what was stored instead of what was decided."""
    template = builder.facts.templates.get(decided.digest, {})
    changed = f"{decided.version} was stored with another template: {identity.sentence(template, workload.template)}"
    mark(builder, False, ADMISSION_CHANGED, changed)
