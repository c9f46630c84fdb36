"""Takes blame back: a rollback that did not help, or that came after the harm, says that its revision was not the cause.

It clears the revision in the ranking, not in its right to ship: its block becomes `NeedsCanary` on the Release.
"""

from opsloop.api.cause import Cause, Evidence
from opsloop.api.incident import IncidentStatus
from opsloop.core.incident import timeline
from opsloop.core.incident.effect import Ending
from opsloop.core.incident.state import IncidentBuilder

# Named reasons
EXONERATED = "Exonerated"  # the blamed revision was rolled back, and the harm had another cause

MOST_EXONERATED = 20
MOST_EVIDENCE = 20


def exonerate(decision: IncidentBuilder, ending: Ending) -> None:
    """Corrects the cause after a rollback that ended so; once for each revision."""
    ordered, status = decision.status.rollback, decision.status
    if ordered is None or ordered.from_digest in status.exonerated:
        return
    decision.set(
        exonerated=[*status.exonerated, ordered.from_digest][-MOST_EXONERATED:],
        cause=_corrected(status, ordered.from_digest, ending.message),
    )
    version = status.cause.version if status.cause else ordered.from_digest
    text = f"{version} is not blamed any more: {ending.message}; it may go again as a canary"
    timeline.record(decision, f"exonerated-{ordered.attempt}", decision.now, "Exonerated", text)
    decision.event("Exonerated", text)


def _corrected(status: IncidentStatus, digest: str, why: str) -> Cause | None:
    """The cause without the blame for this revision; another one that was found meanwhile stays."""
    cause = status.cause
    if cause is None or cause.revision != digest:
        return cause
    note = Evidence(name="exonerated", value=f"{cause.version}: {why}"[:512], source="what happened after the rollback")
    return Cause(kind="unknown", reason=EXONERATED, evidence=[*cause.evidence[: MOST_EVIDENCE - 1], note])
