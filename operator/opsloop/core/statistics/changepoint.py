"""When the present harm began, as a probability for each interval of a series of counts, and how well a change explains it.

A hypothesis says which share y_i of the harm users meet in interval i. "None of these": from interval t on all of it, at once
or growing evenly over one of GROWTHS,

    y_i = 0 for i < t,  any share for i = t,  1 (or growing) for i > t

A change: from interval t on the dose x_i, the share of users that meet the changed revision by then, against that of now; its
harm may grow likewise (a leak, a cache that fills). So a rollout has part of the harm while it goes on, and an outage that
begins in the middle of one has not. With the log likelihood
s_i(y) of interval i (negative binomial, for error ratios are never constant; the best y of a grid is 0, and none is below
−CUT, so that one burst decides nothing alone) the harm that lasts until now began with interval t with probability

    p_t ∝ exp(S_t),  S_t = U_t + Σ_{i ≥ t} s_i(y_i)

That is a CUSUM from the end: an earlier outage that was over in between makes everything before its end unlikely. U_t is of
what came before: the usual level, or from one of its intervals u on a smoulder, one of SMOULDERS, which began by itself

    exp(U_t) = exp(Σ_{i < t} s_i(0)) + Σ_{u < t} r·Δ_u · mean_y exp(Σ_{i < u} s_i(0) + Σ_{u ≤ i < t} s_i(y))

So a smoulder of some minutes is not taken for the beginning of the harm; one that rises evenly into it is, for harm that
grows explains that without a second beginning. A change at time c explains a beginning at t by its delay, with a density f
that falls with the delay; "none of these changes" by a beginning anywhere in the lookback T. The ratio of both is a Bayes factor

    B(c) = Σ_t f_t · exp(S_t(x)) / Σ_t Δ_t/T · exp(S_t)        f_t = ∫ f(τ − c) dτ, Δ_t = ∫ dτ over interval t
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, inf, lgamma, log, sqrt

CUT = 7.0  # of one interval's log likelihood ratio: 1 to 1,100
FEWEST = 0.5  # bad events that a ratio without any is taken for: the usual level is never exactly 0
RECENT = 3  # intervals within which the level of the harm is looked for: the last one may hold its beginning only
BLOCK = 600.0  # seconds over which the usual level is counted: of single intervals of a quiet service most hold no bad event
# Share of the time that the usual level has at least. Harm may have the rest: it lasts for most of an hour before a window of an
# hour shows as much, and brings more requests than usual, as clients try again.
USUAL = 0.3
# Standard deviation of an interval's error ratio, as a share of it: harm is not constant, doses are not exact.
SPREAD = 0.3
AT_ONCE = 0.5  # of all harm, by a change or none, is whole when it begins; the rest grows
# Seconds over which it grows, alike likely. The last is the lookback for changes:
# what grows for longer is taken for growing still.
GROWTHS = (60.0, 300.0, 900.0, 1800.0, 3600.0)
# Shares of the harm that were there before it and are another one: a service that errs a little more for a while. An eighth is
# about what may go on for hours without a page where the harm pages (the factors of the tiers are 6 and 14.4); by halves, as
# SPREAD tells no more levels apart.
SMOULDERS = (1 / 64, 1 / 32, 1 / 16, 1 / 8)
SMOULDER_RATE = 0.1 / 3600  # such beginnings in a second: one in ten hours
# Log likelihood ratio beyond which a beginning is not worked out: no sum of numbers holds its share any more.
UNSEEN = 60.0
# Of the first interval, in which the harm was there already: it begins in one of its quarters.
PARTS = (0.125, 0.375, 0.625, 0.875)
_SIZE, _LOG_3 = SPREAD**-2, log(3)


@dataclass(frozen=True, slots=True)
class Span:
    """Disjoint counts: `bad` of `total` events in [start, end), in seconds of any clock; 0 ≤ bad ≤ total."""

    start: float
    end: float
    bad: float
    total: float


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after users met a change its harm begins: a share `prompt` within about `soon` seconds, the rest within about `late`.

    Before they did it cannot begin, except that two clocks may differ by `slack` seconds; that is four times less likely.
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


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a change reached users: the first of them at `start`, evenly more until all did at `full` ≥ start."""

    start: float
    full: float

    def dose(self, span: Span, slack: float) -> float:
        """The mean share of users that met it in this interval; clocks may differ by `slack` seconds."""
        return (self._until(span.end, slack) - self._until(span.start, slack)) / (span.end - span.start)

    def _until(self, at: float, slack: float) -> float:
        """∫ share dτ until `at`."""
        begin = self.start - slack
        length = max(self.full - begin, 1.0)
        since = max(at - begin, 0.0)
        return since * since / (2 * length) if since < length else since - length / 2


