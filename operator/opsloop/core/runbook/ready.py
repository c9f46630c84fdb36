"""Whether a Runbook could ever act, told before an incident needs it: its account, its rights, what it is for."""

from opsloop.api.meta import PAGING
from opsloop.api.runbook import CAUSES
from opsloop.core.errands.addresses import allowed, shown
from opsloop.core.facts import RunbookFacts
from opsloop.core.runbook.rights import RIGHTS, concerned, rights_of

# Named reasons
NO_RELEASE = "NoRelease"  # no Release has the labels of spec.match.releaseLabels, or the Incident has none that a step could act on
NO_ACCOUNT = "NoAccount"  # spec.serviceAccountName names no ServiceAccount of this namespace
UNKNOWN_CAUSE = "UnknownCause"  # spec.match.causes names only kinds of cause that opsloop never finds
NEVER_PAGES = "NeverPages"  # spec.match.severities names none that pages, and no Runbook acts below those
ADDRESS_NOT_ALLOWED = "AddressNotAllowed"  # a webhook's address is none that opsloop's settings let this namespace call
JOBS_OFF = "JobsOff"  # opsloop itself may not create Jobs: chart value runbooks.jobs
FORBIDDEN = "Forbidden"  # the Runbook's service account lacks a right that a step needs

Finding = tuple[bool, str, str]


def ready(facts: RunbookFacts) -> Finding | None:
    """(ready, reason, message); None while the access of its account is not reviewed. The first finding that says no decides."""
    if facts.stop is not None:
        return False, facts.stop.named_reason, f"no play is granted: {facts.stop.sentence}"
    return _never_applies(facts) or _no_account(facts) or _not_provided(facts) or _rights(facts)


def _never_applies(facts: RunbookFacts) -> Finding | None:
    match = facts.runbook.spec.match
    strange = [cause for cause in match.causes if cause not in CAUSES]
    if strange and len(strange) == len(match.causes):
        text = f"spec.match.causes: no Incident has the cause {', '.join(strange)}; known are {', '.join(CAUSES)}"
        return False, UNKNOWN_CAUSE, text
    if match.severities and not set(match.severities) & set(PAGING):
        text = f"spec.match.severities: a Runbook acts on what pages, {' and '.join(PAGING)}"
        return False, NEVER_PAGES, text
    if not concerned(facts.runbook, facts.releases):
        labels = ", ".join(f"{k}={v}" for k, v in sorted(match.release_labels.items()))
        return False, NO_RELEASE, f"no Release of this namespace has the labels {labels or 'of spec.match'}"
    return None


def _no_account(facts: RunbookFacts) -> Finding | None:
    if facts.account_exists is not False:
        return None
    account = facts.runbook.spec.service_account_name
    return False, NO_ACCOUNT, f"there is no ServiceAccount {account} in this namespace"


def _not_provided(facts: RunbookFacts) -> Finding | None:
    """What opsloop's own settings keep a step from doing."""
    book = facts.runbook
    urls = [step.webhook.url for step in book.spec.steps if step.webhook is not None]
    strange = [url for url in urls if allowed(facts.addresses, url, book.metadata.namespace) is None]
    if strange:
        text = f"{shown(strange[0])} is none of the addresses that opsloop's settings (chart value runbooks.webhooks) let this namespace call"
        return False, ADDRESS_NOT_ALLOWED, text
    if not facts.runs_jobs and any(step.type == "job" for step in book.spec.steps):
        return False, JOBS_OFF, "opsloop may not create Jobs here: the chart value runbooks.jobs gives it the right"
    return None


def _rights(facts: RunbookFacts) -> Finding | None:
    """Ready where each right is held on some Release; what is missing beside that is said."""
    spec = facts.runbook.spec
    account, names = spec.service_account_name, [r.metadata.name for r in concerned(facts.runbook, facts.releases)]
    missing, reviewed, remarks = [], False, _remarks(facts)
    for right in rights_of(facts.runbook):
        asked = {name: facts.allowed[right.plural, name] for name in names if (right.plural, name) in facts.allowed}
        refused = [name for name, allowed in asked.items() if not allowed]
        reviewed = reviewed or bool(asked)
        if asked and len(refused) == len(asked):
            missing.append(right)
        elif refused:
            remarks.append(f"but not on {', '.join(refused)}")
    if rights_of(facts.runbook) and not reviewed:
        return None
    if missing:
        steps = [step.type for step in spec.steps if RIGHTS.get(step.type) in missing]
        needs = " and ".join(right.sentence for right in missing)
        text = f"ServiceAccount {account} lacks {needs}, so {', '.join(dict.fromkeys(steps))} would be refused"
        return False, FORBIDDEN, text
    return True, "Ready", ", ".join([f"{spec.safety.mode}: plays are answered", *dict.fromkeys(remarks)])


def _remarks(facts: RunbookFacts) -> list[str]:
    """What is odd and keeps nothing from acting."""
    strange = [cause for cause in facts.runbook.spec.match.causes if cause not in CAUSES]
    return [f"but never for the unknown cause {', '.join(strange)}"] if strange else []
