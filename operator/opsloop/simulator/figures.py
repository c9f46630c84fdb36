"""The table: what an episode adds to each figure, by what the oracle knows and users saw."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log
from typing import Final

from opsloop.core.release.weights import pods_for
from opsloop.simulator.burn import LATENCY, Counts, is_harm, objectives, stretches
from opsloop.simulator.episode import FIX, Episode
from opsloop.simulator.helped import not_named, wrongly_unhelped
from opsloop.simulator.owed import can_ship, can_tell, rollout, seen
from opsloop.simulator.record import IncidentRun, PageSent
from opsloop.simulator.scraping import EVERY
from opsloop.simulator.service import Service
from opsloop.simulator.weather import EVENT, HOLDS, MAIN, PAGE_FACTOR, WEIGHTS, Weather

ALPHA: Final = 0.01
DAY: Final = 86_400.0
POWER: Final = {3.0: 34_800, 10.0: 2_050, 40.0: 265}
"""Multiple of live's 0.5 % → requests in all by which 95 of 100 canaries are rejected, at a share of POWER_SHARE."""
POWER_SHARE: Final = 0.2
TO_PAGE: Final = 300.0  # seconds from when a tier fires, or a minute without pods, until a page
UNSERVED: Final = 90.0  # seconds without any pod that are an outage
MOST_RETURNS: Final = 2  # of one Incident without new harm: chance, and what its windows still hold
HARM_SEEN: Final = 600.0  # seconds before it is told, in which a harm was seen
SLACK: Final = 1.1  # holds may last a tenth longer


@dataclass(frozen=True, slots=True)
class Sample:
    """What one episode adds to a figure: `failures` of `trials` (service-days and ratios count as such)."""

    figure: str
    trials: float
    failures: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and its goal. `better`: "most" (at most `limit`), "least" (successes, at least `limit`)."""

    figure: str
    text: str
    limit: float
    better: str = "most"
    unit: str = "share"  # share, per service-day, count, ratio


GOALS: Final = (
    Goal("healthy-rejected", "healthy canaries rejected", ALPHA),
    Goal("harmful-3", "canaries at 3 x live rejected in time (while the hold lasts)", 0.99, "least"),
    Goal("harmful-10", "canaries at 10 x live rejected in time", 0.99, "least"),
    Goal("harmful-40", "canaries at 40 x live rejected in time", 0.99, "least"),
    Goal("promoted", "good releases promoted without a person", 0.99, "least"),
    Goal("promoted-in-time", "and within hold + 10 %, at 5 requests/s or more", 0.95, "least"),
    Goal("mitigated", "harmful changes to live (2 x the page factor or more) mitigated in time", 0.995, "least"),
    Goal("wrong-acts", "rollbacks or blocks of a revision that did no harm", 1e-4, unit="per service-day"),
    Goal("unhelped", "rollbacks said not to have helped though they had", 0.0, unit="count"),
    Goal("unnamed", "rollbacks that did not help and were not said to, within their time", 0.05),
    Goal("unpaged", "outages without a page", 0.0, unit="count"),
    Goal("repeated-pages", "pages that repeat one of the same Incident", 0.0, unit="count"),
    Goal("second-alerts", "faults of a dependency for which people are woken twice", 0.0, unit="count"),
    Goal("false-pages", "false pages at half the budget, 1 request/s or more", 1e-3, unit="per service-day"),
    Goal("false-pages-quiet", "false pages at half the budget, below 1 request/s", 1e-2, unit="per service-day"),
    Goal("unrest", "objects not at rest, or without a named reason, after an hour", 0.0, unit="count"),
    Goal("flaps", "Incidents that go on between Mitigated and open without new harm", 0.0, unit="count"),
    Goal("fix-stuck", "fixes that could not be shipped", 0.0, unit="count"),
    Goal("bad-requests", "bad requests that users saw, against a perfect judge", 1.5, unit="ratio"),
)


def measure(episode: Episode, perfect: Episode | None = None) -> list[Sample]:
    """All samples of an episode; `perfect` is the same weather with the perfect judge, for the last row."""
    found: list[Sample] = []
    for part in (_canaries, _mitigations, _wrong_acts, _outcomes, _outages, _pages, _ends):
        found += part(episode)
    if perfect is not None:
        found.append(_bad_requests(episode, perfect))
    return found


def _canaries(episode: Episode) -> Iterable[Sample]:
    weather, record = episode.weather, episode.record
    for run in record.targets:
        harm = weather.harmful(run.service, run.version)
        first = _first(episode, run.service, run.version)
        tried = (
            run.state in ("Promoted", "Rejected") and run.reason != "SpecBackToLive"
        )  # one that was cancelled is none
        if tried and not harm and first is not None:
            judged = run.state == "Rejected"
            why = f"{run.version} was rejected at {run.ended:.0f} s: {run.reason}" if judged else ""
            yield Sample("healthy-rejected", 1, judged, why)
    if weather.multiple:
        yield from _harmful(episode)
    if "promoted" in weather.owes and can_tell(weather):
        yield from _promotion(episode, "v2")


def _harmful(episode: Episode) -> Iterable[Sample]:
    """In time: 1.5 × the power table, three scrapes, and two readings (here every scrape). No weather's samples are late."""
    weather, multiple = episode.weather, episode.weather.multiple
    first = _first(episode, MAIN, "v2")
    if first is None:
        return
    seconds = seconds_to_serve(weather, first, 1.5 * POWER[multiple])
    if multiple == min(POWER) and seconds > sum(HOLDS):
        return  # only the smallest multiple may be out of reach of the holds: said by the Release, not hidden
    limit = first + seconds + 3 * EVERY + 2 * EVERY
    ended = next((t.ended for t in episode.record.targets if t.version == "v2" and t.state == "Rejected"), None)
    late = ended is None or ended > limit
    end = f"at {ended:.0f} s" if ended else "never"
    yield Sample(f"harmful-{multiple:.0f}", 1, late, f"rejected {end}, due at {limit:.0f} s" if late else "")


