"""The gate: seven rows about one shift, each recomputed where it happened. `docs/gate.md` is its page.

The rows are independent of each other: one broken source makes only those rows inconclusive that need it.
"""

from collections.abc import Collection

from opsloop.api.incident import Incident
from opsloop.core.gate import fix, page, recovery, regression, resolution, storm, ticket
from opsloop.core.gate.evidence import ShiftEvidence
from opsloop.core.gate.report import GateReport, Judge, judge_row, waived
from opsloop.core.gate.scope import waiver_of

ROWS: tuple[tuple[str, Judge], ...] = (
    ("storm reduced", storm.judge),
    ("page sev1", page.judge),
    ("ticket routed and linked", ticket.judge),
    ("incident resolved", resolution.judge),
    ("SLI recovered within SLO", recovery.judge),
    ("regression case catches the bad release", regression.judge),
    ("fix promoted", fix.judge),
)


SHORT = dict(
    zip(("storm", "page", "ticket", "resolved", "recovered", "case", "fix"), (n for n, _ in ROWS), strict=True)
)
"""Each row by the word that `--waive` takes."""


def judge(evidence: ShiftEvidence, waives: Collection[str] = ()) -> GateReport:
    """Seven rows, always, in this order. `waives`: the words of SHORT that the caller leaves out, where they do not pass."""
    incident = evidence.incident if isinstance(evidence.incident, Incident) else None
    rows = [judge_row(row, rule, evidence) for row, rule in ROWS]
    by = {SHORT[word]: f"the caller (--waive {word})" for word in waives}
    if incident is not None and evidence.case is None and (waiver := waiver_of(incident)):
        by[SHORT["case"]] = waiver
    judged = tuple(waived(row, by[row.name]) if row.name in by else row for row in rows)
    return GateReport(incident.metadata.name if incident else "", judged)
