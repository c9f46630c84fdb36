"""On whose word a requested play runs: the Runbook's grant, how sure the cause is, and whether the harm is seen at present."""

from datetime import datetime, timedelta

from opsloop.api.incident import IncidentStatus
from opsloop.api.play import Play
from opsloop.api.runbook import Grant, Runbook
from opsloop.api.runbook_step import RunbookStep
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import choice
from opsloop.core.incident.cause import is_over_now, ranking
from opsloop.core.incident.effect import ACTED, Ending, limit_of
from opsloop.core.incident.paging import NO_RUNBOOK
from opsloop.core.incident.state import IncidentBuilder, harmed_names
from opsloop.core.release.silence import READ, told_in
from opsloop.core.runbook.decide import DRY_RUN, is_void
from opsloop.core.slo.burn_rate import TELEMETRY_UNKNOWN
from opsloop.core.slo.merged import about

# Named reasons
NOT_SURE_ENOUGH = "NotSureEnough"  # the confidence in the cause is below safety.minConfidence: a person has the ranking
HARM_IS_OVER = "HarmIsOver"  # the last intervals surely show no harm: nothing is undone for what is over

PATIENCE = timedelta(minutes=1)  # four scrapes: evidence of a harm that goes on has grown by then, if it ever does


def step_of(book: Runbook | None, play: Play) -> RunbookStep | None:
    """The step that a play runs; None where it is gone from its Runbook, or is of another type by now."""
    if book is None or play.runbook != book.metadata.name or play.step >= len(book.spec.steps):
        return None
    step = book.spec.steps[play.step]
    return step if step.type == play.type else None


def grant_of(facts: IncidentFacts, current: Play) -> Grant | None:
    """The Runbook's last answer to this very play."""
    book = runbook_of(facts, current)
    key = facts.incident.metadata.name, current.step, current.attempt
    grants = [g for g in (book.status.grants if book else []) if (g.incident, g.step, g.attempt) == key]
    grants = [g for g in grants if g.type in ("", current.type)]
    if book is None or not grants or is_void(grants[-1], book, facts.incident, current):
        return None
    return grants[-1]


def is_rehearsed(grant: Grant | None) -> bool:
    """True for a play of a dry run: it goes the way of one that is granted, up to the act."""
    return grant is not None and grant.reason == DRY_RUN


def refusal(facts: IncidentFacts, status: IncidentStatus, current: Play, now: datetime) -> Ending | None:
    """Why a requested play does not run; the first check that has a reason decides. None: it runs, is delayed, or waits for
    its grant."""
    grant = grant_of(facts, current)
    if runbook_of(facts, current) is None:
        return Ending("Refused", NO_RUNBOOK, f"Runbook {current.runbook} is gone")
    rehearsed = is_rehearsed(grant)
    if grant is not None and not grant.granted and grant.not_before is None and not rehearsed:
        return Ending("Refused", grant.reason, grant.message)
    if grant is None or not (grant.granted or rehearsed) or current.type not in ACTED:
        return None
    return _not_sure(facts, status, current, now)


def _not_sure(facts: IncidentFacts, status: IncidentStatus, current: Play, now: datetime) -> Ending | None:
    """Refused where the cause has not become sure enough within PATIENCE, or nobody could read the SLI for as long as that is
    told. Where a person approves, the person is sure."""
    if (text := doubt(facts, status, current)) and now - current.requested_at >= PATIENCE:
        return Ending("Refused", NOT_SURE_ENOUGH, text)
    told = facts.root is not None and told_in(facts.root.release, now) == timedelta(0)
    if told and (text := blind(facts, status, current)):
        return Ending("Refused", TELEMETRY_UNKNOWN, text)
    return None


def doubt(facts: IncidentFacts, status: IncidentStatus, current: Play) -> str:
    """Why a play that undoes something may not run by itself yet; empty where it may."""
    book, cause = runbook_of(facts, current), status.cause
    if book is None or cause is None or _asks_a_person(book) or not _rests_on_cause(book, status, current):
        return ""
    sure = book.spec.safety.min_confidence
    if cause.confidence < sure:
        blamed = f"{cause.version or cause.object or cause.kind} is blamed with {cause.confidence:.2f}"
        return f"{blamed}, safety.minConfidence is {sure:g}: {ranking(cause)}"
    return ""


def patience(book: Runbook, status: IncidentStatus, now: datetime) -> timedelta:
    """Time for which a Runbook for unknown causes waits for the cause to be found; zero or less for any other."""
    if not choice.names(book, status, "unknown"):
        return timedelta(0)
    reopened = next((e.at for e in status.timeline if e.key == f"reopened-{status.reopened}"), None)
    return PATIENCE - (now - (reopened or status.detected_at or now))


def _asks_a_person(book: Runbook) -> bool:
    return book.spec.safety.mode == "approve"


def _rests_on_cause(book: Runbook, status: IncidentStatus, current: Play) -> bool:
    """True for a play that is wrong where the cause is another one. Taking a canary out only lowers, and what is for unknown
    causes rests on none."""
    if current.type == "rollback":
        return True
    if choice.names(book, status, "unknown"):
        return False
    return bool(book.spec.match.causes) and current.type in ACTED and current.type != "abortCanary"


def blind(facts: IncidentFacts, status: IncidentStatus, current: Play) -> str:
    """Why a play that undoes something waits for a reading: by itself it is done only while the harm can be read.

    Harm that pods show, without a burn, needs no SLI.
    """
    book, root = runbook_of(facts, current), facts.root
    if book is None or root is None or status.burn is None or _asks_a_person(book):
        return ""
    verdicts = [about(root.readings, name).verdict for name in harmed_names(status, root)]
    if any(v is not None and (v.band != "unknown" or v.reason in READ) for v in verdicts):
        return ""
    return "the SLI is unknown: nothing is undone for a harm that nobody sees at present"


def runbook_of(facts: IncidentFacts, current: Play) -> Runbook | None:
    """The Runbook that a play is of; None where it is gone."""
    return next((b for b in facts.runbooks if b.metadata.name == current.runbook), None)


def hesitation(decision: IncidentBuilder, current: Play) -> tuple[str, str] | None:
    """(reason, message) why a granted act waits: for more evidence, or because the harm is over at present."""
    facts, status = decision.facts, decision.status
    if current.type not in ACTED:
        return None
    if text := doubt(facts, status, current):
        return NOT_SURE_ENOUGH, text
    if text := blind(facts, status, current):
        return TELEMETRY_UNKNOWN, text
    root = facts.root if status.burn is not None else None  # without a pod no SLI can say that the harm is over
    if root is not None and all(
        is_over_now(about(root.readings, name).harm, limit_of(status, name)) for name in harmed_names(status, root)
    ):
        return HARM_IS_OVER, "the last intervals do not show the harm any more"
    return None
