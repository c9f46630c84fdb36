"""What a Release that was deleted and made again remembers: the revisions that Incidents and EvalCases still know as bad.

Their stored templates outlive the Release (`shell.reconcile.garbage`), so what was blocked is found again by its digest.
A canary that was rejected without an Incident leaves nothing behind that could be asked.
"""

from collections.abc import Iterator
from datetime import datetime

from opsloop.api.revision import Blocked, Revision
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release import revisions

# Named reasons
REMEMBERED = "Remembered"  # an Incident or EvalCase of an earlier Release of this name knows this revision as bad


def remembered(facts: ReleaseFacts, workload: WorkloadFacts, now: datetime) -> list[Revision]:
    """The blocked revisions, numbered after the adopted one. What is live now is adopted as it is, whatever it did before."""
    known = {digest: incident for digest, incident in _known_bad(facts) if digest in facts.templates}
    known.pop(workload.digest, None)
    return [_revision(facts, digest, known[digest], n, now) for n, digest in enumerate(sorted(known), start=2)]


def _known_bad(facts: ReleaseFacts) -> Iterator[tuple[str, str]]:
    """(digest, Incident) of each revision that proved to be bad."""
    for case in facts.cases:
        if case.spec.proof is not None and case.status.proven == "True":
            yield case.spec.proof.bad, case.spec.origin.incident
    for incident in facts.incidents:
        for digest in incident.status.blocked:
            yield digest, incident.metadata.name


def _revision(facts: ReleaseFacts, digest: str, incident: str, number: int, now: datetime) -> Revision:
    images = revisions.images_of(facts.templates[digest])
    spec = facts.release.spec
    message = f"{incident or 'an EvalCase'} knows it as bad, from before this Release was made again"
    return Revision(
        digest=digest,
        number=number,
        version=revisions.version_of(images, spec.images, spec.version),
        images=images,
        reason=REMEMBERED,
        first_seen=now,
        blocked=Blocked(reason=REMEMBERED, message=message, incident=incident, at=now),
    )
