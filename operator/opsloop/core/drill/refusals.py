"""Why a drill cannot work here, each reason with what would be right. A drill that is refused has written nothing."""

from collections.abc import Iterator

from opsloop.api.runbook import Runbook
from opsloop.core import conditions
from opsloop.core.drill.order import Grounds
from opsloop.core.gate.evidence import Missing
from opsloop.core.release.revisions import blocked_images, images_of, with_images
from opsloop.core.runbook.rights import applies_to
from opsloop.core.slo.tiers import budget_of, tiers_of

CAUSE, SEVERITY = "bad_release", "sev1"


def refusals(grounds: Grounds) -> list[str]:
    """Sentences, none where the drill can begin."""
    return [
        *_stopped(grounds),
        *_workload(grounds),
        *_objective(grounds),
        *_last_good(grounds),
        *_busy(grounds),
        *_runbook(grounds),
        *_bad(grounds),
        *_fix(grounds),
        *(f"you may not {right}: bind a Role with that right to you" for right in grounds.rights),
    ]


def _stopped(grounds: Grounds) -> Iterator[str]:
    found = conditions.get(grounds.release.status.conditions, "Stopped")
    said = [found.message] if found is not None and found.status == "True" else list(grounds.stops)
    for reason in said[:1]:
        yield f"opsloop is stopped, so nothing would be rolled back ({reason}): opsloop resume, then again"


def _workload(grounds: Grounds) -> Iterator[str]:
    order, release = grounds.order, grounds.release
    if release.metadata.generation > release.status.observed_generation:
        yield (
            f"opsloop has not looked at the latest spec of {order.release}: does it run?"
            " kubectl get pods -A -l app.kubernetes.io/name=opsloop"
        )
    if release.spec.guard:
        yield (
            f"{order.release} is guarded: a bad template would be canaried before it serves anybody, and that is no incident;"
            " a drill needs a Release without spec.guard"
        )
    elif grounds.paused:
        yield f"Deployment {order.workload} is paused, so no change of it reaches a pod: kubectl rollout resume first"
    if grounds.replicas < 1:
        yield f"Deployment {order.workload} is scaled to 0, so it serves nobody: scale it up first"


def _objective(grounds: Grounds) -> Iterator[str]:
    name, slo = grounds.order.release, grounds.release.spec.slo
    if slo is None:
        yield f"{name} has no spec.slo, so no harm would be seen: write one (docs/sli.md)"
        return
    if not any(tier.severity == SEVERITY for tier in tiers_of(slo)):
        yield f"spec.slo of {name} has no tier of severity {SEVERITY}, so nobody would be paged: add one, or leave tiers out"
    known = conditions.get(grounds.release.status.conditions, "TelemetryKnown")
    if known is not None and known.status != "True":
        yield f"the SLI of {name} is not read ({known.reason}: {known.message}): opsloop slo lint shows what to mend"
    events = grounds.events
    if isinstance(events, Missing):
        yield f"the SLI of {name} cannot be read from here: {events.why} (another Prometheus: --prometheus [NS/]SVC:PORT)"
    elif events.total <= 0:
        yield f"nobody uses {name}: its SLI has no event in the last minute; let users or a load generator ask it"
    elif events.ratio is not None and events.ratio > budget_of(slo.objective):
        yield (
            f"{name} does not meet its SLO now: {events.ratio:.2%} of the last minute's events are bad, the budget is"
            f" {budget_of(slo.objective):.2%}; mend that first"
        )
    if grounds.least_alerts > 0 and grounds.rules == 0:
        yield "Prometheus has no alerting rule, so no alert can fire: write one, or say --min-alerts 0"


def _last_good(grounds: Grounds) -> Iterator[str]:
    order, status = grounds.order, grounds.release.status
    live = grounds.revision_of(order.good)
    if live is None or live.digest != status.live:
        yield f"the template of Deployment {order.workload} is not the live revision that {order.release} knows: wait until it is"
    elif live.proven_at is None:
        yield (
            f"live {live.version} is not proven last-good, so nothing could be rolled back to it: wait until it has met its SLO"
            f" for spec.slo.bakeTime (opsloop status {order.release})"
        )


