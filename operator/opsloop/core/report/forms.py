"""A report as text for a terminal, as Markdown, as JSON and as CSV: the same figures in each."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from opsloop.api.meta import format_time
from opsloop.core import text
from opsloop.core.postmortem import markdown
from opsloop.core.report.facts import Budget
from opsloop.core.report.figures import Figures, Times
from opsloop.core.report.report import Report
from opsloop.core.report.words import Part, parts, title


def table(report: Report, namespace: str) -> str:
    """Headings, and below each its lines in columns."""
    blocks = [[title(report, namespace)], *([part.heading.upper(), *_aligned(part)] for part in parts(report))]
    return "\n\n".join("\n".join(block) for block in blocks)


def _aligned(part: Part) -> list[str]:
    rows = [part.header, *part.rows] if any(part.header) else list(part.rows)
    rows = [tuple(map(text.line, row)) for row in rows]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  " + "   ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def as_markdown(report: Report, namespace: str) -> str:
    """For a wiki or a ticket."""
    blocks = [f"# {markdown.text(title(report, namespace))}"]
    for part in parts(report):
        rows = [[markdown.text(cell, 1000) for cell in row] for row in part.rows]
        blocks.append(f"## {part.heading}")
        single = len(part.rows[0]) == 1
        blocks.append(markdown.bullets(row[0] for row in rows) if single else markdown.table(part.header or ("What", "How much"), rows))  # fmt: skip
    return "\n\n".join(blocks)


def as_json(report: Report, namespace: str) -> str:
    """For programs. Times are in seconds; null is unknown."""
    window = report.window
    body = {
        "namespace": namespace or None,
        "since": format_time(window.since),
        "until": format_time(window.until),
        "changesSince": _time(report.changes_since),
        "whole": _figures(report.whole, report.knows_changes()),
        "namespaces": {
            name: _figures(figures, report.knows_changes(name)) for name, figures in report.by_namespace.items()
        },
        "releases": [
            {
                "namespace": row.namespace,
                "release": row.release or None,
                "changesSince": _time(row.history_since and max(row.history_since, window.since)),
                "budgets": [_budget(budget) for budget in row.budgets],
                **_figures(row.figures, row.knows_changes),
            }
            for row in report.rows
        ],
        "failed": [_item(one) for one in report.failed],
        "stopped": [_item(one) for one in report.stopped],
        "caught": [_item(one) for one in report.caught],
        "remarks": list(report.remarks),
    }
    return json.dumps(body, indent=2)


def as_csv(report: Report, namespace: str) -> str:
    """A line for each Release, for a spreadsheet: what it adds up must be the report's own sums. Times are in seconds."""
    made = io.StringIO()
    lines = [{"namespace": row.namespace, "release": row.release, **_flat(row.figures, row.knows_changes), **_spent(row.budgets)} for row in report.rows]  # fmt: skip
    writer = csv.DictWriter(
        made, ["namespace", "release", *_flat(Figures()), "budget_spent"], lineterminator="\n", restval=""
    )
    writer.writeheader()
    writer.writerows(lines)
    return made.getvalue().rstrip("\n")


FORMS: Mapping[str, Callable[[Report, str], str]] = {
    "table": table,
    "json": as_json,
    "md": as_markdown,
    "csv": as_csv,
}


CHANGES = ("deployments", "promoted", "pushed", "failed", "stoppedDark", "stoppedServing")


def _figures(figures: Figures, is_known: bool = True) -> dict[str, Any]:
    """`is_known`: is there a history of its changes?"""
    told = {
        "incidents": figures.incidents,
        "severities": dict(sorted(figures.severities.items())),
        "causes": dict(sorted(figures.causes.items())),
        "open": figures.open,
        "reopened": figures.reopened,
        "merged": figures.merged,
        "timeToDetect": _times(figures.detect),
        "timeToMitigate": _times(figures.mitigate),
        "timeToResolve": _times(figures.resolve),
        "deployments": figures.deployments,
        "promoted": figures.promoted,
        "pushed": figures.pushed,
        "failed": figures.failed,
        "changeFailureRate": figures.failure_rate,
        "leadTime": _times(figures.lead),
        "rolloutTime": _times(figures.rollout),
        "timeToRestore": _times(figures.restore),
        "stoppedDark": figures.stopped_dark,
        "stoppedServing": figures.stopped_serving,
        "caught": figures.caught,
    }
    return told if is_known else told | dict.fromkeys(CHANGES)


def _flat(figures: Figures, is_known: bool = True) -> dict[str, Any]:
    """In one line: counts, and median and p90 of times."""
    cells: dict[str, Any] = {}
    for name, value in _figures(figures, is_known).items():
        key = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        if key == "severities":
            cells |= {severity: value.get(severity, 0) for severity in ("sev1", "sev2", "sev3", "sev4")}
        elif key == "causes":
            continue
        elif isinstance(value, dict):
            cells |= {f"{key}_{part}": value[part] for part in ("median", "p90", "known", "unknown", "ongoing")}
        else:
            cells[key] = value
    return cells


def _spent(budgets: Sequence[Budget]) -> dict[str, Any]:
    """Of several objectives the largest: the one that is the closest to its end."""
    known = [budget.spent for budget in budgets if budget.spent is not None]
    return {"budget_spent": max(known)} if known else {}


def _times(times: Times) -> dict[str, Any]:
    middle, p90 = (None if t is None else round(t.total_seconds(), 3) for t in (times.median, times.p90))
    return {"median": middle, "p90": p90, "known": len(times.seconds), "unknown": times.unknown, "ongoing": times.ongoing}  # fmt: skip


def _budget(budget: Budget) -> dict[str, Any]:
    return {
        "slo": budget.slo,
        "objective": budget.objective,
        "periodSeconds": budget.period.total_seconds(),
        "bad": budget.bad,
        "total": budget.total,
        "spent": budget.spent,
        "why": budget.why,
    }


def _item(one: Any) -> dict[str, Any]:
    return {name: format_time(value) if isinstance(value, datetime) else value for name, value in asdict(one).items()}


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)
