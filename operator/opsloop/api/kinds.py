"""The four kinds as the API server is told of them: names, one sentence each, printer columns."""

from dataclasses import dataclass

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import Model
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.api.schema import RULES, rules


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `wide` ones show with -o wide only."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


AGE = Column("Age", ".metadata.creationTimestamp", "Time since it was created.", "date")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the group."""

    model: type[Model]
    plural: str
    short: str
    sentence: str
    columns: tuple[Column, ...]
    max_name: int = 253  # shorter where other names or label values are made from it
    why_max_name: str = ""

    @property
    def name(self) -> str:
        """CamelCase, as in `kind:`."""
        return self.model.__name__

    @property
    def object_rules(self) -> list[dict[str, str]]:
        """CEL rules on the whole object: its name is the only metadata that a CRD can see."""
        if self.max_name >= 253:
            return []
        sentence = f"metadata.name must be at most {self.max_name} characters long, because {self.why_max_name}"
        found: list[dict[str, str]] = rules((f"size(self.metadata.name) <= {self.max_name}", sentence))[RULES]
        return found


RELEASE = Kind(
    model=Release,
    plural="releases",
    short="rel",
    sentence="Which version of one Deployment should be live, how it gets there, and what healthy means for it (its SLO).",
    max_name=45,
    why_max_name="the names of its Incidents and EvalCases start with it and are label values, which end at 63",
    columns=(
        Column("Phase", ".status.phase", "At a glance."),
        Column("Version", ".status.version", "Version that is live."),
        Column("Weight", ".status.weight.actual", "Percent of the pods in traffic that are canary pods.", "integer"),
        Column("Burn", ".status.burnBand", "Burn band: ok, slow, fast or unknown."),
        Column("Incident", ".status.incident", "Open Incident on this Release."),
        AGE,
        Column("Wanted", ".status.weight.wanted", "Percent that the decided step asks for.", "integer", wide=True),
        Column("Target", ".status.target.version", "Version of the last canary.", wide=True),
        Column("State", ".status.target.state", "Where that canary is.", wide=True),
        Column("Workload", ".spec.workloadRef.name", "The Deployment.", wide=True),
    ),
)

INCIDENT = Kind(
    model=Incident,
    plural="incidents",
    short="inc",
    sentence="One episode of harm: what was seen, what was done, when. The source of the postmortem.",
    columns=(
        Column("Severity", ".status.severity", "Present severity; sev1 and sev2 page."),
        Column("Phase", ".status.phase", "Open, Mitigating, Mitigated or Resolved."),
        Column("Service", ".spec.service", "Service that is harmed at the root."),
        Column("Title", ".status.title", "One line: the harm where an SLO shows it."),
        Column("Alerts", ".status.alerts.count", "Distinct alerts.", "integer"),
        AGE,
        Column("Cause", ".status.cause.kind", "Best explanation so far.", wide=True),
        Column("Page", ".status.page.state", "State of its one page.", wide=True),
        Column("Postmortem", ".status.postmortem", "ConfigMap that holds the postmortem.", wide=True),
        Column("Case", ".status.evalCase", "EvalCase captured from it.", wide=True),
    ),
)

RUNBOOK = Kind(
    model=Runbook,
    plural="runbooks",
    short="rb",
    sentence="For which incidents it applies, the ordered plays, and the limits on running them unattended.",
    columns=(
        Column("Mode", ".spec.safety.mode", "auto, approve or dryRun."),
        Column("Last play", ".status.lastPlay", "Last granted play."),
        AGE,
        Column("Last play at", ".status.lastPlayAt", "When it was granted.", "date", wide=True),
        Column("Account", ".spec.serviceAccountName", "On whose behalf it acts.", wide=True),
    ),
)

EVALCASE = Kind(
    model=EvalCase,
    plural="evalcases",
    short="ec",
    sentence="One executable expectation of a service; a regression case names the Incident that it came from.",
    columns=(
        Column("Origin", ".spec.origin.kind", "manual or regression."),
        Column("Proven", ".status.proven", "True: fails on the bad revision and passes on the good one."),
        Column("Last result", ".status.result", "Passed or Failed in the last rollout."),
        AGE,
        Column("Release", ".spec.release", "Release whose pods are asked.", wide=True),
        Column("Must pass", ".spec.mustPass", "Gates at zero failures.", "boolean", wide=True),
        Column("Incident", ".spec.origin.incident", "Incident that it came from.", wide=True),
    ),
)

KINDS = (RELEASE, INCIDENT, RUNBOOK, EVALCASE)
