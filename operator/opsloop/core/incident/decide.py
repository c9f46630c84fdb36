"""The Incident's decision, in the order of the loop: detect, page, explain, mitigate, recover, learn, ship."""

from dataclasses import replace
from datetime import datetime, timedelta

from opsloop.api.cause import Cause, Evidence
from opsloop.api.incident import REOPEN_GRACE, BurnSignal, IncidentSpec, IncidentStatus
from opsloop.api.meta import Severity
from opsloop.core import conditions
from opsloop.core.alerts import ledger
from opsloop.core.alerts.labels import loudness, severity_of
from opsloop.core.decision import Decision
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.incident import (
    blindness,
    bounds,
    delivery,
    dependencies,
    followup,
    lifecycle,
    merging,
    outage,
    outage_cause,
    pacing,
    paging,
    people,
    plays,
    sampling,
    stopped,
    timeline,
    watching,
)
from opsloop.core.incident import cause as causes
from opsloop.core.incident.effect import ACTED, limit_of
from opsloop.core.incident.people import MOST_TOLD
from opsloop.core.incident.retention import FOR_EVER, expire
from opsloop.core.incident.state import IncidentBuilder, burn_signal, burns_of, harmed_names, is_harmed, worse
from opsloop.core.release import revisions
from opsloop.core.slo.age import view_as_of
from opsloop.core.slo.merged import about, unread, verdicts
from opsloop.core.slo.objectives import label
from opsloop.core.topology import Topology

MOST_AFFECTED = 64
SLI_SILENT = timedelta(minutes=1)  # longer than a restart of Prometheus' client or one failed read; short for an outage
MOST_TICKETS = 100
MOST_ALSO = 8  # of status.alsoBurned


def decide(
    facts: IncidentFacts,
    now: datetime,
    grace: timedelta = REOPEN_GRACE,
    retention: timedelta = FOR_EVER,
) -> Decision:
    """What follows for one Incident; `grace` is the time after its resolution in which a new breach reopens it, `retention`
    the time after which it is deleted."""
    facts = replace(
        facts,
        root=view_as_of(facts.root, now) if facts.root else None,
        releases=tuple(view_as_of(view, now) for view in facts.releases),
    )
    decision, topology = IncidentBuilder(facts, facts.incident.status, now), Topology(facts.releases)
    decision.set(observed_generation=facts.incident.metadata.generation, dropped={})
    _record_signal(decision)
    _record_evidence(decision)
    people.record(decision)
    people.record_acts(decision)
    if not decision.status.merged_into:
        _merge_or_act(decision, topology, grace)
    watching.withdraw(decision)
    delivery.deliver(decision)
    bounds.fit(decision)
    pacing.pace(decision)
    followup.postmortem(decision)
    expire(decision, retention)
    return decision.build()


def _merge_or_act(decision: IncidentBuilder, topology: Topology, grace: timedelta) -> None:
    facts, status = decision.facts, decision.status
    other = merging.emptied_into(facts, status)
    other = other or merging.merge_target(facts.incident, status, facts.root, facts.incidents, topology, decision.now)
    if other is not None:
        lifecycle.merge(decision, other)
        return
    lifecycle.reopen(decision, grace)
    is_open = decision.status.phase != "Resolved"
    if is_open:
        stopped.tell(decision)
        outage.record(decision)
        blindness.record(decision)
        _record_burn(decision, topology)
        _record_onset(decision)
    paging.page(decision, topology)
    if is_open:
        _record_affected(decision, topology)
        _record_dependency(decision, topology)
        _explain(decision, topology)
        sampling.sample(decision)
        plays.play(decision, topology)
        lifecycle.recover(decision)
    followup.learn(decision)


def _record_signal(decision: IncidentBuilder) -> None:
    """The signal that opened the Incident, once."""
    spec, status = decision.facts.incident.spec, decision.status
    signal = spec.signal
    if status.detected_at is not None:
        return
    severity = worse(status.severity, signal.severity)
    decision.set(detected_at=signal.at, severity=severity, burn=signal.burn, title=title(spec, signal.burn))
    if signal.kind == "workload":
        decision.set(outage_at=signal.at)
    timeline.record(decision, "detected", signal.at, "Detected", signal.message or spec.title)
    decision.event("Opened", f"{signal.severity}: {spec.title}", "Warning")


def title(spec: IncidentSpec, burn: BurnSignal | None) -> str:
    """The harm in one line; the title that came with the signal says less once an SLO shows what users feel."""
    if burn is None:
        return spec.title
    harm = f"{label(burn.slo)}{burn.error_ratio:.0%} of events {burn.wrong}"
    return f"{spec.service}: {harm}, error budget burning {burn.burn_short:.0f}x"[:256]


