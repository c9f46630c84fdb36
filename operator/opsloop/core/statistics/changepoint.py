"""When the present harm began, as a probability for each interval of a series of counts, and how well a change explains it.

Each interval is compared under two levels: harm (about as bad as now) and no harm (about as bad as usual). With the log
likelihood ratio s_i of interval i, cut at ±CUT so that one burst decides nothing alone, the harm that lasts until now began
with interval t with probability

    p_t ∝ exp(Σ_{i ≥ t} s_i)

That is a CUSUM from the end: an earlier outage that was over in between makes everything before its end unlikely, and a
smoulder is the usual level and hides nothing. A change at time c explains a beginning at t by its delay, with a density f
that falls with the delay; "none of these changes" by a beginning anywhere in the lookback T. Their ratio is a Bayes factor

    B(c) = Σ_t p_t · f(t − c) · T
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

CUT = 7.0  # of one interval's log likelihood ratio: 1 to 1,100
FEWEST = 0.5  # bad events that a ratio without any is taken for: the usual level is never exactly 0
RECENT = 3  # intervals within which the level of the harm is looked for: the last one may hold its beginning only


@dataclass(frozen=True, slots=True)
class Span:
    """Disjoint counts: `bad` of `total` events in [start, end), in seconds of any clock; 0 ≤ bad ≤ total."""

    start: float
    end: float
    bad: float
    total: float


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after a change its harm begins: a share `prompt` within about `soon` seconds, the rest within about `late`.

    Before the change it cannot begin, except that two clocks may differ by `slack` seconds; that is four times less likely.
    """

    prompt: float
    soon: float
    late: float
    slack: float

    def density(self, start: float, end: float) -> float:
        """The mean density over delays from `start` to `end` > start, in 1/s."""
        inside = self._within(max(end, 0.0)) - self._within(max(start, 0.0))
        before = max(0.0, min(end, 0.0) - max(start, -self.slack))
        at_once = self.prompt / self.soon + (1 - self.prompt) / self.late
        return (inside + before * at_once / 4) / (end - start)

    def _within(self, delay: float) -> float:
        return 1 - self.prompt * exp(-delay / self.soon) - (1 - self.prompt) * exp(-delay / self.late)


def beginnings(series: Sequence[Span]) -> list[float]:
    """The probability that the present harm began with each interval of the series, oldest first; empty for none.

    The first one stands for "then or earlier". Where nothing differs, all are alike.
    """
    if not series:
        return []
    usual, harm = _usual(series), _harm(series)
    if harm <= usual:
        return [1 / len(series)] * len(series)
    total, sums = 0.0, []
    harmed, well = (_levels(usual, harm, shares) for shares in ((1.0, 0.75, 0.5), (0.0, 0.25)))
    for span in reversed(series):
        total += max(-CUT, min(CUT, _log_ratio(span, harmed, well)))
        sums.append(total)
    high = max(sums)
    weights = [exp(value - high) for value in reversed(sums)]
    whole = sum(weights)
    return [weight / whole for weight in weights]


def bayes_factor(
    series: Sequence[Span], began: Sequence[float], changed: float, delay: Delay, lookback: float
) -> float:
    """B(c) for a change at `changed` against a beginning anywhere within `lookback` seconds; `began` from `beginnings`."""
    return lookback * sum(
        p * delay.density(span.start - changed, span.end - changed) for p, span in zip(began, series, strict=True)
    )


def _usual(series: Sequence[Span]) -> float:
    """The usual error ratio: the median over the intervals that had events, by events."""
    ordered = sorted((s for s in series if s.total > 0), key=lambda s: s.bad / s.total)
    half, seen = sum(s.total for s in ordered) / 2, 0.0
    for span in ordered:
        seen += span.total
        if seen >= half:
            break
    else:
        return 1.0
    return min(1.0, (span.bad + FEWEST) / (span.total + FEWEST))


def _harm(series: Sequence[Span]) -> float:
    """The error ratio of the harm: the worst of the last intervals."""
    return max((s.bad / s.total for s in series[-RECENT:] if s.total > 0), default=0.0)


def _levels(usual: float, harm: float, shares: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """(log of the error ratio, log of the rest) at these shares of the way from the usual level to the harm."""
    step = log(harm / usual)
    ratios = [min(max(usual * exp(step * share), 1e-9), 1 - 1e-9) for share in shares]
    return tuple((log(ratio), log(1 - ratio)) for ratio in ratios)


def _log_ratio(span: Span, harmed: Sequence[tuple[float, float]], well: Sequence[tuple[float, float]]) -> float:
    """log P(counts | harm) / P(counts | no harm). Either is a mixture: a rollout that goes on has part of the harm."""
    if span.total <= 0:
        return 0.0
    bad, good = span.bad, span.total - span.bad
    likely, unlikely = ([bad * lb + good * lg for lb, lg in levels] for levels in (harmed, well))
    return _log_mean(likely) - _log_mean(unlikely)


def _log_mean(logs: Sequence[float]) -> float:
    high = max(logs)
    return high + log(sum(exp(value - high) for value in logs) / len(logs))
