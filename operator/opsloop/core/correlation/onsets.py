"""When the fault began, by one alert: `startsAt` less the time that its rule takes to fire.

That lag is the rule's `for` and the time in which its window fills. `for` comes from Prometheus' rules, else from what the
alert's text says ("for longer than 15 minutes"), else it is guessed, with a wide spread. A burn's lag follows from its windows.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from opsloop.core.alert_rules import NO_RULES, AlertRules
from opsloop.core.correlation.classes import BURN, DRY, ERROR, LATENCY, OTHER, PROBE, SATURATION, STARVED, WORKLOAD
from opsloop.core.correlation.method import Method, Seconds
from opsloop.core.reported import Alert

# Burn rates of the windows in common use (Google, The Site Reliability Workbook, chapter 5).
_FACTORS = {3600: 14.4, 21600: 6.0, 86400: 3.0, 259200: 1.0}
_FOR = re.compile(
    r"\b(?:for|over|during|last|past|than)\s+(?:(?:more|longer|at|least|the|last|past|than|over)\s+)*"
    r"(\d+(?:\.\d+)?)\s*(s|sec|seconds?|m|min|minutes?|h|hours?)\b",
    re.IGNORECASE,
)
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d|w)")
GONE = (STARVED, DRY)
_LONGEST = 30 * 86400.0  # seconds; a rule that waits for longer is none
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Lag:
    """Expected time from the fault to `startsAt`, and its standard deviation, in seconds."""

    expected: Seconds
    spread: Seconds


@dataclass(frozen=True, slots=True, order=True)
class Learnt:
    """What past groups taught of one rule: by how much it is later than expected, in seconds, and how that varies."""

    shift: Seconds
    spread: Seconds = 0.0  # standard deviation
    groups: int = 0  # that taught it


@dataclass(frozen=True, slots=True)
class Rules:
    """What is known of alert rules: Prometheus' own, and what past groups taught, by `rule_of`."""

    known: AlertRules = NO_RULES
    learnt: Mapping[str, Learnt] = field(default_factory=dict)

    def shift(self, rule: str) -> Seconds:
        """Seconds by which the rule is later than its class says, as far as past groups taught."""
        learnt = self.learnt.get(rule)
        return learnt.shift if learnt else 0.0


def rule_of(labels: Mapping[str, str]) -> str:
    """The rule that an alert comes from, as far as its labels tell: its name, and a burn's window."""
    window = labels.get("long") or labels.get("long_window") or labels.get("window") or ""
    return f"{labels.get('alertname', '')}/{window}" if window else labels.get("alertname", "")


def lag_of(alert: Alert, kind: str, method: Method, rules: Rules) -> Lag:
    """The lag of one alert of the class `kind`."""
    holds, window = rules.known.holds(alert.labels), rules.known.window(alert.labels)
    lag = _by_class(alert, kind, method, holds)
    if holds is not None and kind in (ERROR, LATENCY, PROBE, STARVED, DRY):
        lag = Lag(_of_rule(kind, method, holds, window), lag.spread)
    learnt = rules.learnt.get(rule_of(alert.labels))
    return _with(lag, learnt, method) if learnt else lag


def _with(lag: Lag, learnt: Learnt, method: Method) -> Lag:
    """The lag with what was learnt. The spread pools both variances, and says no more than scrapes and evaluations can."""
    weight = method.lags.spread_from
    variance = (weight * lag.spread**2 + learnt.groups * learnt.spread**2) / (weight + learnt.groups)
    least = min(lag.spread, method.spreads.least)
    return Lag(max(0.0, lag.expected + learnt.shift), max(least, math.sqrt(variance)))


def _by_class(alert: Alert, kind: str, method: Method, holds: Seconds | None) -> Lag:
    lags, spreads = method.lags, method.spreads
    if kind == BURN:
        expected = _burn(alert.labels, method)
        return Lag(expected, max(spreads.burn, lags.burn_off * expected))
    if kind in (WORKLOAD, SATURATION):
        known = holds if holds is not None else _for_in_text(alert)
        if known is not None:
            return Lag(known + lags.after_for, spreads.workload if kind == WORKLOAD else spreads.saturation)
        if kind == WORKLOAD:
            return Lag(lags.workload, spreads.workload_guessed)
        return Lag(lags.saturation, spreads.saturation_guessed)
    fixed = {
        ERROR: (lags.error, spreads.error),
        LATENCY: (lags.latency, spreads.latency),
        PROBE: (lags.probe, spreads.probe),
        STARVED: (lags.starved, spreads.starved),
        DRY: (lags.starved, spreads.starved),
        OTHER: (lags.other, spreads.other),
    }
    return Lag(*fixed[kind])


def _of_rule(kind: str, method: Method, holds: Seconds, window: Seconds | None) -> Seconds:
    """`for`, and the share of its range that has to fill or to empty; a probe looks at this moment where it tells no range."""
    lags = method.lags
    share = lags.empties if kind in GONE else lags.fills
    return holds + share * (window if window is not None else 0.0 if kind == PROBE else lags.range) + lags.evaluated


def _burn(labels: Mapping[str, str], method: Method) -> Seconds:
    """L·f/r: a window of length L with the factor f fires so long after the beginning of a burn of r."""
    window = window_of(labels)
    if not window:
        return method.lags.burn
    nearest = min(_FACTORS, key=lambda known: (abs(known - window), known))
    return window * _FACTORS[nearest] / max(method.lags.burn_rate, _FACTORS[nearest])


def window_of(labels: Mapping[str, str]) -> Seconds:
    """The long window of a burn, 0 where its labels tell none."""
    lengths = (seconds_of(labels.get(name, "")) for name in ("long", "long_window", "window"))
    return next((length for length in lengths if length), 0.0)


def _for_in_text(alert: Alert) -> Seconds | None:
    for name in ("description", "summary", "message"):
        if match := _FOR.search(alert.annotations.get(name, "")):
            return min(_LONGEST, float(match[1]) * _UNITS[match[2][0].lower()])
    return None


def seconds_of(text: str) -> Seconds:
    """A duration as Prometheus writes it (`1h30m`), 0 where it is none."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return 0.0
    return min(_LONGEST, sum(float(number) * (0.001 if unit == "ms" else _UNITS[unit]) for number, unit in parts))
