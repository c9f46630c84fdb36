"""Generator of the drawings in docs/figures/: who does what in which phase, as lanes over columns.

Drawn from data, so that a changed phase is a changed line here. `tools/generate.py` writes them and checks that they are current.
"""

from dataclasses import dataclass
from functools import partial
from html import escape

LEFT, COLUMN, HEAD, LANE, GAP = 140, 156, 40, 66, 6  # widths and heights in pixels
LETTERS = 22  # of a cell's line, per column
STYLE = """
    .back { fill: #ffffff } .head { fill: #24292f; font-size: 13px; font-weight: 600 } .lane { fill: #24292f; font-size: 12.5px; font-weight: 600 }
    .says { font-size: 11.5px } .rule { stroke: #d0d7de }
    .live rect { fill: #ddf4e4; stroke: #2da44e } .live text { fill: #0a3d1d } .canary rect { fill: #fff1c7; stroke: #bf8700 } .canary text { fill: #4d3800 }
    .quiet rect { fill: #f3f4f6; stroke: #afb8c1 } .quiet text { fill: #3d444d } .bad rect { fill: #ffe3e0; stroke: #cf222e } .bad text { fill: #6e1118 }
    .act rect { fill: #dbeafe; stroke: #2563ab } .act text { fill: #0b2f5c }
    @media (prefers-color-scheme: dark) {
      .back { fill: #161b22 } .head, .lane { fill: #e6edf3 } .rule { stroke: #30363d }
      .live rect { fill: #12361f; stroke: #3fb950 } .live text { fill: #b6f0c5 } .canary rect { fill: #3b2f0b; stroke: #d29922 } .canary text { fill: #f7e0a0 }
      .quiet rect { fill: #21262d; stroke: #6e7681 } .quiet text { fill: #c9d1d9 } .bad rect { fill: #481a1d; stroke: #f85149 } .bad text { fill: #ffc9c5 }
      .act rect { fill: #10294a; stroke: #58a6ff } .act text { fill: #c6e0ff }
    }
"""


@dataclass(frozen=True)
class Cell:
    """A box: its class, its text, and over how many columns it goes."""

    look: str
    text: str
    columns: int = 1


@dataclass(frozen=True)
class Figure:
    """Lanes by name over columns; the cells of a lane fill its columns from left to right."""

    title: str
    about: str
    columns: tuple[str, ...]
    lanes: tuple[tuple[str, tuple[Cell | None, ...]], ...]


live, canary, quiet, bad, act = (partial(Cell, look) for look in ("live", "canary", "quiet", "bad", "act"))

