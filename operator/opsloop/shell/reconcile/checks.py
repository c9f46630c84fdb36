"""Gathers what is known of a Release's checks: their errands, and while one is due the rights of its account."""

import logging
from datetime import timedelta

from opsloop.api.release import Release
from opsloop.core.facts import CanaryFacts, CheckFacts
from opsloop.core.release import checking
from opsloop.core.release.check_rights import right_of
from opsloop.core.runbook.rights import CREATE_JOBS, Right, identity
from opsloop.errors import Forbidden, NotFound, Retryable
from opsloop.shell.ports import ACCOUNTS
from opsloop.shell.runtime import Runtime

log = logging.getLogger("opsloop.checks")

ASKED_AGAIN = timedelta(seconds=15)  # a right that is given or taken away tells nobody


async def facts(runtime: Runtime, release: Release, canary: CanaryFacts | None) -> CheckFacts:
    """What is known of a Release's checks."""
    checks, target = release.spec.strategy.canary.checks, release.status.target
    running = checking.running(release, target)
    if not checks and not running:
        return CheckFacts()
    errands = await runtime.errands.of_checks(release, running, canary.uid if canary is not None else "")
    if target is None or not target.is_active or not release.spec.service_account_name:
        return CheckFacts(errands, runtime.errands.addresses)
    known, now = runtime.owned.rights.get(release.key), runtime.now()
    account, rights = release.spec.service_account_name, tuple(dict.fromkeys(right_of(check) for check in checks))
    if known is None or known[0] != (account, rights) or now - known[1] >= ASKED_AGAIN:
        try:
            asked = await _asked(runtime, release.metadata.namespace, account, rights)
        except Retryable as error:  # a review that has no answer keeps no canary from being judged
            log.warning("%s/%s: what the account of its checks may do: %s", *release.key, error)
            asked = known[2] if known is not None and known[0] == (account, rights) else ({}, None, True)
        known = runtime.owned.rights[release.key] = ((account, rights), now, asked)
    allowed, exists, runs_jobs = known[2]
    return CheckFacts(errands, runtime.errands.addresses, allowed, exists, runs_jobs)


async def _asked(
    runtime: Runtime, namespace: str, account: str, rights: tuple[Right, ...]
) -> tuple[dict[str, bool], bool | None, bool]:
    """Rights of the account by plural, whether it exists (None: opsloop may not ask), and whether opsloop may create Jobs."""
    who = identity(namespace, account)
    allowed = {
        right.plural: await runtime.access.allowed(who, right.verb, right.group, right.plural, namespace, "")
        for right in rights
    }
    runs_jobs = CREATE_JOBS not in rights or await runtime.access.may("create", "batch", "jobs", namespace)
    return allowed, await account_exists(runtime, namespace, account), runs_jobs


async def account_exists(runtime: Runtime, namespace: str, name: str) -> bool | None:
    """Whether there is such a ServiceAccount; None where opsloop may not ask."""
    try:
        await runtime.reader.metadata(ACCOUNTS, namespace, name)
    except NotFound:
        return False
    except Forbidden:
        return None
    return True
