"""Rendering of the gate's report: a table for people, JSON for programs."""

import json
import os
import shutil
import sys
import textwrap
from xml.etree import ElementTree

from opsloop.core.gate.report import FAILED, INCONCLUSIVE, PASSED, Fact, GateReport, Row, Verdict
from opsloop.core.text import line

_MARKS: dict[Verdict, str] = {"passed": "✓", "failed": "✗", "inconclusive": "?", "waived": "–"}
_PLAIN_MARKS: dict[Verdict, str] = {"passed": "+", "failed": "x", "inconclusive": "?", "waived": "-"}
_COLOURS: dict[Verdict, str] = {"passed": "32", "failed": "31;1", "inconclusive": "33", "waived": "36"}
_NARROW, _WIDE = 80, 150


def table(report: GateReport, namespace: str, width: int = 0, colour: bool | None = None) -> str:
    """Renders mark, name and sentence of each row with its evidence below, and the verdict as the last line."""
    width = width or min(_WIDE, max(_NARROW, shutil.get_terminal_size((120, 24)).columns))
    colour = _colour_supported() if colour is None else colour
    name_width = max((len(row.name) for row in report.rows), default=0)
    lines = [text for row in report.rows for text in _row(row, name_width, width, colour)]
    return "\n".join([*lines, "", verdict(report, namespace)])


def verdict(report: GateReport, namespace: str) -> str:
    """Renders the verdict in one line."""
    where = f"{report.incident} in {namespace}" if report.incident else f"namespace {namespace}"
    if report.exit_code == PASSED:
        waived = report.named("waived")
        tail = f"; waived: {', '.join(waived)}" if waived else ""
        return f"gate passed: {len(report.named('passed'))} of {len(report.rows)} rows{tail} ({where})"
    if report.exit_code == FAILED:
        inconclusive = report.named("inconclusive")
        tail = f"; inconclusive: {', '.join(inconclusive)}" if inconclusive else ""
        return f"gate failed: {', '.join(report.named('failed'))}{tail} ({where})"
    which = ", ".join(report.named("inconclusive")) or "every row is waived"
    return f"gate inconclusive: {which} ({where})"


def as_json(report: GateReport, namespace: str) -> str:
    """Renders the report as one JSON object."""
    rows = [
        {
            "name": row.name,
            "verdict": row.verdict,
            "sentence": row.sentence,
            "evidence": [{"name": fact.name, "value": fact.value, "source": fact.source} for fact in row.evidence],
        }
        for row in report.rows
    ]
    verdicts = {PASSED: "passed", FAILED: "failed", INCONCLUSIVE: "inconclusive"}
    whole = {
        "namespace": namespace,
        "incident": report.incident,
        "verdict": verdicts[report.exit_code],
        "exitCode": report.exit_code,
        "rows": rows,
    }
    return json.dumps(whole, indent=2)


def as_junit(report: GateReport, namespace: str) -> str:
    """Renders the report as JUnit XML: a row is a test case, one that is inconclusive is an error, never a pass, and one
    that is waived is skipped."""
    failed, inconclusive = len(report.named("failed")), len(report.named("inconclusive"))
    counts = {"tests": str(len(report.rows)), "failures": str(failed), "errors": str(inconclusive)}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        {"name": f"opsloop gate {namespace}", **counts, "skipped": str(len(report.named("waived")))},
    )
    for row in report.rows:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": f"opsloop.gate.{namespace}.{report.incident or 'none'}", "name": row.name}
        )
        if row.verdict != "passed":
            what = {"failed": "failure", "inconclusive": "error", "waived": "skipped"}[row.verdict]
            type_ = {} if row.verdict == "waived" else {"type": row.verdict}  # as the schema of JUnit has it
            ElementTree.SubElement(case, what, {**type_, "message": line(row.sentence)})
        said = ElementTree.SubElement(case, "system-out")
        facts = [f"{fact.name}: {fact.value} ({fact.source})" for fact in row.evidence]
        said.text = "\n".join(map(line, [row.sentence, *facts]))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _row(row: Row, name_width: int, width: int, colour: bool) -> list[str]:
    mark = (_MARKS if _is_printable(_MARKS[row.verdict]) else _PLAIN_MARKS)[row.verdict]
    if colour:
        mark = f"\033[{_COLOURS[row.verdict]}m{mark}\033[0m"
    room = max(30, width - name_width - 4)
    first, *rest = textwrap.wrap(line(row.sentence), room) or [""]
    lines = [f"{mark} {row.name:<{name_width}}  {first}".rstrip()]
    lines += [" " * (name_width + 4) + more for more in rest]
    return [*lines, *(_fact(fact, row.evidence, width) for fact in row.evidence)]


def _fact(fact: Fact, beside: tuple[Fact, ...], width: int) -> str:
    names = max(len(other.name) for other in beside)
    text = line(f"    {fact.name:<{names}}  {fact.value}" + (f"  [{fact.source}]" if fact.source else ""))
    return text if len(text) <= width else text[: width - 1] + "…"


def _is_printable(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _colour_supported() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
