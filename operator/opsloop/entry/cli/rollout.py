"""`opsloop rollout wait REL`: waits for the end of a rollout and exits with what happened."""

import argparse
import asyncio
import time
from dataclasses import dataclass

from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.release import identity, revisions
from opsloop.core.release.asked import version_asked
from opsloop.core.release.outcome import WAITING_FOR_PODS
from opsloop.core.release.target import asked_retry
from opsloop.entry.cli.acts import release_of
from opsloop.entry.cli.out import complain, say
from opsloop.errors import NotFound, Unavailable
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import DEPLOYMENTS, RELEASES

POLL = 0.5  # seconds between two looks
PROMOTED, REJECTED, REFUSED, CANCELLED, ROLLED_BACK, SUPERSEDED, TIMED_OUT = 0, 1, 4, 5, 6, 7, 124
EXIT_CODES = (
    (PROMOTED, "the version is live and rolled out"),
    (REJECTED, "it was rejected: by its analysis, an EvalCase, or pods that do not start"),
    (2, "wrong usage, or an error that needs a person"),
    (REFUSED, "it was refused and never started: blocked, or it cannot be carried out"),
    (CANCELLED, "it was cancelled: aborted by a person, for an Incident, or by a change of the Deployment"),
    (ROLLED_BACK, "it was promoted, and rolled back or undone since, or another version was put in its place"),
    (SUPERSEDED, "the spec asks for another version meanwhile"),
    (TIMED_OUT, "the time of --timeout is over; the rollout goes on"),
)
"""Exit codes, as the page of commands has them. 3 is left out: it is the gate's `inconclusive`."""
STATES = {"Rejected": REJECTED, "Refused": REFUSED, "Cancelled": CANCELLED}


@dataclass(frozen=True, slots=True)
class End:
    """How a rollout ended."""

    code: int
    text: str


async def wait(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Follows the rollout; each new hold is told on stderr. Returns one of EXIT_CODES."""
    release = await release_of(arguments, cluster)
    version = arguments.version or version_asked(release)
    ends, told = time.monotonic() + arguments.timeout, ""
    while True:
        if release.spec.guard and not arguments.version:
            version = version_asked(release)  # its template, as soon as that was seen
        if (end := end_of(release, version)) and await _is_of_what_stands(cluster, release):
            say(f"{arguments.release}: {end.text}")
            return end.code
        if (state := _under_way(release)) != told:
            complain(f"{arguments.release}: {state}")
            told = state
        if time.monotonic() >= ends:
            say(f"{arguments.release}: {version} is not live after {arguments.timeout:g} s; {state}")
            return TIMED_OUT
        await asyncio.sleep(min(POLL, max(0.0, ends - time.monotonic())))
        try:
            release = Release.model_validate(await cluster.get(RELEASES, arguments.namespace, arguments.release))
        except NotFound:
            raise NotFound(f"Release {arguments.release} was deleted") from None
        except Unavailable as error:
            complain(f"{error}; asked again")


def end_of(release: Release, version: str) -> End | None:
    """How the rollout of this version ended; None while it is under way, or its status is of an older spec."""
    status, target = release.status, release.status.target
    if release.spec.guard and version_asked(release) != version:
        return _left(release, version)  # else its template was not seen yet
    if not release.spec.guard and release.spec.version != version:
        return End(SUPERSEDED, f"the spec asks for {release.spec.version}, not for {version}")
    if status.observed_generation < release.metadata.generation or not _answers(release):
        return None
    progressing = conditions.get(status.conditions, "Progressing")
    if progressing is None or progressing.status != "False":
        return None
    why = f"{progressing.reason}, {progressing.message}"
    if conditions.is_true(status.conditions, "Promoted"):
        rolled_out = conditions.get(status.conditions, "RolledOut")
        return End(PROMOTED, f"{version} is live") if rolled_out and rolled_out.status == "True" else None
    if target is None or target.state == "Promoted":
        return (
            End(ROLLED_BACK, f"{version} is not live any more: {why}") if target else End(REFUSED, f"{version}: {why}")
        )
    return End(STATES.get(target.state, REFUSED), f"{version} was {target.state.lower()}: {why}")


def _left(release: Release, version: str) -> End | None:
    """The end of a version whose template a rollback has taken off a guarded Deployment."""
    status, record = release.status, release.status.rollback
    if record is None or record.state == "Refused" or status.target is None:
        return None
    left, to = (revisions.find(status.revisions, digest) for digest in (record.from_digest, record.to_digest))
    if left is None or to is None or left.version != version or status.target.digest != to.digest:
        return None
    alone = f"rolled back because {record.case} failed" if record.case else "a person had live go back"
    why = f"rolled back for {record.incident}" if record.incident else alone
    text = (
        f"{version} is not live any more: {why}, to {to.version}; it is tried again when its template is written again"
    )
    return End(ROLLED_BACK, text)


async def _is_of_what_stands(cluster: Cluster, release: Release) -> bool:
    """Whether the target is of the template that stands on a guarded Deployment now, which no generation of the Release tells."""
    target, spec = release.status.target, release.spec
    if not spec.guard or target is None:
        return True
    try:
        stored = await cluster.get(DEPLOYMENTS, release.metadata.namespace, spec.workload_ref.name)
    except NotFound:
        return True
    return (
        identity.identify(stored["spec"]["template"], release.status.revisions, {}, spec.ignore_stamps) == target.digest
    )


def _answers(release: Release) -> bool:
    """Whether the status answers the retry that is asked for."""
    retry, target = asked_retry(release.metadata.annotations), release.status.target
    return not retry or (target is not None and target.retry == retry)


def _under_way(release: Release) -> str:
    progressing, held = (conditions.get(release.status.conditions, name) for name in ("Progressing", "Held"))
    if held is not None and held.status == "True" and held.reason != WAITING_FOR_PODS:
        return f"held: {held.reason}, {held.message}"
    return progressing.message if progressing is not None else "not taken up yet"