def _record_evidence(decision: IncidentBuilder) -> None:
    """Alerts and tickets of the ledger: counts are derived, so that filing an alert twice changes nothing."""
    facts = decision.facts
    counts, tickets = ledger.counts(facts.ledger, facts.heard_since), ledger.tickets_of(facts.ledger)[:MOST_TICKETS]
    decision.set(alerts=counts, tickets=tickets, severity=severity_by_alerts(facts, decision.status, decision.now))
    if counts.first_at is not None and counts.sample:
        first = counts.sample[0]
        text = f"first alert: {first.name}{f' on {first.service}' if first.service else ''}"
        timeline.record(decision, "first-alert", counts.first_at, "Alerts", text, "alertmanager")
    timeline.record_moves(decision, facts.ledger.moves)
    people.record_corrections(decision, facts.ledger.corrections)
    for ticket in tickets[:MOST_TOLD]:
        text = f'ticket {ticket.id} "{ticket.subject}" linked with score {ticket.score:.2f}'
        timeline.record(decision, f"ticket-{ticket.id}", ticket.received_at, "Ticket", text, "intake", ticket.evidence)


def severity_by_alerts(facts: IncidentFacts, status: IncidentStatus, now: datetime) -> Severity:
    """Where no SLO decides, a critical alert that comes after a warning makes the Incident page. Severity only rises."""
    told = [loudness(alert) for alert in facts.ledger.alerts if alert.status == "firing"]
    loudest = max((*told, *(page.tally.loudest for page in facts.ledger.pages)), default=-1)
    if loudest < 0 or status.phase == "Resolved":
        return status.severity
    quiet = facts.incident.spec.signal.kind == "housekeeping" or slo_decides(facts.root, now)
    return worse(status.severity, severity_of(loudest, quiet))


def slo_decides(root: ReleaseView | None, now: datetime) -> bool:
    """True where the root's SLO decides who is paged: it has one, and its SLI is not unknown for SLI_SILENT or longer.

    The SLI is silent exactly in the worst outage (all pods dead, Prometheus away), so alerts speak then. Telemetry that
    flaps is silent too: the pieces of the last two minutes count together.
    """
    if root is None or root.release.spec.slo is None or root.readings.silent >= SLI_SILENT:
        return False
    telemetry, verdict = conditions.get(root.release.status.conditions, "TelemetryKnown"), root.readings.verdict
    if telemetry is None or telemetry.status != "False" or verdict is None or unread(verdict) is None:
        return True
    return now - telemetry.last_transition_time < SLI_SILENT


def _record_burn(decision: IncidentBuilder, topology: Topology) -> None:
    """A tier that fires on the root: evidence, and the severity that goes with it. Severity only rises.

    While what it depends on is harmed, the dependency's Incident pages and this one waits to be merged.
    """
    facts, status = decision.facts, decision.status
    verdict = facts.root.readings.verdict if facts.root else None
    if facts.root is None or verdict is None or verdict.firing is None:
        return
    slo = facts.root.release.spec.slo
    tier, signal = verdict.firing.tier, burn_signal(verdict, slo)
    if status.burn is None:
        if dependencies.explaining_of(facts, topology, decision.now):
            return
        # Harm that begins now is neither mitigated nor back, even if the alerts that had opened the Incident are resolved.
        decision.set(phase="Open", mitigated_at=None, back_since=None)
        decision.set(burn=signal, detected_at=verdict.at, title=title(facts.incident.spec, signal))
        _tell_burn(decision, "burn", "Detected", verdict.at, tier.severity, signal)
    known = [burn.slo for burn in burns_of(decision.status)]
    for other in verdicts(verdict):
        if other.firing is not None and other.name not in known:
            also = burn_signal(other, slo)
            decision.set(also_burned=[*decision.status.also_burned, also][:MOST_ALSO])
            _tell_burn(decision, f"burn-{also.slo}", "AlsoBurns", other.at, other.firing.tier.severity, also)
    decision.set(severity=worse(decision.status.severity, tier.severity))


def _tell_burn(
    decision: IncidentBuilder, key: str, type_: str, at: datetime, severity: Severity, burn: BurnSignal
) -> None:
    """An entry and an Event with the numbers of a tier that fires."""
    what = f"{burn.error_ratio:.0%} of events {burn.wrong}, " if label(burn.slo) else ""
    text = f"{label(burn.slo)}{what}burn rate {burn.burn_long:.1f} over {burn.long} and {burn.burn_short:.1f} over {burn.short}"
    evidence = [burn_evidence(burn)]
    timeline.record(decision, key, at, type_, f"{text}, both above {burn.factor:g}", evidence=evidence)
    decision.event("BurnRate", f"{severity}: {text}", "Warning")


