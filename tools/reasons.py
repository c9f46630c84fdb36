"""Generator of docs/reasons.md: the named reasons of operator/opsloop/core, each with its comment.

A reason is a module-level constant with a CamelCase value, such as `NO_EVENTS = "NoEvents"  # nothing happened …`.
`tools/generate.py` writes the page, and checks whether it is current.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CORE = Path(__file__).resolve().parent.parent / "operator" / "opsloop" / "core"
CAMEL = re.compile(r"[A-Z][a-z]+([A-Z][a-z]*)*")

# (heading, fields that hold these reasons, modules of core)
SECTIONS = (
    (
        "Release",
        "`status.conditions[].reason` (`Held`, `Blocked`, `Drifted`, `Available`, `WorkloadMissing`, `TiersReachable`, `StoredAsDecided`, `Shipped`, `SpecResolved`, `RolledOut`, `BudgetMet`, `CanaryFits`, `MetadataFits`, `RouteReady`, `LastGoodWarm`, `Told`, `Guarded`, `Frozen`, `Progressing`, `Promoted`, `Rejected`, `Healthy`, `Ready`), `status.target.reason`, `status.target.checks[].reason`, `status.commands[].reason`, "
        "`status.revisions[].reason` and `.blocked.reason`, `status.rollback.reason`, `status.act.reason`.",
        ("release.decide", "release.notices", "release.progress", "release.commands", "release.acts", "release.undo", "release.restart", "release.giving_way", "release.rollout_state", "release.outages", "release.live", "release.memory", "release.admission", "release.target", "release.wanted", "release.patched", "release.direct", "release.canary", "release.spared", "release.outcome", "release.pods", "release.pod_metadata", "release.analysis", "release.checks", "release.rollback", "release.compared", "release.alone", "release.budgets", "release.played", "release.frozen", "release.guard", "release.guarding", "release.settling", "release.history", "release.route_ready", "release.routing", "release.route_back", "release.back", "release.warm.start", "release.warm.keep", "release.warm.serve", "release.warm.leave"),
    ),
    (
        "Readings of an SLI",
        "`status.conditions` (`TelemetryKnown`, `RevisionsTold`, `Held`) and the message of `Held`. Those up to `LowCoverage` mean *unknown*, which "
        "decides nothing.",
        ("slo.burn_rate", "slo.telling", "slo.remarks", "slo.query_budget", "slo.canary"),
    ),
    (
        "Incident",
        "`status.conditions[].reason`, `status.plays[].reason`, `status.page.reason`, the timeline.",
        ("incident.lifecycle", "incident.recovery", "incident.paging", "incident.delivery", "incident.suspicion", "incident.plays", "incident.watching", "incident.consent", "incident.acts", "incident.errands", "incident.effect", "incident.followup", "incident.waivers", "incident.people", "incident.retention", "incident.state"),
    ),
    ("Search for a regression case", "`status.comparison.reason` and the condition `RegressionCaptured` of an Incident; those of an EvalCase's proof as well.", ("incident.comparison",)),
    ("Releases, Incidents and EvalCases", "`status.target.reason` and `status.rollback.reason` of a Release, `status.reason` of an EvalCase.", ("conditions",)),
    ("Emergency stop", "`Stopped` and `Shipped` of a Release, `Held`, `Acting`, `status.plays[].reason`, `status.rollback.reason`, `Ready` of a Runbook, `status.reason` of an EvalCase.", ("stop",)),
    ("Cause of an Incident", "`status.cause.reason`.", ("incident.cause", "incident.exoneration")),
    ("Runbook", "`Ready` and `status.grants[].reason` of the Runbook, `status.plays[].reason` of the Incident; for checks of a rollout `Held` and `status.target.checks[].reason` of the Release.", ("runbook.decide", "runbook.limits", "runbook.ready")),
    ("EvalCase", "`status.reason`, for `status.proven`.", ("evalcase.proof", "evalcase.expectation")),
    ("EvalCase on live", "`status.live.reason`, the condition `PassesOnLive`.", ("evalcase.live", "evalcase.silence")),
    ("Steadiness of an EvalCase", "The condition `Steady`.", ("evalcase.steadiness",)),
    ("Merged EvalCases", "The condition `Merged`.", ("evalcase.merging",)),
    ("Eval cases in a rollout", "The message of `Held` or of a rejected target.", ("evalcase.gating", "evalcase.capture", "evalcase.expectation", "evalcase.silence")),
    ("Corrections of tickets", "Events of the Namespace.", ("tickets.correcting",)),
    ("Where an alert was filed", "The operator's log, beside the number of alerts.", ("correlation.filing",)),
)  # fmt: skip

# Reasons without a constant: they say that nothing is wrong, or that something is under way.
IN_PLACE = {
    "Found": "the Deployment exists",
    "NoCanary": "no canary is in progress",
    "Allowed": "the wanted revision is not blocked",
    "Resolved": "everything that the spec names exists",
    "Promoted": "the target is live",
    "Requested": "a play is requested and waits for the Runbook's answer",
    "NotLive": "no revision that this Incident blocked is live",
    "Written": "the postmortem is stored",
    "Pending": "the postmortem is being written",
    "Ready": "the Runbook answers requested plays",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Named reason with its module and sentence."""

    module: str
    value: str
    sentence: str


@cache
def reasons() -> tuple[Reason, ...]:
    """Returns all named reasons of core, in the order of the files."""
    return tuple(reason for path in sorted(CORE.rglob("*.py")) for reason in _of(path))


def _of(path: Path) -> Iterator[Reason]:
    text, module = path.read_text(), ".".join(path.relative_to(CORE).with_suffix("").parts)
    lines = text.split("\n")
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            name = node.targets[0]
            public = isinstance(name, ast.Name) and name.id.isupper() and not name.id.startswith("_")
            if public and CAMEL.fullmatch(node.value.value):
                yield Reason(module, node.value.value, _comment(lines, node))


def _comment(lines: list[str], node: ast.stmt) -> str:
    """What follows a statement on its last line; ast counts columns in bytes."""
    rest = lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset :].decode().strip()
    return rest.lstrip("# ").strip() if rest.startswith("#") else ""


def page() -> str:
    """Renders the page. Raises ValueError if a reason has no sentence, or its module no section."""
    known = reasons()
    if bare := [f"{r.module}.py: {r.value}" for r in known if not r.sentence]:
        raise ValueError(f"a named reason needs a comment on its line: {', '.join(bare)}")
    if twice := [value for value, count in Counter(r.value for r in known).items() if count > 1]:
        raise ValueError(f"a named reason is declared once, where its subject is; twice are: {', '.join(twice)}")
    placed = {module for *_, modules in SECTIONS for module in modules}
    if homeless := sorted({r.module for r in known} - placed):
        raise ValueError(f"tools/reasons.py has no section for the reasons of {', '.join(homeless)}")
    parts = [
        "<!-- Generated by `make generate` from operator/opsloop/core; do not edit. -->\n# Named reasons\n",
        "CamelCase constants in conditions, plays, grants and pages. What to do about them: [operations.md](operations.md).\n",
    ]
    for heading, where, modules in SECTIONS:
        rows = [(r.value, r.sentence) for module in modules for r in known if r.module == module]
        parts.append(f"## {heading}\n{where}\n\n{_table(rows)}")
    parts.append(f"## Nothing is wrong\n{_table(list(IN_PLACE.items()))}")
    return "\n".join(parts)


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| `{value}` | {sentence.replace('|', chr(92) + '|')} |\n" for value, sentence in dict.fromkeys(rows)]
    return "| reason | means |\n|---|---|\n" + "".join(lines)