class Series:
    """The intervals with what each says of every share of the harm; made once, asked by every suspect."""

    def __init__(self, spans: Sequence[Span]) -> None:
        """Disjoint, oldest first."""
        self.spans = tuple(spans)
        self._starts = [span.start for span in spans]
        self._middles = [(span.start + span.end) / 2 for span in spans]
        usual, harm = _usual(spans), _harm(spans)
        self._begins = [span.start if n == 0 else spans[n - 1].end for n, span in enumerate(spans)]
        self._differs = harm > usual
        self._levels = [_Levels(span, usual, harm) for span in spans] if self._differs else []
        self._well = self._before()
        self._whole = _summed([level.at(1.0) for level in self._levels])
        self._none = self._by_none()
        self._asked: dict[tuple[Exposure, Delay, float], float] = {}

    def beginnings(self) -> list[float]:
        """The probability that the present harm began with each interval, oldest first; empty for none.

        The first one stands for "then or earlier". Where nothing differs, all are alike.
        """
        high = max(self._none, default=0.0)
        weights = [exp(value - high) for value in self._none]
        return [weight / sum(weights) for weight in weights]

    def bayes_factor(self, exposure: Exposure, delay: Delay, lookback: float) -> float:
        """B(c) for a change that reached users so, against a beginning anywhere within `lookback` seconds.

        Each is reckoned once: every look of an Incident asks again, and counts change with a scrape only.
        """
        asked = exposure, delay, lookback
        if asked not in self._asked:
            self._asked[asked] = self._bayes_factor(exposure, delay, lookback)
        return self._asked[asked]

    def _bayes_factor(self, exposure: Exposure, delay: Delay, lookback: float) -> float:
        doses = [exposure.dose(span, delay.slack) for span in self.spans]
        most = max(doses[-RECENT:], default=0.0)
        if most <= 0:
            return 0.0
        change = list(self._by_dose([min(1.0, dose / most) for dose in doses]))
        high = max(*(s for s, _, _ in change), *self._none)
        numerator = sum(
            exp(s - high) * (end - begin) * delay.density(begin - exposure.start, end - exposure.start)
            for s, begin, end in change
        )
        widths = zip(self._none, self._widths(), strict=True)
        none = sum(exp(s - high) * width / lookback for s, width in widths)
        return numerator / none

    def _widths(self) -> list[float]:
        """Seconds of each interval and of the gap before it, in which no events were counted."""
        return [max(span.end - begin, 1e-9) for span, begin in zip(self.spans, self._begins, strict=True)]

    def _before(self) -> list[float]:
        """U: of the first 0, 1, 2 … intervals, all of them before the harm."""
        usual = _summed([level.at(0.0) for level in self._levels])
        found, smoulders = [0.0], [-inf] * len(SMOULDERS)
        for n, (level, width) in enumerate(zip(self._levels, self._widths(), strict=False)):
            begun = usual[n] + log(SMOULDER_RATE * width / len(SMOULDERS))
            smoulders = [_log_sum((s, begun)) + level.at(y) for s, y in zip(smoulders, SMOULDERS, strict=True)]
            found.append(_log_sum((usual[n + 1], *smoulders)))
        return found

    def _by_none(self) -> list[float]:
        """S_t for harm that all users meet."""
        if not self._differs:
            return [0.0] * len(self.spans)
        at_once = [
            self._well[n] + self._first(n) + self._whole[-1] - self._whole[n + 1] for n in range(len(self.spans))
        ]
        least, best = max(at_once) - UNSEEN, _summed([level.most for level in self._levels])
        each = log((1 - AT_ONCE) / len(GROWTHS))
        return [
            _log_sum((s + log(AT_ONCE), *(self._grown(n, over, best, least) + each for over in GROWTHS)))
            for n, s in enumerate(at_once)
        ]

    def _grown(self, n: int, over: float, best: Sequence[float], least: float) -> float:
        """S_t for harm that all users meet, which begins with interval n and grows over so many seconds.

        Where it cannot reach `least`, by the sums of the `best` shares of the intervals that are left, an upper bound of it.
        """
        begin, over, total = self._starts[n], self._by_now(n, over), 0.0
        last = bisect_left(self._starts, over, lo=n, key=lambda start: start - begin)
        for i in range(n, last):
            bound = self._well[n] + total + (best[last] - best[i]) + self._whole[-1] - self._whole[last]
            if bound < least:
                return bound
            grown = min(1.0, (self._middles[i] - begin) / over)
            total += self._levels[i].about(round(grown, 3))
        return self._well[n] + total + self._whole[-1] - self._whole[last]

    def _growing(self, n: int, over: float, shares: Sequence[float] = ()) -> tuple[float, int]:
        """(log likelihood of the intervals from n on in which harm grows, the first one in which it is whole).

        `shares`: of the users that meet it in each interval; all of them where there are none.
        """
        begin, total, last = self._starts[n], 0.0, n
        over = self._by_now(n, over)
        while last < len(self._starts) and self._starts[last] - begin < over:
            grown = min(1.0, (self._middles[last] - begin) / over)
            total += self._levels[last].about(round(grown * shares[last] if shares else grown, 3))
            last += 1
        return total, last

    def _by_now(self, n: int, over: float) -> float:
        """Seconds over which harm grows that begins with interval n, to what it is by now."""
        return min(over, max(self.spans[-1].end - self._starts[n], 1.0))

    def _by_dose(self, shares: Sequence[float]) -> Iterator[tuple[float, float, float]]:
        """(S, begin, end) of harm that begins in each part of each interval and of which users meet these shares from then on.

        How much of the harm the first interval has tells the part, where it does not grow. What came before the interval is
        part of it: no events were counted then.
        """
        begins = self._begins
        if not self._differs:
            yield from ((0.0, begin, span.end) for span, begin in zip(self.spans, begins, strict=True))
            return
        harmed = _summed([level.about(y) for level, y in zip(self._levels, shares, strict=True)])
        each = log((1 - AT_ONCE) / len(GROWTHS))
        yield harmed[-1], begins[0], self.spans[0].end
        for n, (span, begin) in enumerate(zip(self.spans[1:], begins[1:], strict=True), start=1):
            rest = self._well[n] + harmed[-1] - harmed[n + 1] + log(AT_ONCE)
            width = (span.end - span.start) / len(PARTS)
            for k, part in enumerate(PARTS):
                last = k == len(PARTS) - 1
                fits = self._levels[n].at(part * shares[n])
                yield rest + fits, begin if last else span.end - (k + 1) * width, span.end - k * width
            for over in GROWTHS:
                total, whole = self._growing(n, over, shares)
                yield self._well[n] + total + harmed[-1] - harmed[whole] + each, begin, span.end

    def _first(self, n: int) -> float:
        """Of the interval in which the harm begins; the oldest one has it from before."""
        level = self._levels[n]
        return level.at(1.0) if n == 0 else _log_mean([level.at(part) for part in PARTS])