def _busy(grounds: Grounds) -> Iterator[str]:
    name, release = grounds.order.release, grounds.release
    target = release.status.target
    if target is not None and target.is_active:
        yield f"a canary of {target.version} is in progress: opsloop rollout wait {name} first"
    if release.spec.paused:
        yield f"{name} is paused, so the fix would wait for ever: opsloop resume {name}"
    frozen = conditions.get(release.status.conditions, "Frozen")
    if frozen is not None and frozen.status == "True":
        yield f"canaries are frozen, so the fix would wait ({frozen.message}): wait for the end of the freeze"
    concerned = {name, *release.spec.depends_on}
    opened = [
        i.metadata.name
        for i in grounds.incidents
        if i.spec.release in concerned and i.status.phase != "Resolved" and not i.status.merged_into
    ]
    if opened:
        yield f"{', '.join(opened)} is not resolved, and the drill's harm would become a part of it: resolve it first"


def _runbook(grounds: Grounds) -> Iterator[str]:
    """Of the Runbooks that fit, the first that could act; else why each cannot."""
    if not grounds.runbooks:
        yield "there is no Runbook in this namespace, so nobody would roll back: write one with a step rollback (docs/runbooks.md)"
        return
    why = {book.metadata.name: misfit(grounds, book) for book in grounds.runbooks}
    if all(why.values()):
        told = "; ".join(f"{name}: {text}" for name, text in why.items())
        yield f"no Runbook could roll {grounds.order.release} back by itself ({told})"


def misfit(grounds: Grounds, book: Runbook) -> str:
    """Why this Runbook would not roll back a bad release; "" where it would."""
    match, safety = book.spec.match, book.spec.safety
    if match.causes and CAUSE not in match.causes:
        return f"spec.match.causes lacks {CAUSE}"
    if match.severities and SEVERITY not in match.severities:
        return f"spec.match.severities lacks {SEVERITY}"
    if not applies_to(book, grounds.release):
        labels = ", ".join(f"{k}={v}" for k, v in sorted(match.release_labels.items()))
        return f"the Release lacks the labels {labels}"
    if not any(step.type == "rollback" for step in book.spec.steps):
        return "no step is a rollback"
    if safety.mode == "dryRun":
        return "spec.safety.mode is dryRun; auto acts, and approve asks a person"
    ready = conditions.get(book.status.conditions, "Ready")
    if ready is None or ready.status != "True":
        return f"it is not ready, {ready.message if ready else 'opsloop has not looked at it yet'}"
    return ""


def _bad(grounds: Grounds) -> Iterator[str]:
    order = grounds.order
    if order.changes == "":
        yield "the bad template is the live one: name an image with --bad-image, or a change with --bad-patch"
        return
    revision = grounds.revision_of(order.bad)
    blocked = (
        revision
        if revision and revision.blocked
        else blocked_images(grounds.release.status.revisions, images_of(order.bad))
    )
    if blocked is not None and blocked.blocked is not None:
        yield (
            f"the bad version is known already, {blocked.version} is blocked ({blocked.blocked.reason}), and would be rolled back"
            f" without an incident of its own: opsloop unblock {order.release} {blocked.digest}, or take another image"
        )


def _fix(grounds: Grounds) -> Iterator[str]:
    order = grounds.order
    version, images = order.fix
    template, missing = with_images(order.good, images)
    if missing:
        yield f"--fix-image: the Deployment has no container {', '.join(missing)}, but {', '.join(grounds.containers)}"
        return
    if images_of(template) == images_of(order.good):
        yield "the fix is what is live now, and that is no fix: name an image with another tag with --fix-image"
        return
    if images_of(template) == images_of(order.bad):
        yield "the fix has the images of the bad version: name another one with --fix-image"
        return
    blocked = blocked_images(grounds.release.status.revisions, images_of(template))
    if blocked is not None:
        yield f"the fix is blocked as {blocked.version}: opsloop unblock {order.release} {blocked.digest}, or take another image"
    if version == order.before[0]:
        yield f"the fix has the version of what is live, {version}: name another one with --fix-version"
