"""The errands of a rollout's checks: begins those that are due, asks again, and ends what is not asked for any more."""

from collections.abc import Iterator
from datetime import datetime

from opsloop.api.check import CheckResult, RolloutCheck
from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release
from opsloop.api.target import Target
from opsloop.core.actions import Action, CallWebhook, EndJob, StartJob
from opsloop.core.decision import EventType
from opsloop.core.errands import job as jobs
from opsloop.core.release import ReleaseBuilder, checks
from opsloop.core.release.check_rights import refusal
from opsloop.core.release.outcome import Hold, Outcome, Progress, Rollout, WaitForPods
from opsloop.names import RELEASE, canary_name


def advance(builder: ReleaseBuilder, rollout: Rollout, outcome: Outcome) -> Target:
    """The rollout's target with the checks that begin now. Their records are stored before the actions that this adds.

    They begin once the weight is reached and beside its hold, in the dark phase after EvalCases; not while the Release is paused.
    """
    target = checks.begun(rollout) if may_begin(rollout, outcome) else rollout.target
    if isinstance(outcome, Hold | Progress | WaitForPods):  # of which alone the target is stored as it is
        for result in target.checks:
            for action in _acts(rollout, target, result):
                builder.execute(action)
    _end_others(builder, target)
    before = builder.facts.release.status.target
    known = {(result.id, result.ended_at) for result in (before.checks if before is not None else ())}
    for result in target.checks:
        if result.ended_at is not None and (result.id, result.ended_at) not in known:
            kind: EventType = "Normal" if result.result == "Passed" or result.dry_run else "Warning"
            builder.event(f"Check{result.result}", f"{target.version}: {checks.told(result)}", kind)
    return target


def may_begin(rollout: Rollout, outcome: Outcome) -> bool:
    """Whether the decided weight is reached, and nothing says that the canary should wait with what it has."""
    facts = rollout.facts
    if facts.stop is not None or facts.release.spec.paused or not isinstance(outcome, Hold | Progress):
        return False
    if rollout.target.state == "Dark":
        return isinstance(outcome, Hold) and outcome == checks.pending(rollout)
    return rollout.target.state == "Stepping" and rollout.target.reached_at is not None


def running(release: Release, target: Target | None) -> dict[str, str]:
    """Errands of the checks that run, by name; with the name of their Job, or empty for a call."""
    if target is None or not target.is_active:
        return {}
    return {
        checks.errand_of(result): _job_name(release, result) if _may_have_a_job(release, target, result) else ""
        for result in target.checks
        if result.is_running
    }


def _may_have_a_job(release: Release, target: Target, result: CheckResult) -> bool:
    """Of a check that was changed or taken out of the spec nothing tells any more whether it had one."""
    check = next((one for one in release.spec.strategy.canary.checks if one.name == result.name), None)
    return check is None or check.job is not None or result.id != checks.mark(release, target, check, result.weight)


def end_all(builder: ReleaseBuilder) -> None:
    """Ends the Jobs of the observed target: its canary goes, and what asks it goes first. Kubernetes would end them a moment later,
    since the canary owns them."""
    release = builder.facts.release
    for job in running(release, release.status.target).values():
        if job:
            builder.execute(EndJob(release.metadata.name, job))


def _acts(rollout: Rollout, target: Target, result: CheckResult) -> Iterator[Action]:
    """What a running check does now; a Job that is there already is not created again, by its name."""
    facts, now = rollout.facts, rollout.now
    check = next((one for one in checks.due(rollout) if one.name == result.name), None)
    if check is None or not result.is_running or result.weight != checks.weight_of(rollout):
        return
    errand = facts.checks.errands.get(checks.errand_of(result))
    if facts.stop is not None:
        if check.job is not None and errand is not None and errand.state == "Going":
            yield EndJob(facts.release.metadata.name, _job_name(facts.release, result))
        return
    if now < result.since or refusal(facts, check) is not None:
        return  # a right that was taken away meanwhile; its time ends the check
    if check.job is not None and errand is None and facts.canary is not None:  # which owns it
        yield _start(rollout, target, check, result)
    elif check.webhook is not None and (errand is None or _asks_again(rollout, errand.at)):
        yield _call(rollout, target, check, result)


def _asks_again(rollout: Rollout, answered_at: datetime | None) -> bool:
    return answered_at is not None and rollout.now - answered_at >= checks.AGAIN


def _end_others(builder: ReleaseBuilder, target: Target) -> None:
    """Ends Jobs that ran until this look and are not asked for any more: the check was changed, or the canary went on without it."""
    release = builder.facts.release
    wanted, known = running(release, target), builder.facts.checks.errands
    before = release.status.target
    for result in before.checks if before is not None and before.started_at == target.started_at else ():
        errand = checks.errand_of(result)
        if result.is_running and errand not in wanted and errand in known and known[errand].state == "Going":
            builder.execute(EndJob(release.metadata.name, _job_name(release, result)))


def _job_name(release: Release, result: CheckResult) -> str:
    return jobs.named(f"{release.metadata.name}-{result.name}", f"-{result.id}-{result.attempt}")


def _start(rollout: Rollout, target: Target, check: RolloutCheck, result: CheckResult) -> StartJob:
    release, canary = rollout.facts.release, rollout.facts.canary
    assert check.job is not None and canary is not None
    name, namespace = release.metadata.name, release.metadata.namespace
    owner = ObjectMeta(name=canary_name(rollout.workload.name), uid=canary.uid)
    hosts = _hosts(rollout)
    variables = {
        "OPSLOOP_RELEASE": name,
        "OPSLOOP_CHECK": check.name,
        "OPSLOOP_VERSION": target.version,
        "OPSLOOP_REVISION": target.digest,
        "OPSLOOP_WEIGHT": str(result.weight),
        "OPSLOOP_CANARY_HOST": hosts[0] if hosts else "",
        "OPSLOOP_CANARY_HOSTS": ",".join(hosts),
    }
    meta = {
        "name": _job_name(release, result),
        "namespace": namespace,
        "labels": {RELEASE: name[:63].rstrip("-.")},
    }
    body = jobs.manifest(
        meta,
        jobs.owned_by("apps/v1", "Deployment", owner),
        release.spec.service_account_name or "",
        check.job,
        variables,
    )
    return StartJob("Release", name, checks.errand_of(result), body)


def _call(rollout: Rollout, target: Target, check: RolloutCheck, result: CheckResult) -> CallWebhook:
    release = rollout.facts.release
    assert check.webhook is not None
    body = {
        "release": release.metadata.name,
        "namespace": release.metadata.namespace,
        "check": check.name,
        "version": target.version,
        "revision": target.digest,
        "weight": result.weight,
        "dryRun": check.dry_run,
        "hosts": _hosts(rollout),
        "message": check.webhook.message,
    }
    errand = checks.errand_of(result)
    return CallWebhook("Release", release.metadata.name, errand, check.webhook.url, body, result.id, again=True)


def _hosts(rollout: Rollout) -> list[str]:
    """Addresses of the canary pods that are ready, as a URL has them."""
    ips = [pod.ip for pod in rollout.pods if pod.containers_ready and pod.ip]
    return [f"[{ip}]" if ":" in ip else ip for ip in ips]