FIGURES = {
    "canary": Figure(
        "What moves when in a canary",
        "The phases of a rollout from left to right; in each lane what pods, route and the user's Deployment do in them.",
        ("the spec changes", "Dark", "Stepping: 20 %", "Stepping: 50 %", "Promoting", "Promoted"),
        (
            ("Live pods", (live("the old version has all of the traffic", 2), live("80 %"), live("50 %"), act("replaced one by one, by Kubernetes"), live("the new version has all of the traffic"))),
            ("Canary pods", (None, canary("started and ready, gate closed: no traffic"), canary("gate open: 20 %"), canary("more pods: 50 %"), canary("stay until live is rolled out"), quiet("deleted"))),
            ("HTTPRoute (where there is one)", (quiet("as you wrote it", 2), act("80 : 20"), act("50 : 50"), act("as it was found, once live is rolled out"), quiet("as you wrote it"))),
            ("Who judges", (quiet("would it fit? is it blocked?"), quiet("readiness, EvalCases against canary and live"), quiet("hold, errors of the canary against live's and against the objective", 2), quiet("the Deployment's own deadline"), quiet("the SLO, for the bake time: last-good"))),
            ("Your Deployment", (quiet("not written", 4), act("/spec/template, once"), quiet("not written"))),
            ("If it fails", (bad("Refused"), bad("Rejected: canary deleted, nobody met it"), bad("Rejected: weight 0 first, then the pods go; the version is blocked", 2), bad("held with the reason; a newer version may ship"), bad("Incident, rolled back to last-good"))),
        ),
    ),
    "guarded": Figure(
        "What moves when on a guarded Deployment",
        "A template that any tool writes is held by the pause until its canary has passed; a rejected one stays written and runs nowhere.",
        ("at rest", "a tool writes", "canary", "passed", "or: rejected"),
        (
            ("spec.paused", (act("true", 3), act("false, until it is rolled out; then true"), act("true"))),
            ("spec.template", (quiet("what runs"), quiet("theirs, as it was written", 4))),
            ("Live pods", (live("what was proven", 3), act("rolled out by Kubernetes to theirs"), live("what was proven, also from 0 replicas"))),
            ("Canary pods", (None, None, canary("theirs: dark, then its weights"), quiet("deleted"), quiet("deleted"))),
            ("The tool sees", (quiet("in sync"), quiet("in sync: its template is stored", 4))),
        ),
    ),
    "incident": Figure(
        "What moves when in an incident",
        "From the first harm to the closed loop: phase, page, acts, and what is learnt.",
        ("harm begins", "Open", "Mitigating", "Mitigated", "Resolved", "loop closed"),
        (
            ("Seen by", (bad("users; alerts arrive at sev4"), bad("both windows of a tier burn: sev1 or sev2"), bad("the SLI since the act was in effect"), live("SLI within its objective"), live("for resolveAfter"), live("a fix was promoted and its case passed"))),
            ("Page", (None, act("trigger: one thread, one call"), quiet("goes on; acknowledge stops it", 2), act("resolve"), None)),
            ("Runbook", (None, quiet("cause ranked; limits and rights asked"), act("rollback to last-good, recorded before it is written"), quiet("Helped; else the next step, at last a person", 3))),
            ("Release", (bad("the bad version is live", 2), act("RollingBack"), live("last-good is live; the bad version is blocked", 2), live("the fix, by its canary"))),
            ("Learnt", (None, quiet("timeline, evidence, tickets linked", 3), act("postmortem; EvalCase that fails on bad and passes on good"), act("EvalCase gates every later version"))),
        ),
    ),
    "data": Figure(
        "The way of the data",
        "What comes in only wakes a name; per name the operator observes, decides by a pure function, and applies.",
        ("comes in", "wakes a name", "observe", "decide", "apply"),
        (
            ("Kubernetes", (quiet("kopf on.event: entry/watches"), quiet("shell/watch: cache, mapping, workqueue"), act("facts, from the cache"), canary("core.*.decide: facts, now → Decision"), act("safety, status under the lock, actions"))),
            ("Prometheus", (quiet("shell/slo/poller: one query a tick"), quiet("a verdict changed"), act("readings"), canary("no I/O, no clock, no logging"), act("Events, metrics"))),
            ("Alertmanager, tickets", (quiet("entry/intake_http, on every replica"), quiet("inbox: one ConfigMap, then 202; arrivals"), act("ledger, Incidents"), canary("core.correlation, core.tickets"), act("Incidents, pages: shell/notify"))),
        ),
    ),
}  # fmt: skip


def figures() -> dict[str, str]:
    """The drawings by their file names. Raises ValueError where a lane does not fill its columns."""
    return {f"{name}.svg": drawn(figure) for name, figure in FIGURES.items()}


def drawn(figure: Figure) -> str:
    """One figure as SVG, with title and description for those who hear it."""
    count = len(figure.columns)
    width, height = LEFT + count * COLUMN + GAP, HEAD + len(figure.lanes) * LANE + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title about" '
        "font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif\">",
        f'  <title id="title">{escape(figure.title)}</title>',
        f'  <desc id="about">{escape(figure.about)}</desc>',
        f"  <style>{STYLE}  </style>",
        f'  <rect class="back" width="{width}" height="{height}" rx="8"/>',
    ]
    parts += [
        f'  <text class="head" x="{LEFT + at * COLUMN + GAP}" y="25">{escape(name)}</text>'
        for at, name in enumerate(figure.columns)
    ]
    for row, (name, cells) in enumerate(figure.lanes):
        if sum(cell.columns if cell else 1 for cell in cells) != count:
            raise ValueError(f"{figure.title}: the lane {name} does not fill {count} columns")
        top = HEAD + row * LANE
        parts.append(f'  <line class="rule" x1="8" y1="{top}" x2="{width - 8}" y2="{top}"/>')
        parts += _lines("lane", name, 10, top, 15)
        column = 0
        for cell in cells:
            parts += _box(cell, column, top) if cell else []
            column += cell.columns if cell else 1
    return "\n".join([*parts, "</svg>", ""])


def _box(cell: Cell, column: int, top: int) -> list[str]:
    left, width = LEFT + column * COLUMN, cell.columns * COLUMN - GAP
    return [
        f'  <g class="{cell.look}"><rect x="{left}" y="{top + 5}" width="{width}" height="{LANE - 10}" rx="6" stroke-width="1.2"/>',
        *_lines("says", cell.text, left + 8, top, LETTERS * cell.columns),
        "  </g>",
    ]


def _lines(look: str, text: str, left: int, top: int, letters: int) -> list[str]:
    """The words of a text in lines, centred in the height of a lane."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= letters:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) > 3:
        raise ValueError(f"{text}: more than three lines")
    first = top + LANE / 2 + 4 - (len(lines) - 1) * 7.5
    return [
        f'    <text class="{look}" x="{left}" y="{first + at * 15:g}">{escape(line)}</text>'
        for at, line in enumerate(lines)
    ]
