"""Names of the objects, labels, annotations, headers and field managers that opsloop writes."""

RELEASE = "opsloop.dev/release"  # label: Release of an object
REVISION = "opsloop.dev/revision"  # label: digest of the revision of a pod or ControllerRevision
CANARY = "opsloop.dev/canary"  # label on canary pods, and on an HTTPRoute while its weights are moved: Release; the canary's selector
WARM = "opsloop.dev/warm"  # label on pods that are kept warm, their Deployment and its Service: Release; the selector of both
QUARANTINE = "opsloop.dev/quarantine"  # label on quarantined pods: EvalCase
INCIDENT = "opsloop.dev/incident"  # label: Incident of an object
INBOX = "opsloop.dev/inbox"  # label "true" on a ConfigMap with intake that is not correlated yet
LEDGER = "opsloop.dev/ledger"  # label on a ledger ConfigMap: Incident
LEDGER_PAGE = "opsloop.dev/ledger-page"  # label on a ConfigMap with further alerts of a ledger: Incident
TICKETS = "opsloop.dev/tickets"  # label "true" on a ConfigMap with tickets that are linked to no Incident
APPROVE = "opsloop.dev/approve"  # annotation: VERSION/WEIGHT on a Release, PLAY (for example rollback-1) or the bad revision's digest on an Incident, that digest on an EvalCase
DRILL = "opsloop.dev/drill"  # annotation that `opsloop drill` adds and removes at once, so that a late write of its own is refused
UNBLOCK = "opsloop.dev/unblock"  # annotation on a Release: digest to allow again
PROMOTE = "opsloop.dev/promote"  # annotation on a Release: VERSION (the next step now) or VERSION/WEIGHT (100: all)
ABORT = "opsloop.dev/abort"  # annotation on a Release: VERSION of the canary to take out
UNDO = "opsloop.dev/undo"  # annotation on a Release: VERSION that is live and shall not be, or VERSION/DIGEST to go back to
RESTART = "opsloop.dev/restart"  # annotation on a Release: VERSION that is live, whose pods shall start anew
RETRY = "opsloop.dev/retry"  # annotation on a Release: any new value retries a target that ended
FIXES = (
    "opsloop.dev/fixes"  # annotation on a Release: Incident whose freeze its canaries pass, because they are its fix
)
ROLLBACK_SAFE = "opsloop.dev/rollback-safe"  # annotation "false" on a pod template, or on the Release that asks for it
COMMITTED = "opsloop.dev/committed-at"  # annotation on a pod template, or on the Release that asks for it: time of its commit, for reports
MITIGATED = "opsloop.dev/mitigated"  # annotation "true" on an Incident without a burn: the harm is over
ACKNOWLEDGE = "opsloop.dev/acknowledge"  # annotation on an Incident, any new value: a person has taken it on
KEEP = "opsloop.dev/keep"  # annotation "true" on an Incident: it outlives its retention
WAIVE = (
    "opsloop.dev/waive-regression"  # annotation "WHO: WHY" on an Incident: a person says why no EvalCase is possible
)
SUBJECT = "opsloop.dev/subject"  # annotation on a postmortem ConfigMap: digest of what it was rendered from
RENDERED = (
    "opsloop.dev/rendered"  # annotation on a postmortem ConfigMap: digest of the Markdown that opsloop wrote there
)
WEIGHTS_BEFORE = "opsloop.dev/weights-before"  # annotation on an HTTPRoute in a rollout: whose weights were moved, and how they were found
LIVE_METADATA = "opsloop.dev/live-metadata"  # label "true" on live pods with labels of one's own, and an annotation: which, and what was there
SESSION = "opsloop.dev/session"  # annotation on the Lease: which process of the pod holds it
GATE = "opsloop.dev/in-traffic"  # readiness gate (pod condition type) of canary pods
EVAL_HEADER = "X-Opsloop-Eval"  # header of eval requests, so that a service can exclude them from its SLI
TEMPLATES = "opsloop-postmortem"  # ConfigMap of a namespace with its own templates of postmortems: postmortem.md.j2, postmortem.html.j2
TICKET_QUEUE = "opsloop-tickets"  # ConfigMap with the namespace's tickets that are linked to no Incident; further ones have a number
LAGS = "opsloop-lags"  # ConfigMap with what the namespace's past Incidents taught of alert rules
CORRECTIONS = "opsloop-corrections"  # ConfigMap with what people's corrections of tickets taught, and the answers to the latest ones
INBOX_PREFIX = "opsloop-inbox-"  # begins the name of each ConfigMap of an inbox
FIELD_MANAGER = "opsloop"
CLI_MANAGER = "opsloop-cli"  # field manager of what a person writes by the command line
GATE_OPEN = "opsloop-open"  # field manager of patches that open a gate; an audit log without bodies shows it
GATE_CLOSE = "opsloop-close"  # field manager of patches that close a gate


def revision_name(release: str, digest: str) -> str:
    """Name of the ControllerRevision that stores a pod template."""
    return f"{release}-{digest}"


def canary_name(deployment: str) -> str:
    """Name of the canary Deployment, and of its Service where an HTTPRoute makes the weights."""
    return f"{deployment}-canary"


def warm_name(deployment: str) -> str:
    """Name of the Deployment with pods of last-good that are kept warm, and of its Service where an HTTPRoute makes the weights."""
    return f"{deployment}-warm"


def ledger_name(incident: str) -> str:
    """Name of the ConfigMap with all alerts and linked tickets of an Incident."""
    return f"{incident}-ledger"


def page_name(incident: str, number: int) -> str:
    """Name of the ConfigMap with a further page of an Incident's ledger; the first is 1."""
    return f"{ledger_name(incident)}-{number}"


def queue_name(number: int) -> str:
    """Name of the ConfigMap with a segment of the ticket queue; the first is 0."""
    return f"{TICKET_QUEUE}-{number}" if number else TICKET_QUEUE


def postmortem_name(incident: str) -> str:
    """Name of the ConfigMap with the postmortem: as Markdown (postmortem.md) and as data (postmortem.json.gz)."""
    return f"{incident}-postmortem"


def requests_name(incident: str) -> str:
    """Name of the ConfigMap with the requests that the service's own endpoint told of while the Incident burned."""
    return f"{incident}-requests"


def incident_name(release: str, number: int) -> str:
    """Name of the Incident with this number on a root Release."""
    return f"{release}-{number}"


def incident_number(incident: str, release: str) -> int:
    """Number in an Incident's name; 0 if the name belongs to another root."""
    tail = incident.removeprefix(f"{release}-")
    return int(tail) if tail != incident and tail.isdigit() else 0
