"""The words, lags and prices of correlation: data with their starting values, all of which a setting may replace.

Source: measured on alerts of ITBench's faults over the call graphs of two applications (docs/storms.md). Prices are in
nats, minus the logarithm of a probability: roots and attributions are a description of the facts, and the shortest
description wins. They were rounded and lie in a flat region: no result hangs on one of them (30 % up and down).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from opsloop.errors import Invalid

Seconds = float
Nats = float

# Of an alert's name as words in lower case ("no requests received"): the first class that has a matching phrase.
# A phrase is made of whole words; the last one may be a beginning ("replica*").
WORDS: Mapping[str, tuple[str, ...]] = {
    "heartbeat": ("watchdog", "inhibitor", "dead mans*", "deadmans*"),  # they fire while all is well
    "hygiene": (
        "certificate*", "cert", "certs", "expir*", "backup*", "job", "jobs", "cron*", "hpa", "autoscal*", "quota*",
        "overcommit*", "disk*", "filesystem*", "file system*", "inode*", "volume*", "storage", "clock*", "ntp", "deprecated", "version mismatch", "update available", "outdated",
    ),
    "dry": (
        "no message*", "no operations", "no database operations", "no queries", "no consumption", "consumer* idle",
        "no records", "no events", "no jobs processed",
    ),
    "starved": (
        "no request*", "no traffic", "no calls", "no throughput", "traffic drop*", "traffic low", "low traffic", "traffic gone",
        "traffic absent", "requests missing", "idle",
    ),
    "burn": ("budget*", "burn*", "slo", "slos"),
    "workload": (
        "crash*", "oom*", "not ready", "notready", "unready", "not healthy", "unhealthy", "replica*", "rollout*", "waiting",
        "pending", "evict*", "target down", "targets down", "target missing", "instance down", "pod down", "pods down",
        "restart*", "failed pod*", "pod failed", "pods failed", "image pull*", "unschedulable", "deployment*", "daemonset*",
        "statefulset*", "scrape*",
    ),
    "probe": ("probe*", "blackbox", "synthetic*", "endpoint down", "site down", "uptime", "health check*"),
    "latency": ("latency", "slow*", "duration*", "response time*", "p50", "p90", "p95", "p99", "delay*"),
    "error": (
        "error*", "fail*", "5xx", "4xx", "unavailable", "exception*", "timeout*", "time out*", "down", "unreachable",
        "reject*", "refused", "wrong", "incorrect", "availability", "success rate",
    ),
    "saturation": (
        "saturat*", "throttl*", "cpu", "memory", "load", "usage", "utilis*", "utiliz*", "pressure", "lag", "backlog",
        "queue*", "depth", "pool*", "connections", "concurrency", "high",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lags:
    """Seconds from the fault to `startsAt`, by class: the rule's `for` and the time in which its window fills."""

    error: Seconds = 270
    latency: Seconds = 300
    probe: Seconds = 260
    starved: Seconds = 730
    after_for: Seconds = 90  # workload, saturation: on top of the rule's `for`
    workload: Seconds = 700  # where its `for` is not known
    saturation: Seconds = 400
    other: Seconds = 300
    # where Prometheus tells the rule's `for` and the range of its expression, of errors, latency, probes and starvation:
    fills: float = 0.35  # share of the range until harm shows in it
    empties: float = 1.0  # share of the range until the last request has left it
    evaluated: Seconds = 30  # until it is scraped and evaluated
    range: Seconds = 300  # of an expression that tells none
    burn_rate: float = 80  # assumed burn: a window L with factor f fires after L·f/r
    burn: Seconds = 650  # where the windows are not known
    burn_off: float = 0.4  # spread of a burn's lag as a share of it: nobody knows r
    learn_from: float = 1.5  # past groups that weigh as much as the starting value
    spread_from: float = 6.0  # the same of the spread, of which each group tells less


