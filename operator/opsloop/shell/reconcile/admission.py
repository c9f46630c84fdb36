"""Asks the API server what it would store: two dry runs of a template on the user's Deployment, which store nothing.

An answer is kept for a while, so that a Release is not asked about at every look. A server that does not answer within
PATIENCE delays its Release no longer.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from opsloop.api.release import Release
from opsloop.core.facts import AdmissionAnswer, ReleaseFacts, WorkloadFacts
from opsloop.core.release import identity, revisions
from opsloop.core.release.admission import (
    ADMISSION_NOT_DETERMINISTIC,
    ADMISSION_REFUSED,
    ADMISSION_UNAVAILABLE,
    ASKED_AGAIN,
    ASKED_SOON,
    DRY_RUN_REFUSED,
)
from opsloop.core.release.target import question
from opsloop.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from opsloop.shell.ports import DEPLOYMENTS, NamespacedName, Object
from opsloop.shell.runtime import Runtime

PATIENCE = 5.0  # seconds for both dry runs; a webhook may take up to 30, and its Release must not be without decisions
SLACK = timedelta(seconds=2)  # an answer is thrown away a little before it is wanted again
_NO_DRY_RUN = re.compile(r"(admission webhook \".*?\") does not support dry run")


async def identified(
    runtime: Runtime, release: Release, templates: Mapping[str, dict[str, Any]], workload: WorkloadFacts
) -> WorkloadFacts:
    """The workload under the digest of its revision, where its template is another spelling of a known one.

    A live template that nobody knows, with images that may be those of before, is compared with what the API server makes
    of the template before: a new server completes fields, admission resolves tags.
    """
    status, ignored = release.status, release.spec.ignore_stamps
    own = workload.digest
    history = sorted(status.revisions, key=lambda r: r.digest != status.live)
    known = identity.identify(workload.template, history, templates, ignored)
    before = templates.get(status.live)
    if known is None and before is not None and _may_be_respelt(workload, before):
        answer = await _answer(runtime, release.key, workload.name, status.live, before)
        if _is_of(workload, answer, before, release):
            known = status.live
    return workload if known in (None, own) else replace(workload, digest=known, stored_as=own)


def _may_be_respelt(workload: WorkloadFacts, before: Mapping[str, Any]) -> bool:
    images = (revisions.images_of(before), revisions.images_of(workload.template))
    return identity.may_be_same_images(*images)


def _is_of(workload: WorkloadFacts, answer: AdmissionAnswer, before: Mapping[str, Any], release: Release) -> bool:
    """True where the live template is what the API server makes of the one before.

    Where it does not say: where fields were only added, and nobody wrote the template since it became live.
    """
    if answer.template is not None:
        stable = identity.without(answer.template, answer.unstable)
        live = identity.without(workload.template, answer.unstable)
        ignored = release.spec.ignore_stamps
        return revisions.digest(stable, ignored) == revisions.digest(live, ignored)
    revision = revisions.find(release.status.revisions, release.status.live)
    since = revision.live_since if revision else None
    untouched = workload.written_at is None or (since is not None and workload.written_at <= since)
    return untouched and identity.only_completed(before, workload.template)


async def answers(runtime: Runtime, facts: ReleaseFacts) -> dict[str, AdmissionAnswer]:
    """What the API server would store of the template that the spec asks for, by its digest; empty while that is no question."""
    wish, workload = question(facts), facts.workload
    if wish is None or workload is None:
        return {}
    key = facts.release.key
    strict = facts.release.spec.template_patch is not None  # a misspelt field would be left out without a word
    return {wish.digest: await _answer(runtime, key, workload.name, wish.digest, wish.template, strict)}


async def _answer(
    runtime: Runtime,
    release: NamespacedName,
    deployment: str,
    digest: str,
    template: Mapping[str, Any],
    strict: bool = False,
) -> AdmissionAnswer:
    kept, now = runtime.owned.answers.setdefault(release, {}), runtime.now()
    for asked, (at, known) in list(kept.items()):
        if now - at >= (ASKED_SOON if known.reason == ADMISSION_UNAVAILABLE else ASKED_AGAIN) - SLACK:
            del kept[asked]
    if digest not in kept:
        kept[digest] = (now, await _ask(runtime, release[0], deployment, template, strict))
    return kept[digest][1]


async def _ask(
    runtime: Runtime, namespace: str, deployment: str, template: Mapping[str, Any], strict: bool
) -> AdmissionAnswer:
    """Two answers at once. Raises LeadershipLost, as a write does."""
    try:
        async with asyncio.timeout(PATIENCE):
            asked = (_dry_run(runtime, namespace, deployment, template, strict) for _ in range(2))
            one, other = await asyncio.gather(*asked)
    except (Invalid, Forbidden) as error:
        without = _NO_DRY_RUN.search(str(error))
        reason = DRY_RUN_REFUSED if without else ADMISSION_REFUSED
        return AdmissionAnswer(reason=reason, message=without[0] if without else str(error)[:500])
    except (Unavailable, Conflict, NotFound, TimeoutError) as error:
        text = str(error)[:500] or f"no answer within {PATIENCE:.0f} s"
        return AdmissionAnswer(reason=ADMISSION_UNAVAILABLE, message=text)
    unstable = tuple(identity.differences(one, other))
    if identity.too_unstable(unstable):
        text = f"two dry runs of the template differ: {identity.sentence(one, other)}"
        return AdmissionAnswer(reason=ADMISSION_NOT_DETERMINISTIC, message=text)
    return AdmissionAnswer(template=one, unstable=unstable)


async def _dry_run(
    runtime: Runtime, namespace: str, deployment: str, template: Mapping[str, Any], strict: bool
) -> Object:
    write = [{"op": "replace", "path": "/spec/template", "value": template}]
    answer = await runtime.writer.json_patch(DEPLOYMENTS, namespace, deployment, write, dry_run=True, strict=strict)
    stored: Object = answer["spec"]["template"]
    return stored
