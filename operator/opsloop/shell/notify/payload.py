"""What a receiver is told of a message: flat JSON, which is also what templates see."""

from datetime import datetime

from opsloop.api.meta import format_time
from opsloop.core.actions import SendPage
from opsloop.shell.ports import Object


def alert_of(action: SendPage) -> str:
    """Key of the alert at receivers that a message is about."""
    return action.message.group or action.alert or action.thread


def payload(namespace: str, action: SendPage, now: datetime) -> Object:
    """The message with the dedup_key of its alert, its action, and its own id; `sentAt` differs from try to try."""
    message, about = action.message, action.about
    since = about.since or message.decided_at
    return {
        "dedup_key": alert_of(action),
        "message_id": f"{action.thread}/{message.number}",
        "action": message.action,
        "reason": message.reason,
        "severity": message.severity,
        "title": action.title,
        "message": message.text,
        "kind": about.kind,
        "incident": action.incident if about.kind == "Incident" else "",
        "release": action.incident if about.kind == "Release" else "",
        "namespace": namespace,
        "service": about.service,
        "team": about.team,
        "runbook": about.runbook,
        "number": message.number,
        "group": message.group,
        "openedBy": about.opened_by or action.incident,
        "openedFor": about.opened_for or about.service,
        "openedTeam": about.opened_team if about.opened_by else about.team,
        "severities": list(about.called) or [message.severity],
        "startedAt": format_time(since),
        "decidedAt": format_time(message.decided_at),
        "sentAt": format_time(now),
        "details": dict(action.details),
    }
