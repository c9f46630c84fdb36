"""Errands of a Runbook: webhooks and Jobs. Recorded before they are made, and made once, wherever the process dies.

A Job has a name that every process computes, so that creating it again is nothing. A call leaves no trace that another process
could find, so one that may have been made is never made again.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opsloop.api.errand import Job, Webhook
from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.meta import API_VERSION, format_duration
from opsloop.api.play import Play
from opsloop.api.runbook import Runbook
from opsloop.api.runbook_step import RunbookStep
from opsloop.core.actions import CallWebhook, EndJob, StartJob
from opsloop.core.errands import job as jobs
from opsloop.core.errands.addresses import allowed, shown
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import timeline
from opsloop.core.incident.effect import Ending
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.runbook.ready import ADDRESS_NOT_ALLOWED
from opsloop.core.stop import STOPPED
from opsloop.names import INCIDENT

# Named reasons
OUTCOME_UNKNOWN = "OutcomeUnknown"  # opsloop ended in the middle of a call: it may have been heard, and is not repeated
WEBHOOK_FAILED = "WebhookFailed"  # the address answered, but not with 2xx, or did not answer
JOB_FAILED = "JobFailed"  # the Job failed, or took longer than its deadline
JOB_GONE = "JobGone"  # somebody deleted the Job
JOB_ENDED = "JobEnded"  # a Stop, or time, ended the Job while it ran

LOOK = timedelta(seconds=5)  # a Job is not watched
CREATED_WITHIN = timedelta(minutes=5)  # a Job that is not there for longer may have been and gone
OVERDUE = timedelta(minutes=2)  # after its deadline, at which Kubernetes ends it
LONGEST_TAIL = 700  # characters of a log in the timeline


def webhook_plan(facts: IncidentFacts, status: IncidentStatus, hook: Webhook, current: Play) -> str | Ending:
    """The call in words, or why it must not be made."""
    namespace = facts.incident.metadata.namespace
    if allowed(facts.addresses, hook.url, namespace) is None:
        text = f"{shown(hook.url)} is none of the addresses that opsloop's settings let Runbooks of {namespace} call"
        return Ending("Refused", ADDRESS_NOT_ALLOWED, text)
    return f"POST {shown(hook.url)} {json.dumps(payload(facts.incident, status, hook, current), ensure_ascii=False)}"


def job_plan(facts: IncidentFacts, book: Runbook, job: Job, current: Play) -> str:
    """The Job in words."""
    name = jobs.job_name(facts.incident.metadata.name, current.step, current.attempt)
    token = "with" if job.token else "without"
    run = " ".join([*job.command, *job.args])
    what = f"image {job.image}{f', {run}' if run else ''}"
    who = f"as ServiceAccount {book.spec.service_account_name} {token} its token"
    return f"create Job {name}: {what}, {who}, ended after {format_duration(job.deadline)}"


def payload(incident: Incident, status: IncidentStatus, hook: Webhook, current: Play) -> dict[str, Any]:
    """What a webhook gets."""
    meta, cause = incident.metadata, status.cause
    return {
        "incident": meta.name,
        "namespace": meta.namespace,
        "release": incident.spec.release,
        "service": incident.spec.service,
        "severity": status.severity,
        "title": status.title or incident.spec.title,
        "cause": cause.kind if cause else "unknown",
        "version": cause.version if cause else "",
        "play": f"{current.type}-{current.attempt}",
        "message": hook.message,
    }


def begin(decision: IncidentBuilder, book: Runbook, step: RunbookStep, running: Play) -> None:
    """Makes the call, or creates the Job, after the status that says so is stored."""
    incident, status = decision.facts.incident, decision.status
    meta = incident.metadata
    if step.webhook is not None:
        key = f"{meta.uid or meta.name}-{running.type}-{running.attempt}"
        body = payload(incident, status, step.webhook, running)
        decision.execute(CallWebhook("Incident", meta.name, errand_of(running), step.webhook.url, body, key))
    if step.job is not None:
        decision.execute(_start(incident, status, book, step.job, running))
    decision.look_again(LOOK)


def _start(incident: Incident, status: IncidentStatus, book: Runbook, job: Job, play: Play) -> StartJob:
    name = jobs.job_name(incident.metadata.name, play.step, play.attempt)
    variables = {
        "OPSLOOP_INCIDENT": incident.metadata.name,
        "OPSLOOP_RELEASE": incident.spec.release,
        "OPSLOOP_SERVICE": incident.spec.service,
        "OPSLOOP_SEVERITY": status.severity,
        "OPSLOOP_CAUSE": status.cause.kind if status.cause else "unknown",
    }
    body = manifest(name, incident, book.spec.service_account_name, job, variables)
    return StartJob("Incident", incident.metadata.name, errand_of(play), body)


def errand_of(play: Play) -> str:
    """What the errand of a play is called among those of its Incident."""
    return f"{play.type}-{play.attempt}"


def manifest(name: str, incident: Incident, account: str, job: Job, variables: Mapping[str, str]) -> dict[str, Any]:
    """The Job of a play, owned by its Incident."""
    meta = incident.metadata
    labels = {INCIDENT: meta.name[:63].rstrip("-.")}
    owner = jobs.owned_by(API_VERSION, "Incident", meta)
    return jobs.manifest({"name": name, "namespace": meta.namespace, "labels": labels}, owner, account, job, variables)


def watch(decision: IncidentBuilder, book: Runbook | None, step: RunbookStep | None, current: Play) -> Play | Ending:
    """How an errand that is not in effect yet ends, or the play as it goes on."""
    errand = decision.facts.errand
    if errand is None:
        return _unseen(decision, book, step, current)
    if errand.state == "Refused":
        return Ending("Refused", errand.reason, errand.message)
    if errand.state == "Failed":
        return Ending("NotProven", JOB_FAILED if current.type == "job" else WEBHOOK_FAILED, errand.message)
    if errand.state == "Going":
        decision.look_again(LOOK)
        if current.type == "job" and _must_end(decision, step, current):
            _end_job(decision, current)  # at each look until it is gone
    return current.model_copy(update={"seen_at": current.seen_at or decision.now})


def _unseen(decision: IncidentBuilder, book: Runbook | None, step: RunbookStep | None, current: Play) -> Play | Ending:
    if current.type == "webhook":
        text = "opsloop ended while it was called: it may have been heard, so it is not called again"
        return Ending("NotProven", OUTCOME_UNKNOWN, text)
    if current.seen_at is not None:
        why = _must_end(decision, step, current)
        return Ending("NotProven", JOB_ENDED if why else JOB_GONE, why or "somebody deleted the Job")
    job, called = step.job if step is not None else None, current.called_at or decision.now
    if decision.facts.stop is not None:
        return Ending("Refused", STOPPED, "opsloop was stopped before the Job was created")
    if book is None or job is None or decision.now - called > CREATED_WITHIN:
        return Ending("NotProven", OUTCOME_UNKNOWN, "the Job is not there, and may have been: it is not created again")
    decision.execute(_start(decision.facts.incident, decision.status, book, job, current))
    decision.look_again(LOOK)
    return current


def _must_end(decision: IncidentBuilder, step: RunbookStep | None, current: Play) -> str:
    """Why a Job that runs is ended; empty where it goes on."""
    if decision.facts.stop is not None:
        return f"the Job was ended: {decision.facts.stop.sentence}"
    if step is None or step.job is None:
        return "the Job was ended: its Runbook is gone, or has no such step any more"
    deadline = step.job.deadline
    if decision.now - (current.called_at or decision.now) > deadline + OVERDUE:
        return f"the Job did not end by its deadline of {format_duration(deadline)}, nor did Kubernetes end it"
    return ""


def end_with(decision: IncidentBuilder, current: Play) -> bool:
    """Ends the Job of a play that ends before it: no play speaks of it any more, so no Stop would reach it. True where it runs."""
    errand = decision.facts.errand
    runs = current.type == "job" and errand is not None and errand.state == "Going"
    if runs:
        _end_job(decision, current)
    return runs


def _end_job(decision: IncidentBuilder, current: Play) -> None:
    incident = decision.facts.incident.metadata.name
    decision.execute(EndJob(incident, jobs.job_name(incident, current.step, current.attempt)))


def tell_log(decision: IncidentBuilder, current: Play) -> None:
    """The end of the log of a Job that ended, once."""
    errand = decision.facts.errand
    if errand is not None and errand.tail:
        key, text = f"log-{current.type}-{current.attempt}", f"the Job's log ends: {errand.tail[-LONGEST_TAIL:]}"
        timeline.record(decision, key, errand.at or decision.now, "JobLog", text, "job")
