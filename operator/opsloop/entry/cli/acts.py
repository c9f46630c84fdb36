"""`opsloop promote`, `abort`, `approve`, `retry`, `undo`, `unblock`, `restart`, `pause` and `resume REL`.

Each is written with the caller's own rights, as an annotation or in the spec, and ends with the operator's answer. Orders name the
digest that they are for, so that they have no power over what comes meanwhile; time and caller stand behind ` #` as a remark.
"""

import argparse
from datetime import UTC, datetime

from opsloop import names
from opsloop.api.meta import format_time
from opsloop.api.records import Command
from opsloop.api.release import Release
from opsloop.api.revision import Revision
from opsloop.api.target import Target
from opsloop.core.release.asked import version_asked
from opsloop.core.release.commands import ANNOTATIONS, REMARK
from opsloop.core.release.outcome import step_of
from opsloop.entry.cli import answers
from opsloop.entry.cli.found import annotated, bare, changed, found
from opsloop.entry.cli.out import say
from opsloop.entry.cli.people import caller
from opsloop.errors import Invalid, OpsloopError
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import RELEASES

PREFIXES = ("rel", "release", "releases", "releases.opsloop.dev", "release.opsloop.dev")


async def release_of(arguments: argparse.Namespace, cluster: Cluster) -> Release:
    """The Release that the arguments name; `arguments.release` is its bare name afterwards."""
    arguments.release = bare(arguments.release, PREFIXES)
    return Release.model_validate(await found(cluster, RELEASES, arguments.namespace, arguments.release))


