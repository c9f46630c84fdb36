"""Registration of the four kinds and of the emergency switch: names, description and printer columns."""

from dataclasses import dataclass
from typing import Any

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import Model
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.api.schema import RULES, rules
from opsloop.api.stop import Stop


@dataclass(frozen=True, slots=True)
class Column:
    """Printer column of `kubectl get`; a `wide` one is shown with -o wide only."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


# A rule on the whole object is asked at each write of the status as well: what was stored before the rule stays writable.
# Only sizes of the old object fit into the cost budget.
NOT_ITSELF = {
    "rule": "!(has(self.spec.dependsOn) && self.metadata.name in self.spec.dependsOn) || (oldSelf.hasValue()"
    " && has(oldSelf.value().spec.dependsOn) && size(oldSelf.value().spec.dependsOn) == size(self.spec.dependsOn))",
    "message": "spec.dependsOn must not name this Release itself: it names the Releases that this service calls",
    "optionalOldSelf": True,
}
AGE = Column("Age", ".metadata.creationTimestamp", "Time since creation.", "date")


@dataclass(frozen=True, slots=True)
class Kind:
    """Registration of one kind."""

    model: type[Model]
    plural: str
    short: str
    sentence: str
    columns: tuple[Column, ...]
    max_name: int = 253  # shorter if other names or label values are derived from the name
    why_max_name: str = ""
    more_rules: tuple[dict[str, Any], ...] = ()  # on the object as a whole

    @property
    def name(self) -> str:
        """Name of the kind in CamelCase."""
        return self.model.__name__

    @property
    def object_rules(self) -> list[dict[str, Any]]:
        """CEL rules on the whole object; a CRD sees no metadata but the name."""
        if self.max_name >= 253:
            return [*self.more_rules]
        sentence = f"metadata.name must be at most {self.max_name} characters long, because {self.why_max_name}"
        return [*rules((f"size(self.metadata.name) <= {self.max_name}", sentence))[RULES], *self.more_rules]


RELEASE = Kind(
    model=Release,
    plural="releases",
    short="rel",
    sentence="A Release is the wanted version of one Deployment, its rollout strategy and its SLO.",
    max_name=45,
    why_max_name="the names of its Incidents and EvalCases start with it and are label values, which end at 63",
    more_rules=(NOT_ITSELF,),
    columns=(
        Column("Phase", ".status.phase", "Summary of the conditions and the target."),
        Column("Version", ".status.version", "Version label of the live revision."),
        Column(
            "Weight", ".status.weight.actual", "Share of canary pods among the pods in traffic, in percent.", "integer"
        ),
        Column("Burn", ".status.burnBand", "Burn rate as a band: ok, slow, fast or unknown."),
        Column("Incident", ".status.incident", "Open Incident of this Release, if any."),
        AGE,
        Column(
            "Wanted",
            ".status.weight.wanted",
            "Weight that the decided step asks for, in percent.",
            "integer",
            wide=True,
        ),
        Column("Target", ".status.target.version", "Version label of the current or last canary.", wide=True),
        Column("State", ".status.target.state", "State of that canary.", wide=True),
        Column(
            "Shipped",
            '.status.conditions[?(@.type=="Shipped")].status',
            "Whether the version of the spec is live and rolled out.",
            wide=True,
        ),
        Column(
            "Why",
            '.status.conditions[?(@.type=="Shipped")].reason',
            "Named reason for which the version of the spec is shipped or not.",
            wide=True,
        ),
        Column("Workload", ".spec.workloadRef.name", "Deployment that the Release manages.", wide=True),
    ),
)

INCIDENT = Kind(
    model=Incident,
    plural="incidents",
    short="inc",
    sentence="An Incident is one episode of harm, with its signal, cause, plays and timeline. The postmortem is rendered from it.",
    columns=(
        Column("Severity", ".status.severity", "Current severity; sev1 and sev2 page a person."),
        Column("Phase", ".status.phase", "Phase of the Incident: Open, Mitigating, Mitigated or Resolved."),
        Column("Service", ".spec.service", "Service in which the harm originates."),
        Column("Title", ".status.title", "Title in one line: the measured harm if there is an SLO, else spec.title."),
        Column("Alerts", ".status.alerts.count", "Number of distinct alerts.", "integer"),
        Column("Assignee", ".spec.assignee", "Person or team that works on the Incident."),
        Column("Merged into", ".status.mergedInto", "Incident that this one was merged into, if any."),
        AGE,
        Column("Cause", ".status.cause.kind", "Kind of the most likely cause.", wide=True),
        Column("Page", ".status.page.state", "State of the page.", wide=True),
        Column("Postmortem", ".status.postmortem", "Name of the ConfigMap that holds the postmortem.", wide=True),
        Column("Case", ".status.evalCase", "Name of the regression EvalCase created from the Incident.", wide=True),
    ),
)

RUNBOOK = Kind(
    model=Runbook,
    plural="runbooks",
    short="rb",
    sentence="A Runbook is an ordered list of steps against an Incident, with the incidents that it applies to and the limits on running it unattended.",
    columns=(
        Column("Mode", ".spec.safety.mode", "Mode of running steps: auto, approve or dryRun."),
        Column("Last play", ".status.lastPlay", "Latest granted play."),
        AGE,
        Column("Last play at", ".status.lastPlayAt", "Time at which the latest play was granted.", "date", wide=True),
        Column("Account", ".spec.serviceAccountName", "ServiceAccount on whose behalf the Runbook acts.", wide=True),
    ),
)

EVALCASE = Kind(
    model=EvalCase,
    plural="evalcases",
    short="ec",
    sentence="An EvalCase is one executable expectation of a service. A regression case is created from an Incident.",
    columns=(
        Column("Origin", ".spec.origin.kind", "Origin of the case: manual or regression."),
        Column("Proven", ".status.proven", "Whether the case fails on the bad revision and passes on the good one."),
        Column("Live", ".status.live.result", "Result on the live revision: Passed, Failed or NoAnswer."),
        Column(
            "Steady", ".status.steady", "Whether repeated answers agree: Steady, or Flaky, which sets the case aside."
        ),
        Column("Last result", ".status.result", "Result in the latest rollout: Passed, Failed or Flaky."),
        AGE,
        Column("By", ".spec.origin.by", "Way by which a regression case came from its Incident.", wide=True),
        Column("Release", ".spec.release", "Release whose pods the request is sent to.", wide=True),
        Column("Merged into", ".status.mergedInto", "Older case of the same fault that is asked instead.", wide=True),
        Column(
            "Same fault as",
            ".status.sameFaultAs",
            "Oldest case that shows the same fault by another question.",
            wide=True,
        ),
        Column(
            "Must pass",
            ".spec.mustPass",
            "Whether a single failure on a canary rejects its version.",
            "boolean",
            wide=True,
        ),
        Column("Why", ".status.live.message", "What the result on the live revision rests on.", wide=True),
        Column("Incident", ".spec.origin.incident", "Incident that a regression case was created from.", wide=True),
    ),
)

KINDS = (RELEASE, INCIDENT, RUNBOOK, EVALCASE)

STOP = Kind(
    model=Stop,
    plural="stops",
    short="",
    sentence="A Stop keeps opsloop from acting while it exists: in its namespace, or in all of them if it lies in opsloop's own. Weights are still lowered, and Incidents and pages go on.",
    columns=(Column("Reason", ".spec.reason", "Why opsloop must not act."), AGE),
)
ALL = (*KINDS, STOP)
"""Everything that has a CustomResourceDefinition. Nobody reconciles a Stop: it has no status."""