def _summed(logs: Sequence[float]) -> list[float]:
    """Sums of the first 0, 1, 2 … of them."""
    return [0.0, *accumulate(logs)]


class _Levels:
    """Log likelihoods of one interval by the share of the harm that users met in it, against the best one.

    They are negative binomial with variance mean + (SPREAD · mean)², which falls on both sides of the count: what lies
    beyond a share that is cut is cut too. Each is computed once: every beginning and every suspect asks for the same shares.
    """

    __slots__ = (
        "_about",
        "_above",
        "_at",
        "_bad",
        "_below",
        "_best",
        "_constant",
        "_more",
        "_total",
        "_usual",
    )

    def __init__(self, span: Span, usual: float, harm: float) -> None:
        self._bad, self._total, self._usual, self._more = span.bad, span.total, usual, harm - usual
        self._constant = lgamma(span.bad + _SIZE) - lgamma(_SIZE) - lgamma(span.bad + 1)
        self._at: dict[float, float] = {}
        self._about: dict[float, float] = {}
        self._below, self._above = -inf, inf  # shares from which on outwards all are cut
        self._best = max(self._raw(y) for y in (0.0, *SMOULDERS, *PARTS, 1.0)) if span.total > 0 else 0.0

    @property
    def most(self) -> float:
        """Of the share that fits best: no other one has more."""
        if self._total <= 0:
            return 0.0
        fitting = (self._bad / self._total - self._usual) / self._more
        return max(0.0, self._raw(min(max(fitting, 0.0), 1.0)) - self._best)

    def at(self, share: float) -> float:
        """Of just this share."""
        if share >= self._above or share <= self._below:
            return -CUT
        known = self._at.get(share)
        if known is None:
            known = self._at[share] = self._fit(share) if self._total > 0 else 0.0
        return known

    def about(self, share: float) -> float:
        """Of about this share: pods are replaced one by one, so a dose is known to a factor of two."""
        if share >= 1:
            return self.at(1.0)
        half, twice = share * 0.5, min(1.0, share * 2.0)
        if half >= self._above or twice <= self._below:
            return -CUT
        known = self._about.get(share)
        if known is None:
            a, b, c = self.at(half), self.at(share), self.at(twice)
            high = max(a, b, c)
            # _log_mean, written out: most of the time of an explanation is spent here
            known = self._about[share] = high + log(exp(a - high) + exp(b - high) + exp(c - high)) - _LOG_3
        return known

    def _fit(self, share: float) -> float:
        fit = self._raw(share) - self._best
        if fit > -CUT:
            return fit
        if self._total * (self._usual + self._more * share) > self._bad:
            self._above = min(self._above, share)
        else:
            self._below = max(self._below, share)
        return -CUT

    def _raw(self, share: float) -> float:
        """log P(bad)."""
        mean = self._total * (self._usual + self._more * share)
        if mean < 1e-9:
            mean = 1e-9
        both = _SIZE + mean
        return self._constant + _SIZE * log(_SIZE / both) + self._bad * log(mean / both)