@dataclass(frozen=True, slots=True)
class Spreads:
    """Standard deviation of the lag in seconds, by class."""

    error: Seconds = 60
    latency: Seconds = 75
    probe: Seconds = 50
    starved: Seconds = 140
    workload: Seconds = 60
    workload_guessed: Seconds = 250
    saturation: Seconds = 60
    saturation_guessed: Seconds = 250
    burn: Seconds = 170
    other: Seconds = 150
    least: Seconds = 40  # of a spread that was learnt


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in nats of roots, paths, lateness and noise; the notation is that of `core.correlation.paths`."""

    # a fact that belongs to nothing
    noise_fail: Nats = 8.0
    noise_slow: Nats = 6.1
    noise_starved: Nats = 4.6
    noise_dead: Nats = 4.9
    noise_sat: Nats = 1.9
    # a root
    root_dead: Nats = 3.4
    root_quiet: Nats = 4.5  # dead in part: no caller need show a symptom
    root_starved: Nats = 5.6
    root_starved_alone: float = 1.3  # less per nat by which its caller's other callees are not starved
    root_fail: Nats = 4.9
    root_slow: Nats = 6.3
    root_silent: Nats = 6.6
    root_calm_caller: Nats = 1.1  # more per direct caller without a symptom
    root_least: Nats = 0.5  # what the cluster knows lowers it no further
    root_place: Nats = 7.0  # a node or a namespace, for services without neighbours
    known_changed: Nats = 2.5  # less where a change of it became live just before
    # lateness
    late_free: float = 0.51  # in standard deviations
    late_slope: Nats = 0.53  # per standard deviation
    late_most: Nats = 4.0
    late_before: float = 1.2  # × for a fact before its root
    # a fact under a root
    at_root: Nats = 0.27
    hop: Nats = 0.28
    hop_on: Nats = 0.14  # each further one: what lies between pays for its own
    skipped: Nats = 1.5  # more where what lies between shows nothing
    slow: Nats = 0.42
    undeclared: Nats = 5.9  # an edge that nobody declared, once for all facts of a service
    starved_at_root: Nats = 0.53
    starved_under_starved: Nats = 1.6
    detour_hop: Nats = 0.24  # down from the caller that stopped calling; what calls nobody as nobody calls it has paid for the way to itself
    detour_up: Nats = 0.1  # up from the root to that caller, whose own failure pays for the way
    dead_at_root: Nats = 0.09
    dead_above: Nats = 3.8
    sat_at_root: Nats = 0.53
    host: Nats = 0.76  # a node's own fact, under any root
    namespace: Nats = 0.73  # a namespace's own fact, under any root in it
    at_place: Nats = 0.9  # a service without neighbours, under its node or its namespace
    other_name: Nats = 1.0  # more where its alert is not the commonest one of that place


@dataclass(frozen=True, slots=True)
class Method:
    """Everything that is measured and not derived. Times in seconds."""

    words: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: WORDS, hash=False)
    lags: Lags = field(default_factory=Lags)
    spreads: Spreads = field(default_factory=Spreads)
    prices: Prices = field(default_factory=Prices)
    split: Seconds = 1200  # facts of one service and kind that are further apart are two
    reach: Seconds = 3600  # a root explains nothing that is further away in time


T = TypeVar("T", Lags, Spreads, Prices)


def read_method(content: bytes, where: str) -> Method:
    """The Method of a JSON file. Raises Invalid that names the file (`where`) and the field."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{where}: not JSON ({error})") from error
    return method_of(value, where)


def method_of(value: Any, where: str) -> Method:
    """The Method of a JSON object: what it does not name keeps its starting value. Raises Invalid with the field."""
    _object(value, where)
    known = {item.name for item in fields(Method)}
    _no_strangers(value, known, where)
    method = Method()
    if "words" in value:
        words = _words(value["words"], f"{where}: words")
        method = replace(method, words={**WORDS, **words})
    return replace(
        method,
        lags=_numbers(method.lags, value.get("lags", {}), f"{where}: lags"),
        spreads=_numbers(method.spreads, value.get("spreads", {}), f"{where}: spreads", least=1.0),
        prices=_numbers(method.prices, value.get("prices", {}), f"{where}: prices"),
        split=_number(value.get("split", method.split), f"{where}: split", 1.0),
        reach=_number(value.get("reach", method.reach), f"{where}: reach", 1.0),
    )


def _numbers(table: T, value: Any, where: str, least: float = 0.0) -> T:
    """The table of numbers with those of the object."""
    given = _object(value, where)
    known: dict[str, Any] = {item.name: getattr(table, item.name) for item in fields(table)}
    _no_strangers(given, set(known), where)
    numbers = {name: _number(number, f"{where}.{name}", least) for name, number in given.items()}
    return type(table)(**(known | numbers))


def _words(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    _no_strangers(_object(value, where), set(WORDS), where)
    for name, phrases in value.items():
        if not isinstance(phrases, list) or not all(isinstance(p, str) and re.search(r"\w", p) for p in phrases):
            raise Invalid(f'{where}.{name}: not a list of phrases such as ["no requests", "idle"]')
    return {name: tuple(phrase.lower() for phrase in phrases) for name, phrases in value.items()}


def _object(value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise Invalid(f"{where}: not a JSON object")
    return value


def _no_strangers(value: Mapping[str, Any], known: set[str], where: str) -> None:
    if strangers := sorted(set(value) - known):
        raise Invalid(f"{where}: {strangers[0]!r} is not known; there are {', '.join(sorted(known))}")


def _number(value: Any, where: str, least: float = 0.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1e6:
        raise Invalid(f"{where}: {value!r} is not a number from {least:g} to 1000000")
    return float(value)
