"""Names that opsloop gives to objects, labels, annotations and headers; one place, so that all parts agree."""

RELEASE = "opsloop.dev/release"  # label: Release that an object belongs to
REVISION = "opsloop.dev/revision"  # label: digest of the revision that a pod or ControllerRevision is of
CANARY = "opsloop.dev/canary"  # label: on canary pods, names the Release; part of the canary's selector
QUARANTINE = "opsloop.dev/quarantine"  # label: on quarantined pods, names the EvalCase
INCIDENT = "opsloop.dev/incident"  # label: Incident that an object belongs to
INBOX = "opsloop.dev/inbox"  # label "true": ConfigMap with raw intake that is not filed yet
LEDGER = "opsloop.dev/ledger"  # label: on an Incident's ledger ConfigMap, names the Incident
TICKETS = "opsloop.dev/tickets"  # label "true": ConfigMap with tickets that are linked to no Incident
APPROVE = "opsloop.dev/approve"  # annotation: VERSION on a Release, PLAY (e.g. rollback-1) on an Incident
UNBLOCK = "opsloop.dev/unblock"  # annotation on a Release: digest that is allowed again
RETRY = "opsloop.dev/retry"  # annotation on a Release: any new value tries a rejected target again
MITIGATED = "opsloop.dev/mitigated"  # annotation "true" on an Incident without an SLI: a person says it is over
WAIVE = "opsloop.dev/waive-regression"  # annotation "true" on an Incident: no EvalCase is possible
GATE = "opsloop.dev/in-traffic"  # readiness gate (pod condition type) of canary pods
EVAL_HEADER = "X-Opsloop-Eval"  # header of eval requests, so that a service can leave them out of its SLI
FIELD_MANAGER = "opsloop"
GATE_OPEN = "opsloop-open"  # field manager of a patch that opens a gate: told apart in an audit log without bodies
GATE_CLOSE = "opsloop-close"  # the same for one that closes it


def revision_name(release: str, digest: str) -> str:
    """ControllerRevision that stores a template."""
    return f"{release}-{digest}"


def canary_name(deployment: str) -> str:
    """The canary Deployment beside the user's."""
    return f"{deployment}-canary"


def ledger_name(incident: str) -> str:
    """ConfigMap with all alerts and linked tickets of an Incident."""
    return f"{incident}-ledger"


def postmortem_name(incident: str) -> str:
    """ConfigMap with the rendered postmortem (key postmortem.md)."""
    return f"{incident}-postmortem"


def incident_name(release: str, number: int) -> str:
    """The n-th Incident of a root."""
    return f"{release}-{number}"


def incident_number(incident: str, release: str) -> int:
    """The n of `incident_name`, 0 where the name is another root's."""
    tail = incident.removeprefix(f"{release}-")
    return int(tail) if tail != incident and tail.isdigit() else 0