def burn_evidence(burn: BurnSignal) -> Evidence:
    """The error ratio behind a burn, with its source."""
    value = f"{burn.error_ratio:.1%} {burn.wrong}; {burn.bad:.0f} of {burn.total:.0f} events over {burn.long}"
    source = f"SLI {burn.slo}" if label(burn.slo) else "SLI"
    return Evidence(name="error ratio", value=value, source=f"{source} against objective {burn.objective:g}")


def _record_onset(decision: IncidentBuilder) -> None:
    """The onset of the burn, once. A stretch of burn that began after the detection is another one: its onset is not it."""
    status, root = decision.status, decision.facts.root
    onset = about(root.readings, status.burn.slo).onset if root and status.burn else None
    if onset is None or status.onset_at is not None:
        return
    if status.detected_at is not None and onset > status.detected_at:
        return
    decision.set(onset_at=onset)
    text = f"{decision.facts.incident.spec.service}: error ratio rose above the error budget"
    timeline.record(decision, "onset", onset, "Onset", text, "prometheus")


def harmed_dependents(facts: IncidentFacts, topology: Topology) -> list[str]:
    """Releases that depend on the root and breach their SLO as well."""
    name = facts.root.release.metadata.name if facts.root else ""
    return [n for n in sorted(topology.views) if name in topology.dependencies(n) and is_harmed(topology.views[n])]


def _record_affected(decision: IncidentBuilder, topology: Topology) -> None:
    root = decision.facts.root
    for name in harmed_dependents(decision.facts, topology):
        verdict, affected = topology.views[name].readings.verdict, decision.status.affected
        if verdict is None or root is None or name in affected or len(affected) >= MOST_AFFECTED:
            continue
        decision.set(affected=[*affected, name])
        text = f"{name} depends on {root.release.metadata.name} and breaches too"
        timeline.record(decision, f"affected-{name}", verdict.at, "Affected", text)


def _record_dependency(decision: IncidentBuilder, topology: Topology) -> None:
    """The Incidents of what the root depends on and what is harmed now: they are open beside this one, each with its own page."""
    facts, status = decision.facts, decision.status
    for name in dependencies.explaining(facts.root, status.severity, facts.incidents, topology, decision.now):
        other = dependencies.incident_on(name, facts.incidents)
        if other is not None and other.is_open:
            text = f"{name}, on which this depends, breaches too: {other.metadata.name}"
            timeline.record(decision, f"dependency-{other.metadata.name}", decision.now, "Dependency", text)


def _explain(decision: IncidentBuilder, topology: Topology) -> None:
    """The cause. Once people were told of it, or a play was chosen on it, it is not renamed; only surer."""
    status, root, now = decision.status, decision.facts.root, decision.now
    if root is None or status.phase == "Mitigated":
        return
    if status.burn is None:
        outage_cause.explain(decision, topology)
        return
    if any(play.type in ACTED and play.state == "Running" for play in status.plays[-1:]):
        return  # judged by what happens after it, not by more of what was before
    harmed = dependencies.explaining_of(decision.facts, topology, now)
    own = about(root.readings, next(iter(harmed_names(status, root)), ""))  # evidence is of the SLI that is harmed
    root = replace(root, readings=own)
    onset, limit = causes.began_at(status, root, now), limit_of(status)
    cause = causes.explain(root, topology, onset, harmed, status.exonerated, limit=limit)
    if not causes.replaces(status, cause):
        return
    decision.set(cause=cause)
    if cause.kind == "bad_release":
        _record_change(decision, topology, cause)
    if cause.object and cause.changed_at is not None:
        text = f"{cause.object}, by {cause.manager or 'an unknown manager'}"
        timeline.record(
            decision, f"change-{cause.object}", cause.changed_at, "Change", text, evidence=cause.evidence[:4]
        )


def _record_change(decision: IncidentBuilder, topology: Topology, cause: Cause) -> None:
    """The blamed change, at its own time, on whichever Release it was."""
    root = decision.facts.root
    own = root is not None and root.release.metadata.name == cause.release
    view = root if own else topology.views.get(cause.release)
    blamed = revisions.find(view.release.status.revisions, cause.revision) if view else None
    if view is None or blamed is None:
        return
    live = view.release.status.live == blamed.digest
    at = (blamed.live_since if live else blamed.served_since) or blamed.first_seen
    how = ", without a canary" if blamed.shipped_without_canary else ""
    what = f"became live{how}" if live else "took traffic as a canary"
    text = f"{cause.version} {what}" if own else f"{cause.release} {cause.version} {what}"
    timeline.record(decision, f"change-{cause.revision}", at, "Change", text, evidence=cause.evidence[:4])