def _usual(series: Sequence[Span]) -> float:
    """The usual error ratio: of the blocks of BLOCK seconds, by their ratios, the one up to which USUAL of the time lies."""
    blocks: dict[int, list[Span]] = {}
    for span in series:
        if span.total > 0:
            blocks.setdefault(int((span.start - series[0].start) / BLOCK), []).append(span)
    levels = sorted((_level(block), sum(s.end - s.start for s in block)) for block in blocks.values())
    share, seen = USUAL * sum(seconds for _, seconds in levels), 0.0
    for level, seconds in levels:
        seen += seconds
        if seen >= share:
            return level
    return 1.0


def _level(spans: Sequence[Span]) -> float:
    bad, total = sum(s.bad for s in spans), sum(s.total for s in spans)
    return min(1.0, (bad + FEWEST) / (total + FEWEST))


def _harm(series: Sequence[Span]) -> float:
    """The error ratio of the harm: the worst that the last one, two … RECENT intervals together show, less what is chance."""
    last = series[-RECENT:]
    return max((_at_least(last[n:]) for n in range(len(last))), default=0.0)


def _at_least(spans: Sequence[Span]) -> float:
    """One standard deviation below their error ratio (Wilson's score interval for z = 1): the worst of a few counts is chance."""
    bad, total = sum(s.bad for s in spans), sum(s.total for s in spans)
    if total <= 0:
        return 0.0
    ratio = bad / total
    return max(0.0, (ratio + 0.5 / total - sqrt(ratio * (1 - ratio) / total + 0.25 / total**2)) / (1 + 1 / total))


def _log_mean(logs: Sequence[float]) -> float:
    return _log_sum(logs) - log(len(logs))


def _log_sum(logs: Sequence[float]) -> float:
    high = max(logs)
    return high + log(sum([exp(value - high) for value in logs]))
