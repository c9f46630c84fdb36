"""The SLI over the time of an incident as an SVG: error ratio by interval, the objective, and the moments; no script, no font.

Colours are CSS classes with a dark variant (`prefers-color-scheme`); title and description say the same in words. Sizes are
in user units of a 720 × 300 view box, so that it scales with the page.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape

from opsloop.core.postmortem.curve import Curve
from opsloop.core.postmortem.markdown import clock, day, percent

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 70, 34  # margins; the names of the moments stand in the upper one
_LETTER = 6.2  # width of a letter of the small font, so that names do not overlap
_ROW = 14  # height of a line of names
_ROWS = 4  # lines of names above the plot: one for each of the four times, so that none overlap
_TICKS = 5
BLANK = 1 / 8  # most of the width that may be blank before the first event, as a share of the rest
_TOPS = (0.001, 0.002, 0.004, 0.01, 0.02, 0.04, 0.08, 0.2, 0.4, 0.6, 0.8, 1.0)  # upper ends of the scale

STYLE = """
.sli text{font:11px system-ui,sans-serif;fill:#444}
.sli .grid{stroke:#ddd}.sli .axis{stroke:#888}
.sli .bar{fill:#c2410c}.sli .goal{stroke:#15803d;stroke-dasharray:5 3}.sli .goal-name{fill:#15803d}
.sli .moment{stroke:#1d4ed8}.sli .moment-name{fill:#1d4ed8}.sli .none{fill:#8882}
.sli .moment-name,.sli .goal-name{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}
@media (prefers-color-scheme:dark){
.sli text{fill:#ccc}.sli .grid{stroke:#333}.sli .axis{stroke:#888}
.sli .bar{fill:#fb923c}.sli .goal{stroke:#4ade80}.sli .goal-name{fill:#4ade80}
.sli .moment{stroke:#93c5fd}.sli .moment-name{fill:#93c5fd}.sli .moment-name,.sli .goal-name{stroke:#161616}}
"""

Moments = Sequence[tuple[str, datetime | None]]


def draw(curve: Curve, moments: Moments, name: str = "sli", styled: bool = True) -> str:
    """The drawing; moments outside of the curve's time are left out. `name` begins the ids of its parts. Not `styled`: the page has STYLE."""
    scale = _Scale(curve)
    inside = [(name, at) for name, at in moments if at is not None and scale.since <= at <= scale.until]
    parts = [
        f'<svg class="sli" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-title {name}-desc"'
        ' xmlns="http://www.w3.org/2000/svg">',
        f'<title id="{name}-title">{escape(_title(curve))}</title>',
        f'<desc id="{name}-desc">{escape(described(curve, inside))}</desc>',
        *([f"<style>{STYLE}</style>"] if styled else []),
        *_axes(scale),
        *_bars(curve, scale),
        *_goal(curve, scale),
        *_moments(inside, scale),
        "</svg>",
    ]
    return "\n".join(parts)


def described(curve: Curve, moments: Moments) -> str:
    """The same in words, for those who cannot see it."""
    worst = max(curve.points, key=lambda p: _ratio(p.bad, p.total), default=None)
    most = f"; the worst was {percent(_ratio(worst.bad, worst.total))} at {clock(worst.at)}" if worst else ""
    told = "".join(f"; {name} {clock(at)}" for name, at in moments)
    return (
        f"{len(curve.points)} intervals of {curve.step:g} s from {day(curve.since)} {clock(curve.since)} to {clock(curve.until)} UTC"
        f"{most}; the objective allows {percent(1 - curve.objective)}{told}."
    )


class _Scale:
    """From times and ratios to user units."""

    def __init__(self, curve: Curve) -> None:
        worst = max((_ratio(p.bad, p.total) for p in curve.points), default=0.0)
        highest = max(worst, 1.5 * (1 - curve.objective))
        self.until = max(curve.until, curve.since + timedelta(seconds=1))
        self.since = _beginning(curve, self.until)
        self.top = next((top for top in _TOPS if highest <= top), 1.0)

    def x(self, at: datetime) -> float:
        share = (at - self.since) / (self.until - self.since)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, ratio: float) -> float:
        return HEIGHT - BOTTOM - min(ratio / self.top, 1.0) * (HEIGHT - TOP - BOTTOM)


def _beginning(curve: Curve, until: datetime) -> datetime:
    """Where the drawing begins: a service that was not measured before has a short grey ground in place of a long one."""
    if not curve.points:
        return curve.since
    first = curve.points[0].at - timedelta(seconds=curve.step)
    return max(curve.since, first - (until - first) * BLANK)


def _ratio(bad: float, total: float) -> float:
    return min(bad / total, 1.0) if total else 0.0


def _title(curve: Curve) -> str:
    return "Share of bad events over time"


def _axes(scale: _Scale) -> list[str]:
    parts, right = [], WIDTH - RIGHT
    for number in range(_TICKS):
        ratio = scale.top * number / (_TICKS - 1)
        y = scale.y(ratio)
        parts.append(
            f'<line class="{"grid" if number else "axis"}" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{percent(ratio)}</text>')
    long = scale.until - scale.since > timedelta(days=1)
    for number in range(_TICKS):
        at = scale.since + (scale.until - scale.since) * number / (_TICKS - 1)
        anchor = ("start", *("middle",) * (_TICKS - 2), "end")[number]
        told = f"{day(at)[5:]} {clock(at)[:5]}" if long else clock(at)
        parts.append(f'<text x="{scale.x(at):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{told}</text>')
    return [*parts, f'<text x="{LEFT}" y="{HEIGHT - 4}">UTC, {day(scale.since)}; share of bad events</text>']


def _bars(curve: Curve, scale: _Scale) -> list[str]:
    """One of each interval with events; over a time without any nothing is drawn but a grey ground."""
    floor, step, parts, ends = HEIGHT - BOTTOM, timedelta(seconds=curve.step), [], scale.since
    for point in curve.points:
        left, right = scale.x(point.at - step), scale.x(point.at)
        if point.at - step - ends > step / 2:
            parts.append(_unknown(scale.x(ends), left))
        ends = point.at
        top = scale.y(_ratio(point.bad, point.total))
        if point.bad > 0:
            width = max(right - left - 0.5, 0.5)
            parts.append(
                f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{max(floor - top, 0.5):.1f}"/>'
            )
    return parts if scale.until - ends <= step else [*parts, _unknown(scale.x(ends), scale.x(scale.until))]


def _unknown(left: float, right: float) -> str:
    width, height = max(right - left, 0.0), HEIGHT - TOP - BOTTOM
    return f'<rect class="none" x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{height}"><title>no events</title></rect>'


def _goal(curve: Curve, scale: _Scale) -> list[str]:
    y, right = scale.y(1 - curve.objective), WIDTH - RIGHT
    return [
        f'<line class="goal" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>',
        f'<text class="goal-name" x="{right}" y="{y - 4:.1f}" text-anchor="end">allowed: {percent(1 - curve.objective)}</text>',
    ]


def _moments(moments: Moments, scale: _Scale) -> list[str]:
    """A line each, with its name above in the first row that has place; beside the line on which side it fits."""
    lines, names, taken = list[str](), list[str](), [float("-inf")] * _ROWS
    for name, at in sorted(((n, a) for n, a in moments if a is not None), key=lambda one: one[1]):
        x, told = scale.x(at), f"{name} {clock(at)}"
        width = len(told) * _LETTER
        leftward = x + width > WIDTH
        start = x - width - 3 if leftward else x + 3
        row = next((r for r in range(_ROWS) if taken[r] <= start), _ROWS - 1)
        taken[row] = start + width + 6
        y = 14 + row * _ROW
        lines.append(f'<line class="moment" x1="{x:.1f}" y1="{y - 9}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}"/>')
        names.append(f'<text class="moment-name" x="{start:.1f}" y="{y}">{escape(told)}</text>')
    return [*lines, *names]  # no line goes through a name
