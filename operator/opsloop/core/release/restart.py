"""A person's order to start live's pods anew: the stamp that `kubectl rollout restart` sets, written under the Release's eyes.

The stamp is no new revision (`stamps`): nothing is canaried. Recorded first; the order stands until the Deployment has its stamp.
"""

import copy
from datetime import timedelta
from typing import Any

from opsloop.api.meta import format_time
from opsloop.api.records import Command
from opsloop.api.release import ReleaseStatus
from opsloop.core.actions import SetTemplate
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import ReleaseBuilder, revisions
from opsloop.core.release.commands import OBEYED, answer, find, new_value, order, refuse
from opsloop.core.release.pods import TICK
from opsloop.core.release.rollout_state import DEPLOYMENT_PAUSED, WRITE_REFUSED, refusal_of
from opsloop.core.release.stamps import RESTARTED_AT
from opsloop.core.release.undo import ROLLBACK_UNDER_WAY

# Named reasons
RESTARTING = "Restarting"  # the order is recorded, and the Deployment has not its stamp yet
NOTHING_TO_RESTART = "NothingToRestart"  # live is another version than the order names, or is being replaced
RESTART_OVERTAKEN = "RestartOvertaken"  # another template came before the stamp was written: all pods start anew anyway

WRITTEN_WITHIN = timedelta(
    minutes=1
)  # a write is one request; what does not go through for so long is said and given up


def restart(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Records opsloop.dev/restart=VERSION (live's), and writes its stamp until the Deployment has it."""
    value = new_value(builder, "restart")
    if value:
        _take(builder, workload, value)
    command = find(builder.status, "restart")
    if command is not None and is_under_way(builder.status):
        _carry_out(builder, workload, command)


def is_under_way(status: ReleaseStatus) -> bool:
    """True until the stamp of the last order was seen on the Deployment, or it has failed."""
    command = find(status, "restart")
    return command is not None and command.reason == RESTARTING


def _take(builder: ReleaseBuilder, workload: WorkloadFacts, value: str) -> None:
    facts, status = builder.facts, builder.status
    live = revisions.find(status.revisions, status.live)
    if facts.stop is not None:
        refuse(builder, "restart", value, facts.stop.named_reason, facts.stop.sentence)
    elif live is None or order(value) not in (live.version, live.digest):
        now = f"live is {live.version} ({live.digest})" if live else "nothing is live yet"
        refuse(builder, "restart", value, NOTHING_TO_RESTART, f"{order(value)}: {now}")
    elif status.rollback is not None and status.rollback.is_active:
        refuse(builder, "restart", value, ROLLBACK_UNDER_WAY, "live is being rolled back, which starts new pods anyway")
    elif status.target is not None and status.target.state == "Promoting" and status.target.digest != status.live:
        text = f"{status.target.version} is being promoted, which starts new pods anyway"
        refuse(builder, "restart", value, NOTHING_TO_RESTART, text)
    elif workload.rollout.paused:
        text = f"Deployment {workload.name} is paused: Kubernetes would start no pod"
        refuse(builder, "restart", value, DEPLOYMENT_PAUSED, text)
    else:
        text = f"the pods of {live.version} are to start anew"
        answer(builder, Command(name="restart", value=value, digest=live.digest, reason=RESTARTING, message=text, at=builder.now))  # fmt: skip


def _carry_out(builder: ReleaseBuilder, workload: WorkloadFacts, command: Command) -> None:
    stamp = format_time(command.at)
    refusal = refusal_of(builder.facts, "template", workload.digest)
    if refusal is not None and refusal.again_at <= command.at:
        refusal = None  # of a write before this order: it is worth another try
    if stamp_of(workload.template) == stamp and workload.guard is not None and not workload.rollout.observed:
        builder.look_again(TICK)  # a tool may write over it before Kubernetes has made a ReplicaSet of it
    elif stamp_of(workload.template) == stamp:
        _end(builder, command, OBEYED, "the pods of live start anew, by the Deployment's own strategy")
        builder.event("Restarted", f"{workload.name}: its pods start anew, as ordered")
    elif workload.digest != command.digest:
        _end(builder, command, RESTART_OVERTAKEN, "another template became live meanwhile, so all pods are new")
    elif builder.facts.stop is not None:
        _end(builder, command, builder.facts.stop.named_reason, builder.facts.stop.sentence)
    elif refusal is not None or builder.now - command.at > WRITTEN_WITHIN:
        why = (
            refusal.message
            if refusal
            else f"the stamp could not be written within {WRITTEN_WITHIN.total_seconds():.0f} s"
        )
        _end(builder, command, WRITE_REFUSED, why)
        builder.event("CommandIgnored", f"restart: {why}", "Warning")
    else:
        template = stamped(workload.template, stamp)
        builder.execute(SetTemplate(workload.name, workload.own_digest, template, workload.digest))
        builder.look_again(TICK)


def _end(builder: ReleaseBuilder, command: Command, reason: str, message: str) -> None:
    answer(builder, command.model_copy(update={"reason": reason, "message": message[:512]}))


def stamp_of(template: dict[str, Any]) -> str:
    """The stamp of the last restart; empty where there was none."""
    return str(((template.get("metadata") or {}).get("annotations") or {}).get(RESTARTED_AT, ""))


def stamped(template: dict[str, Any], stamp: str) -> dict[str, Any]:
    """A copy of the template with the stamp of a restart."""
    new = copy.deepcopy(template)
    metadata = new["metadata"] = new.get("metadata") or {}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), RESTARTED_AT: stamp}
    return new