async def promote(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Sends the canary to its next step, or to live, without more waiting."""
    release = await release_of(arguments, cluster)
    target = _active(release)
    if target.state == "Promoting":
        raise Invalid(f"{target.version} is being promoted already: opsloop rollout wait {arguments.release}")
    if release.spec.paused:
        raise Invalid(f"{arguments.release} is paused: opsloop resume {arguments.release}, then promote")
    step = [step for step in release.spec.strategy.steps[step_of(target) + 1 :] if step.weight][:1]
    weight = 100 if arguments.full or not step else step[0].weight
    return await _order(arguments, cluster, "promote", f"{target.digest}/{weight}")


async def abort(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Takes the canary out of traffic and ends it."""
    target = _active(await release_of(arguments, cluster))
    return await _order(arguments, cluster, "abort", target.digest)


async def approve(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Approves the next step of the canary that wants it, or the one of the given weight."""
    release = await release_of(arguments, cluster)
    target = _active(release)
    coming = [step for step in release.spec.strategy.steps[step_of(target) + 1 :] if step.approve]
    if arguments.weight is not None:
        coming = [step for step in coming if step.weight == arguments.weight]
    if not coming:
        which = (
            "none of its coming steps" if arguments.weight is None else f"no coming step of weight {arguments.weight}"
        )
        raise Invalid(f"{target.version} is at weight {target.weight}, and {which} wants an approval")
    return await _order(arguments, cluster, "approve", f"{target.digest}/{coming[0].weight}")


async def undo(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Goes back from live to last-good, or to the revision that is named."""
    release = await release_of(arguments, cluster)
    status = release.status
    if not status.live:
        raise Invalid(f"{arguments.release} has no live revision yet: opsloop status {arguments.release}")
    to = f"/{revision_of(release, arguments.to).digest}" if arguments.to else ""
    code = await _order(arguments, cluster, "undo", f"{status.live}{to}")
    asked, target = version_asked(release), status.target
    if release.spec.guard and (target is None or target.digest == status.live):
        say(f"its template is taken off the Deployment; {asked} comes back, as a canary, when that is written again")
    else:
        what = "template that stands is still of" if release.spec.guard else "spec still asks for"
        how = "another template" if release.spec.guard else "a changed spec"
        say(f"the {what} {asked}; it comes back by {how}, or: opsloop retry {arguments.release}")
    return code


async def restart(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Starts the pods of live anew."""
    release = await release_of(arguments, cluster)
    if not release.status.live:
        raise Invalid(f"{arguments.release} has no live revision yet: opsloop status {arguments.release}")
    return await _order(arguments, cluster, "restart", release.status.live)


async def unblock(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Allows a blocked revision again: the only one, or the one that is named."""
    release = await release_of(arguments, cluster)
    blocked = [r for r in release.status.revisions if r.blocked is not None]
    if arguments.revision:
        revision = revision_of(release, arguments.revision)
    elif len(blocked) == 1:
        revision = blocked[0]
    else:
        which = ", ".join(f"{r.version} ({r.digest})" for r in blocked)
        raise Invalid(
            f"name the revision: blocked are {which}" if blocked else f"no revision of {arguments.release} is blocked"
        )
    if revision.blocked is None:
        which = ", ".join(r.version for r in blocked) or "none"
        raise Invalid(f"{revision.version} ({revision.digest}) is not blocked; blocked: {which}")
    if revision.digest == release.status.live:
        await _annotate(arguments, cluster, ANNOTATIONS["unblock"], revision.digest + await _remark(cluster))
        say(f"noted; {revision.version} is live, and its block is lifted once it is not live any more")
        return 0
    return await _order(arguments, cluster, "unblock", revision.digest)


async def retry(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Tries the version of the spec again, from the dark phase."""
    release = await release_of(arguments, cluster)
    value = f"{format_time(datetime.now(UTC))}{await _remark(cluster, clock=False)}"[: answers.LONGEST_RETRY]
    await _annotate(arguments, cluster, names.RETRY, value)
    target = await answers.retried(cluster, release, value, arguments.timeout)
    say(f"{target.version}: {target.state}" + (f", {target.message or target.reason}" if not target.is_active else ""))
    return 0 if target.is_active or target.state == "Promoted" else answers.REFUSED


async def pause(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Sets spec.paused: canaries stay where they are, safety goes on."""
    return await _paused(arguments, cluster, True)


async def go_on(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Takes spec.paused back."""
    return await _paused(arguments, cluster, False)


async def _paused(arguments: argparse.Namespace, cluster: Cluster, value: bool) -> int:
    before = await release_of(arguments, cluster)
    name = arguments.release
    if before.spec.paused == value:
        say(f"{name} is {'paused already' if value else 'not paused'}")
        return 0
    operations = [{"op": "add", "path": "/spec/paused", "value": value}]
    stored = await changed(cluster, RELEASES, arguments.namespace, name, lambda _: operations)
    seen = await answers.observed(cluster, before, int(stored["metadata"]["generation"]), arguments.timeout)
    target = seen.status.target
    if target is not None and target.is_active:
        how = (
            f"{target.version} stays at weight {target.weight}"
            if value
            else f"{target.version} goes on from weight {target.weight}"
        )
    else:
        how = "the next canary will wait before it takes traffic" if value else "no canary is in progress"
    say(f"{name} is {'paused' if value else 'not paused any more'}: {how}")
    return 0


def _active(release: Release) -> Target:
    """The target in progress. Raises Invalid that says what there is instead."""
    target, name = release.status.target, release.metadata.name
    if target is not None and target.is_active:
        return target
    last = (
        ""
        if target is None
        else f"; {target.version} is {target.state}{f' ({target.reason})' if target.reason else ''}"
    )
    again = (
        f"; to try {version_asked(release)} again: opsloop retry {name}"
        if target and target.state != "Promoted"
        else ""
    )
    raise Invalid(f"no canary of {name} is in progress{last}{again}")


def revision_of(release: Release, text: str) -> Revision:
    """The revision by version, number, or (the beginning of a) digest. Raises Invalid where none or several fit."""
    known = release.status.revisions
    fit = [r for r in known if text == r.version] or [r for r in known if text.isdigit() and int(text) == r.number]
    fit = fit or [r for r in known if len(text) >= 4 and r.digest.startswith(text)]
    if len(fit) == 1:
        return fit[0]
    each = ", ".join(f"{r.number}: {r.version} ({r.digest})" for r in (fit or known))
    what = "fits several revisions, name one by its number" if fit else "is no version, number or digest of a revision"
    raise Invalid(f"{text!r} {what}; there: {each or 'none'}")


async def _order(arguments: argparse.Namespace, cluster: Cluster, name: answers.CommandName, order: str) -> int:
    """Gives a command, waits for its answer and prints it. Raises Invalid with the reason where it was not obeyed."""
    value = (order + await _remark(cluster))[: Command.LONGEST]
    await _annotate(arguments, cluster, ANNOTATIONS[name], value)
    where = (arguments.namespace, arguments.release)
    command = await answers.answer(cluster, where, name, value, arguments.timeout)
    if command.reason != "Obeyed":
        raise Invalid(f"{name} was not obeyed: {command.reason}, {command.message}")
    say(command.message or f"{name}: obeyed")
    return 0


async def _annotate(arguments: argparse.Namespace, cluster: Cluster, key: str, value: str) -> None:
    await changed(cluster, RELEASES, arguments.namespace, arguments.release, lambda item: annotated(item, key, value))


async def _remark(cluster: Cluster, clock: bool = True) -> str:
    """When and by whom, as the API server knows the caller. The audit log has who it was for certain."""
    try:
        who = f" by {await caller(cluster)}"
    except OpsloopError:
        who = ""
    return f"{REMARK}{format_time(datetime.now(UTC))}{who}" if clock else who
