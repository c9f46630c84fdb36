"""Whether a check may be made: on whose behalf, with which right, and to which address. The same rules as for a Runbook's steps."""

from opsloop.api.check import RolloutCheck
from opsloop.core.errands.addresses import allowed, shown
from opsloop.core.facts import ReleaseFacts
from opsloop.core.runbook.ready import ADDRESS_NOT_ALLOWED, FORBIDDEN, JOBS_OFF, NO_ACCOUNT
from opsloop.core.runbook.rights import RIGHTS, Right


def right_of(check: RolloutCheck) -> Right:
    """The right that the Release's account needs in the namespace."""
    return RIGHTS["job" if check.job is not None else "webhook"]


def refusal(facts: ReleaseFacts, check: RolloutCheck) -> tuple[str, str] | None:
    """(reason, sentence) why it must not be made; None where it may."""
    release, known, right = facts.release, facts.checks, right_of(check)
    account = release.spec.service_account_name or ""
    if known.account_exists is False or not account:
        return NO_ACCOUNT, f"there is no ServiceAccount {account} in this namespace (spec.serviceAccountName)"
    if check.webhook is not None and allowed(known.addresses, check.webhook.url, release.metadata.namespace) is None:
        text = f"{shown(check.webhook.url)} is none of the addresses that opsloop's settings (chart value runbooks.webhooks)"
        return ADDRESS_NOT_ALLOWED, f"{text} let this namespace call"
    if check.job is not None and not known.runs_jobs:
        return JOBS_OFF, "opsloop may not create Jobs here: the chart value runbooks.jobs gives it the right"
    if not known.allowed.get(right.plural, False):
        return FORBIDDEN, f"ServiceAccount {account} lacks the right to it: {right.sentence}"
    return None