def seconds_to_serve(weather: Weather, first: float, requests: float) -> float:
    """Seconds until so many requests were served, the canary's POWER_SHARE of them among these.

    By the users' daily wave and the weights' pods, whatever became of the canary; after its holds it stays at the last weight.
    """
    main, start = weather.main, weather.start
    begin = start.hour * 3600 + start.minute * 60 + start.second + first
    shares = [pods_for(weight, main.replicas) for weight in WEIGHTS]
    own, served, seconds = 0.0, 0.0, 0.0
    while own < POWER_SHARE * requests or served < requests:
        pods = shares[min(int(seconds // HOLDS[0]), len(shares) - 1)]
        rate = main.wave.at(begin + seconds)
        own, served, seconds = own + rate * pods / (pods + main.replicas), served + rate, seconds + 1
    return seconds


def _promotion(episode: Episode, version: str) -> Iterable[Sample]:
    tries = [t for t in episode.record.targets if (t.service, t.version) == (MAIN, version)]
    run = tries[-1] if tries else None  # it may have started again by itself after an outage; nobody annotates here
    promoted = run is not None and run.state == "Promoted"
    state = f"{run.state} {run.reason} {run.held}" if run else "never tried"
    yield Sample("promoted", 1, not promoted, "" if promoted else f"{version} is {state}")
    first = _first(episode, MAIN, version)
    if "promoted-in-time" in episode.weather.owes and episode.weather.main.wave.mean >= 5:
        ended = run.promoting if run is not None else None
        taken = (float("inf") if ended is None else ended) - (first or 0.0)
        late = taken > SLACK * sum(HOLDS)
        yield Sample("promoted-in-time", 1, late, f"{version} took {taken:.0f} s" if late else "")


def _mitigations(episode: Episode) -> Iterable[Sample]:
    weather = episode.weather
    if "mitigated" not in weather.owes:
        return
    service, version = weather.main, weather.main.versions["v2"]
    served = [t.at for t in episode.tallies[MAIN] if t.version == "v2"]
    fired = _fired_for(episode, service, "v2")
    burn = max(one.ratio(version) / one.budget for one in objectives(service))
    if not served or fired is None or burn < 2 * PAGE_FACTOR:
        return
    limit = fired + 2 * EVERY + 2 * EVERY + weather.handicap
    acted = next((r.at for r in episode.record.rollbacks if (r.service, r.version) == (MAIN, "v2")), None)
    late = acted is None or acted > limit or served[-1] > limit + rollout(weather)
    text = f"rolled back {f'at {acted:.0f} s' if acted else 'never'}, served until {served[-1]:.0f} s"
    yield Sample("mitigated", 1, late, f"{text}, due at {limit:.0f} s" if late else "")


def _fired_for(episode: Episode, service: Service, version: str) -> float | None:
    """When a paging tier fires by what users saw, after this version began to serve."""
    first = _first(episode, service.name, version)
    if first is None:
        return None
    seen = _counts(episode, service)
    at = first - first % EVERY + EVERY
    while at <= episode.weather.horizon:
        if any(counts.fires(at, budget) for counts, budget in seen):
            return at
        at += EVERY
    return None


def _wrong_acts(episode: Episode) -> Iterable[Sample]:
    weather, record = episode.weather, episode.record
    wrong = {(r.service, r.version): f"{r.version} rolled back at {r.at:.0f} s" for r in record.rollbacks}
    wrong |= {(b.service, b.version): f"{b.version} blocked at {b.at:.0f} s" for b in record.blocks}
    found = [text for (service, version), text in wrong.items() if not weather.harmful(service, version)]
    days = weather.horizon / DAY * len(weather.services)
    yield Sample("wrong-acts", days, len(found), "; ".join(found))


def _outcomes(episode: Episode) -> Iterable[Sample]:
    wrong, silent = wrongly_unhelped(episode), not_named(episode)
    yield Sample("unhelped", len(episode.record.plays), len(wrong), "; ".join(wrong))
    for why in silent:
        yield Sample("unnamed", 1, bool(why), why)


def _outages(episode: Episode) -> Iterable[Sample]:
    weather, pages = episode.weather, [page for page in episode.record.pages if not page.ends]
    for service in weather.services:
        times = [
            (begin, end, page_due(weather, one.name, begin))
            for one, (counts, budget) in zip(objectives(service), _counts(episode, service), strict=True)
            for begin, end in stretches(counts, budget, weather.horizon)
            if end - begin >= 120 and is_harm(counts, begin, end)
        ]
        times += [(begin, end, page_due(weather, "", begin)) for begin, end in _without_pods(episode, service)]
        for begin, end, due in times:
            heard = any(begin - 60 <= page.at <= due or _still_open(episode, page, begin) for page in pages)
            text = f"{service.name} harmed from {begin:.0f} to {end:.0f} s, no page" if not heard else ""
            yield Sample("unpaged", 1, not heard, text)


def page_due(weather: Weather, objective: str, begin: float) -> float:
    """Until when a page is owed for harm that began then. Of slowness no alert tells: while Prometheus is away nobody can know."""
    blind = weather.blind
    if objective == LATENCY and blind is not None and blind[0] <= begin < blind[1]:
        begin = blind[1]
    return begin + TO_PAGE + weather.handicap


def _still_open(episode: Episode, page: PageSent, at: float) -> bool:
    """The page was for an Incident that is open at that time, and sent since it was opened or reopened."""
    run = episode.record.incidents.get(page.incident)
    spans = run.open if run is not None else ()
    return any(begin <= page.at <= at <= end for begin, end in spans)


def _without_pods(episode: Episode, service: Service) -> list[tuple[float, float]]:
    """Times of at least a minute and a half in which no request was served."""
    found: list[tuple[float, float]] = []
    for tally in episode.tallies[service.name]:
        if tally.version:
            continue
        if found and tally.at - found[-1][1] < 60:
            found[-1] = (found[-1][0], tally.at)
        else:
            found.append((tally.at, tally.at))
    return [(begin, end) for begin, end in found if end - begin >= UNSERVED]


def _pages(episode: Episode) -> Iterable[Sample]:
    weather, record = episode.weather, episode.record
    seen = set[tuple[str, str]]()
    repeated = 0
    for page in record.pages:
        if page.ends:
            seen = {one for one in seen if one[0] != page.key}
        repeated += (page.key, page.what) in seen
        seen.add((page.key, page.what))
    yield Sample("repeated-pages", len(record.pages), repeated, f"{repeated} pages repeat another" if repeated else "")
    if "one-alert" in weather.owes:
        keys = dict.fromkeys(page.key for page in record.pages if page.at >= EVENT)
        why = f"{len(keys)} alerts at the pager for one fault" if len(keys) > 1 else ""
        yield Sample("second-alerts", 1, max(0, len(keys) - 1), why)
    if "no-page" in weather.owes:
        figure = "false-pages" if weather.main.wave.mean >= 1 else "false-pages-quiet"
        pages = [page for page in record.pages if not page.ends]
        yield Sample(figure, weather.horizon / DAY, len(pages), f"paged at {pages[0].at:.0f} s" if pages else "")


def _ends(episode: Episode) -> Iterable[Sample]:
    record = episode.record
    yield Sample("unrest", 1 + len(record.incidents), len(record.unrest), "; ".join(record.unrest))
    flapping = [name for name, one in record.incidents.items() if len(_returns(episode, one)) > MOST_RETURNS]
    yield Sample("flaps", len(record.incidents), len(flapping), "; ".join(f"{name} flaps" for name in flapping))
    run = next((t for t in record.targets if (t.service, t.version) == (MAIN, FIX)), None)
    serving = [t.version for t in episode.tallies[MAIN] if t.version][-1:] == [FIX]
    shipped = serving if episode.weather.fix_by_push else run is not None and run.state == "Promoted"
    state = f"{run.state} {run.reason} {run.held}" if run else "never tried"
    if shipped or can_ship(episode.weather):
        yield Sample("fix-stuck", 1, not shipped, "" if shipped else f"the fix is {state}")


def _returns(episode: Episode, incident: IncidentRun) -> list[float]:
    """The times at which an Incident was open again though users had not met twice the budget in the minutes before."""
    service = next((s for s in episode.weather.services if s.name == incident.service), None)
    if service is None:
        return incident.back
    seen, outages = _counts(episode, service), _without_pods(episode, service)
    return [
        at
        for at in incident.back
        if all(counts.ratio(at, HARM_SEEN) <= 2 * budget for counts, budget in seen)
        and not any(begin <= at <= end + HARM_SEEN for begin, end in outages)
    ]


def _bad_requests(episode: Episode, perfect: Episode) -> Sample:
    ours, best = (
        sum(t.own + t.own_slow for t in e.tallies[MAIN] if e.weather.harmful(MAIN, t.version))
        for e in (episode, perfect)
    )
    why = f"{ours} bad requests of harmful versions, {best} with the perfect judge" if ours > 1.5 * best + 50 else ""
    return Sample("bad-requests", best, ours, why)


def _first(episode: Episode, service: str, version: str) -> float | None:
    """When a version served its first request."""
    return next((t.at for t in episode.tallies[service] if t.version == version), None)


def _counts(episode: Episode, service: Service) -> list[tuple[Counts, float]]:
    return seen(episode.weather, service, episode.tallies[service.name])


# --- the table


@dataclass(slots=True)
class Row:
    """One figure over all episodes. `bound` is the 95 % bound on the worse side, by Clopper and Pearson."""

    goal: Goal
    trials: float
    failures: float
    value: float
    bound: float | None
    met: bool
    failing: list[tuple[int, str]]


def table(samples: Sequence[tuple[int, Sample]], goals: Sequence[Goal] = GOALS) -> list[Row]:
    """The rows of samples (seed, sample)."""
    return [_row(goal, [(seed, s) for seed, s in samples if s.figure == goal.figure]) for goal in goals]


def _row(goal: Goal, samples: Sequence[tuple[int, Sample]]) -> Row:
    trials, failures = sum(s.trials for _, s in samples), sum(s.failures for _, s in samples)
    failing = [(seed, s.why) for seed, s in samples if s.why]
    value, bound = _value(goal, trials, failures)
    met = value >= goal.limit if goal.better == "least" else value <= goal.limit
    return Row(goal, trials, failures, value, bound, met and bool(trials), failing)


def _value(goal: Goal, trials: float, failures: float) -> tuple[float, float | None]:
    """The figure, and its 95 % bound on the worse side where it is a rate."""
    share = failures / trials if trials else 0.0
    if goal.unit == "share":
        upper = upper_bound(round(failures), round(trials))
        return (share, upper) if goal.better == "most" else (1 - share, 1 - upper)
    if goal.unit == "per service-day":
        return share, poisson_upper(round(failures)) / trials if trials else None
    return failures if goal.unit == "count" else share, None


def upper_bound(failures: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of a probability by Clopper and Pearson."""
    if failures >= trials:
        return 1.0
    return _solve(lambda p: _binomial_cdf(failures, trials, p) - (1 - confidence), 0.0, 1.0)


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of the mean of a Poisson count (Garwood)."""
    return _solve(lambda m: _poisson_cdf(count, m) - (1 - confidence), 0.0, 10.0 * (count + 3))


def _solve(falling: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


def _binomial_cdf(most: int, number: int, p: float) -> float:
    term, total = (1 - p) ** number, 0.0
    if term == 0.0:
        return 0.0
    for k in range(most + 1):
        total += term
        term *= (number - k) / (k + 1) * p / (1 - p)
    return total


def _poisson_cdf(most: int, mean: float) -> float:
    """By logarithms: exp(−mean) alone would be 0 for large means."""
    if mean <= 0:
        return 1.0
    return min(1.0, sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(most + 1)))
