"""A backtest as an SVG: the share of bad events, below it the pages of each objective that was tried, and the deploys. No script.

Colours are CSS classes with a dark variant; title and description say the same in words. Sizes are in user units.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from html import escape

from opsloop.core.backtest.results import Backtest, Tried
from opsloop.core.postmortem.curve import Curve
from opsloop.core.postmortem.markdown import percent

WIDTH, LEFT, RIGHT, TOP = 960, 96, 16, 24
PLOT, LANE, GAP, AXIS = 180, 22, 14, 34  # heights
TICKS = 6
LEAST = 2.0  # width of a mark: a page of minutes is seen in a month
TOPS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
STYLE = """
.bt text{font:11px system-ui,sans-serif;fill:#444}
.bt .grid{stroke:#ddd}.bt .axis{stroke:#888}.bt .lane{fill:#8881}
.bt .bar{fill:#64748b}.bt .goal{stroke:#15803d;stroke-dasharray:5 3}.bt .goal-name{fill:#15803d}
.bt .page{fill:#c2410c}.bt .ticket{fill:#d6a100}.bt .deploy{stroke:#1d4ed8}.bt .stopped{fill:#c2410c}.bt .passed{fill:#1d4ed8}
@media (prefers-color-scheme:dark){
.bt text{fill:#ccc}.bt .grid{stroke:#333}.bt .bar{fill:#94a3b8}.bt .goal{stroke:#4ade80}.bt .goal-name{fill:#4ade80}
.bt .page{fill:#fb923c}.bt .ticket{fill:#facc15}.bt .deploy{stroke:#93c5fd}.bt .stopped{fill:#fb923c}.bt .passed{fill:#93c5fd}}
"""


def draw(result: Backtest) -> str:
    """The drawing; of several objectives of a Release the curve is that of the first."""
    curve = next(iter(result.curves.values()), None)
    lanes = len(result.tried) + 1
    height = TOP + PLOT + GAP + lanes * (LANE + 4) + AXIS
    scale = _Scale(result, curve)
    parts = [
        f'<svg class="bt" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="bt-title bt-desc" xmlns="http://www.w3.org/2000/svg">',
        f'<title id="bt-title">{escape(f"Backtest of {result.release} in {result.namespace}")}</title>',
        f'<desc id="bt-desc">{escape(described(result))}</desc>',
        f"<style>{STYLE}</style>",
        *_plot(result, curve, scale),
    ]
    top = TOP + PLOT + GAP
    for number, tried in enumerate(result.tried):
        parts += _pages(result, tried, scale, top + number * (LANE + 4))
    parts += _deploys(result, scale, top + len(result.tried) * (LANE + 4))
    return "\n".join([*parts, *_times(result, scale, height), "</svg>"])


def described(result: Backtest) -> str:
    """The same in words."""
    said = [
        f"an objective of {one.objective:g} would have called people {sum(len(e.calls) for e in one.episodes)} times, and stopped"
        f" {sum(r.outcome == 'stopped' for _, r in one.rollouts)} of {len(one.rollouts)} deploys"
        for one in result.tried
    ]
    return f"From {result.since:%Y-%m-%d %H:%M} to {result.until:%Y-%m-%d %H:%M} UTC: {'; '.join(said)}."


class _Scale:
    """From times and ratios to user units."""

    def __init__(self, result: Backtest, curve: Curve | None) -> None:
        self.since, self.until = result.since, max(result.until, result.since + timedelta(seconds=1))
        worst = max((p.bad / p.total for p in curve.points if p.total), default=0.0) if curve else 0.0
        budget = max(1 - one.objective for one in result.tried)
        self.top = next((top for top in TOPS if max(worst, 1.5 * budget) <= top), 1.0)

    def x(self, at: datetime) -> float:
        share = (at - self.since) / (self.until - self.since)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, ratio: float) -> float:
        return TOP + PLOT * (1 - min(ratio / self.top, 1.0))


def _plot(result: Backtest, curve: Curve | None, scale: _Scale) -> Iterator[str]:
    right = WIDTH - RIGHT
    for number in range(5):
        ratio = scale.top * number / 4
        y = scale.y(ratio)
        yield f'<line class="{"grid" if number else "axis"}" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{percent(ratio)}</text>'
    step = timedelta(seconds=curve.step) if curve else timedelta(0)
    for point in curve.points if curve else ():
        if point.bad > 0:
            left, width = scale.x(point.at - step), max(scale.x(point.at) - scale.x(point.at - step) - 0.3, 0.5)
            y = scale.y(point.bad / point.total)
            yield f'<rect class="bar" x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(TOP + PLOT - y, 0.5):.1f}"/>'
    for one in result.tried:
        y = scale.y(1 - one.objective)
        yield f'<line class="goal" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
        yield f'<text class="goal-name" x="{right}" y="{y - 3:.1f}" text-anchor="end">{one.objective:g} allows {percent(1 - one.objective)}</text>'
    yield f'<text x="{LEFT}" y="{TOP - 8}">share of bad events</text>'


def _pages(result: Backtest, tried: Tried, scale: _Scale, y: float) -> Iterator[str]:
    yield _lane(f"pages {tried.objective:g}", y)
    for one in tried.episodes:
        for begin, end in one.spans:
            name = f"{one.severity} from {begin:%Y-%m-%d %H:%M} UTC: {one.title}"
            yield _mark("page" if one.pages else "ticket", scale.x(begin), scale.x(end or result.until), y, name)


def _deploys(result: Backtest, scale: _Scale, y: float) -> Iterator[str]:
    yield _lane("deploys", y)
    stopped = {d.at for tried in result.tried for d, r in tried.rollouts if r.outcome == "stopped"}
    for one in result.deploys.new:
        x = scale.x(one.at)
        told = f"{one.version} at {one.at:%Y-%m-%d %H:%M} UTC{', would have been stopped' if one.at in stopped else ''}"
        yield f'<line class="deploy" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{y + LANE}" stroke-opacity="0.35"/>'
        kind = "stopped" if one.at in stopped else "passed"
        yield f'<circle class="{kind}" cx="{x:.1f}" cy="{y + LANE / 2}" r="4"><title>{escape(told)}</title></circle>'


def _lane(name: str, y: float) -> str:
    ground = f'<rect class="lane" x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{LANE}"/>'
    return f'{ground}<text x="{LEFT - 6}" y="{y + LANE / 2 + 4}" text-anchor="end">{escape(name)}</text>'


def _mark(kind: str, left: float, right: float, y: float, name: str) -> str:
    width = max(right - left, LEAST)
    return f'<rect class="{kind}" x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="{LANE - 6}"><title>{escape(name)}</title></rect>'


def _times(result: Backtest, scale: _Scale, height: float) -> Iterator[str]:
    form = "%m-%d" if result.span > timedelta(days=3) else "%m-%d %H:%M"
    for number in range(TICKS):
        at = result.since + result.span * number / (TICKS - 1)
        anchor = ("start", *("middle",) * (TICKS - 2), "end")[number]
        yield f'<text x="{scale.x(at):.1f}" y="{height - 14}" text-anchor="{anchor}">{at.strftime(form)}</text>'
    yield f'<text x="6" y="{height - 14}">UTC</text>'
