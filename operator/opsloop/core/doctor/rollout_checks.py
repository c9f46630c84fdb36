"""What the checks of a rollout need, before a canary waits for it."""

from collections.abc import Mapping

from opsloop.api.release import Release
from opsloop.core.doctor.row import Row, unseen
from opsloop.core.release.check_rights import right_of

NAME = "checks"


def row(release: Release, exists: bool | None, allowed: Mapping[str, bool | None], runs_jobs: bool | None) -> Row:
    """`exists`: the ServiceAccount of the checks; `allowed`: its rights by plural; `runs_jobs`: opsloop may create Jobs there. None:
    who asks may not know."""
    checks, account = release.spec.strategy.canary.checks, release.spec.service_account_name or ""
    needed = dict.fromkeys(right_of(check) for check in checks)
    if exists is False:
        text = f"there is no ServiceAccount {account}, on whose behalf they are made"
        return Row(
            NAME, "problem", text, "create it, or correct spec.serviceAccountName (docs/examples/release-checks.yaml)"
        )
    missing = [right.sentence for right in needed if allowed.get(right.plural) is False]
    if missing:
        text = f"ServiceAccount {account} lacks {' and '.join(missing)}, so the canary is held"
        return Row(NAME, "problem", text, "give it the Role in docs/examples/release-checks.yaml")
    if runs_jobs is False and any(check.job is not None for check in checks):
        return Row(
            NAME, "problem", "opsloop may not create Jobs here", "the chart value runbooks.jobs gives it the right"
        )
    if exists is None or runs_jobs is None or any(allowed.get(right.plural) is None for right in needed):
        return unseen(NAME, "who asks may not see the account of the checks or its rights")
    hooks = [check.name for check in checks if check.webhook is not None]
    note = (
        f"; whether runbooks.webhooks allows the address of {', '.join(hooks)} is told when it is called"
        if hooks
        else ""
    )
    return Row(
        NAME, "ok", f"ServiceAccount {account} has the rights to {', '.join(check.name for check in checks)}{note}"
    )
