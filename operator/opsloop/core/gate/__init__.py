"""The gate: seven rows about one shift, each recomputed where it happened. `docs/gate.md` is its page.

The rows are independent of each other: one broken source makes only those rows inconclusive that need it.
"""

from opsloop.core.gate import fix, page, recovery, regression, resolution, storm, ticket
from opsloop.core.gate.evidence import ShiftEvidence
from opsloop.core.gate.report import GateReport, Judge, judge_row

ROWS: tuple[tuple[str, Judge], ...] = (
    ("storm reduced", storm.judge),
    ("page sev1", page.judge),
    ("ticket routed and linked", ticket.judge),
    ("incident resolved", resolution.judge),
    ("SLI recovered within SLO", recovery.judge),
    ("regression case catches the bad release", regression.judge),
    ("fix promoted", fix.judge),
)


def judge(evidence: ShiftEvidence) -> GateReport:
    """Seven rows, always, in this order."""
    incident = evidence.incident
    name = incident.metadata.name if incident is not None and hasattr(incident, "metadata") else ""
    return GateReport(name, tuple(judge_row(row, rule, evidence) for row, rule in ROWS))
