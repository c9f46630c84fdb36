"""The names of the constants of the judgement by module, and of those that are none, with the reason."""

from collections.abc import Mapping

JUDGED: Mapping[str, str] = {
    "statistics.alike": "ALIKE CUT OTHER SURE WORSE",
    "statistics.changepoint": "CUT FEWEST RECENT BLOCK USUAL AT_ONCE GROWTHS PARTS SPREAD SMOULDERS SMOULDER_RATE",
    "statistics.detectable": "_CAUGHT _FEWEST",
    "statistics.dispersion": "PRIOR LARGEST",
    "statistics.evidence": "RESTART MEMORY SECONDS BOUND",
    "statistics.sequential": "RATE_RATIOS CUT",
    "slo.aftermath": "ALPHA COVERED SCRAPES_OF_HARM LONGEST UNSEEN STAYS REMAINS",
    "slo.age": "MOST_INTERVALS",
    "slo.anew": "ALPHA",
    "slo.burn_rate": "PROOF_ALPHA",
    "slo.flat": "ALIKE FAR",
    "slo.bursts": "FALSE_PAGES QUIET MOST_ALPHA USUAL MOST_SLOTS LEAST_SLOTS KNOWN",
    "slo.canary": "WRONGLY_ON _DEFAULT_FACTOR IGNORED _MOST_LIMIT",
    "slo.counts": "_SCRAPES DISPERSION",
    "slo.pods": "LOOKS",
    "slo.promql": "_POINTS _INNER",
    "slo.remarks": "LOOKS",
    "slo.rounds": "DEADLINE",
    "slo.tiers": "_DEFAULTS _SHORTEST_UNSCALED",
    "slo.traffic": "CHANCE LEAST_KNOWN",
    "slo.vanished": "SHOWN",
    "incident.cause": "LAST",
    "incident.crowd": "MOST_PAGES WITHIN",
    "incident.decide": "SLI_SILENT",
    "incident.dependencies": "GAP NEARLY",
    "incident.effect": "LONGEST_WAIT",
    "incident.lifecycle": "MOST_REPUSH_ROLLBACKS",
    "incident.outage": "STEADY",
    "incident.outage_cause": "AT_ONCE",
    "incident.consent": "PATIENCE",
    "incident.recovery": "QUIET",
    "incident.watching": "NO_TIMEOUT TAKEN_UP",
    "incident.suspicion": "SCRAPES MOST_HELD MOST_TAKEOVER EPISODE",
    "incident.suspects": "ONE_ACT",
    "incident.weights": (
        "QUARTER PROVEN_MOST ROLLOUTS WEIGHTS.lookback WEIGHTS.prompt WEIGHTS.soon WEIGHTS.late WEIGHTS.slack WEIGHTS.own WEIGHTS.hop WEIGHTS.within"
        " WEIGHTS.without_canary WEIGHTS.blocked_before WEIGHTS.proven WEIGHTS.split WEIGHTS.others WEIGHTS.dependency"
        " WEIGHTS.exonerated WEIGHTS.never WEIGHTS.first WEIGHTS.unwatched WEIGHTS.config WEIGHTS.scaled_down WEIGHTS.scaled_up"
    ),
    "release.analysis": "_STALE _UNREAD",
    "release.budgets": "SHORTAGE_AFTER",
    "release.outages": "OUTAGE_AFTER",
    "release.pods": "LOSSES",
    "release.serving": "WATCHED",
    "slo.addresses": "KEPT",
}
"""Module → its constants of the judgement."""

LAW: Mapping[str, str] = {
    "statistics.evidence": "canaries",
    "statistics.sequential": "canaries",
    "statistics.dispersion": "canaries",
    "slo.canary": "canaries",
    "slo.rounds": "canaries",
    "slo.tiers": "tiers",
    "slo.bursts": "tiers",
    "statistics.detectable": "said",
    "statistics.changepoint": "blamed",
    "statistics.alike": "blamed",
    "incident.cause": "blamed",
    "incident.suspects": "blamed",
    "incident.weights": "blamed",
}
"""Module → the law (`tests/sim/constants/laws.py`) that covers its constants; the others take the whole operator."""

PANEL = ("bad-release", "bad-push", "outage", "dependency", "pods-dead", "good-release")
"""Kinds of weather in which the judgement decides something."""

EXERCISED: Mapping[str, tuple[str, ...]] = {
    "slo.aftermath": ("bad-push", "slow-push", "outage", "starved"),
    "slo.age": ("telemetry-gone", "api", "scrapes"),
    "slo.anew": ("bad-push", "outage", "slow-push"),
    "slo.addresses": ("node-lost", "kubernetes", "bad-release"),
    "slo.burn_rate": ("bad-push", "slight-push", "good-release"),
    "slo.counts": ("bad-release", "good-release", "scrapes"),
    "slo.flat": ("quiet", "night", "scrapes"),
    "slo.pods": ("telemetry-gone", "scrapes", "restarted"),
    "slo.promql": ("scrapes", "telemetry-gone", "bad-push"),
    "slo.remarks": ("scrapes", "telemetry-gone", "quiet"),
    "slo.traffic": ("night", "pods-dead", "quiet"),
    "slo.vanished": ("restarted", "bad-push", "scrapes"),
    "incident.crowd": ("dependency", "two-changes", "node-lost"),
    "incident.decide": ("telemetry-gone", "pods-dead", "api"),
    "incident.dependencies": ("dependency", "two-changes", "dependency"),
    "incident.effect": ("bad-push", "slow-push", "slow-pull"),
    "incident.lifecycle": ("gitops", "gitops-canary", "bad-push"),
    "incident.outage": ("pods-dead", "node-lost", "restarted"),
    "incident.outage_cause": ("pods-dead", "pods-dead", "kubernetes"),
    "incident.consent": ("bad-push", "gitops", "kubernetes"),
    "incident.watching": ("bad-push", "gitops", "kubernetes"),
    "incident.recovery": ("outage", "bad-push", "stuck-alerts"),
    "release.analysis": ("telemetry-gone", "scrapes", "bad-release"),
    "release.budgets": ("node-lost", "autoscaled", "kubernetes"),
    "release.outages": ("pods-dead", "node-lost", "kubernetes"),
    "release.pods": ("node-lost", "kubernetes", "restarted"),
    "release.serving": ("autoscaled", "night", "kubernetes"),
}
"""Module → kinds of weather in which its constants are read; PANEL for one that is not named."""


def law_of(name: str) -> str:
    """The law that covers a constant (ROOM.MODULE.NAME); empty where only the whole operator does."""
    return LAW.get(".".join(name.split(".")[:2]), "")


_SIZE = "how much is kept or said, not what is decided"
_GUARD = "keeps arithmetic within what floats can hold"
_START = "the state before the first event"
_CLOCK = "a unit of time"
_AGAIN = "when it is looked or asked again, not what is decided then"

NOT_JUDGED: Mapping[str, tuple[str, str]] = {
    "statistics.changepoint": (_GUARD, "UNSEEN"),
    "statistics.detectable": (_GUARD, "_POINTS"),
    "statistics.dispersion": (_START, "NO_SPLIT.events NO_SPLIT.weighted"),
    "statistics.evidence": (_GUARD, "_SMALLEST_FLOOR"),
    "statistics.sequential": (
        f"{_GUARD}; {_START}; and what is computed from RATE_RATIOS, which changes with it",
        "_NOTHING _LARGEST _SMALLEST_FLOOR UNTESTED.products UNTESTED.starts _RATIOS_AND_LOGS",
    ),
    "incident.comparison": (
        "how long quarantined pods are asked, and how many: a search for a case, which blames and undoes nothing",
        "TIME_OUT ATTEMPTS GOOD_PODS MOST_CASES",
    ),
    "slo.bursts": (_CLOCK, "A_DAY"),
    "slo.canary": (_CLOCK, "_YEAR"),
    "slo.counts": ("how many windows one query asks for: the rest is asked at the next tick", "_MOST"),
    "slo.expression": ("PromQL's own precedence", "_PRECEDENCE"),
    "slo.parts": (_SIZE, "MOST_VALUES"),
    "release.shares": (_SIZE, "NOTED"),
    "slo.pods": ("Kubernetes' own limit", "LONGEST_BASE"),
    "slo.promql": ("a placeholder, found again in an expression", "_ANY_WINDOW"),
    "slo.query_budget": (_CLOCK, "_MINUTE"),
    "release.notices": (f"{_AGAIN}; {_SIZE}", "MOST_NOTICES LONGEST RETRY"),
    "slo.remarks": (_SIZE, "_ROUND"),
    "slo.rules": ("how often Prometheus evaluates an exported rule, not what it decides", "_PER_WINDOW"),
    "slo.selectors": (_SIZE, "_LONGEST"),
    "slo.tiers": (f"{_CLOCK}; the period of the SRE workbook's factors", "_BASE _HOUR"),
    "slo.traffic": (f"{_CLOCK}: the same hour of another day", "HOUR AGO"),
    "incident.blindness": (_SIZE, "MOST_NAMES"),
    "incident.bounds": (_SIZE, "KIB LIMIT"),
    "incident.cause": (_SIZE, "MATTERS MOST_EVIDENCE"),
    "incident.changes": (_SIZE, "MOST_OBJECTS"),
    "incident.choice": (_SIZE, "MOST_TOLD"),
    "incident.crowd": (_SIZE, "MOST_NAMES"),
    "incident.decide": (_SIZE, "MOST_AFFECTED MOST_TICKETS MOST_ALSO"),
    "incident.errands": (f"{_AGAIN}; {_SIZE}", "LOOK CREATED_WITHIN OVERDUE LONGEST_TAIL"),
    "incident.exoneration": (_SIZE, "MOST_EXONERATED MOST_EVIDENCE"),
    "incident.lifecycle": (f"{_AGAIN}; {_SIZE}", "SOONEST MOST_BLOCKED"),
    "incident.pacing": ("when a count is told, not what is decided on it", "SHORTEST LONGEST RATE LONGEST_FILING"),
    "incident.suspicion": (_AGAIN, "SOONEST"),
    "incident.paging": (f"{_AGAIN}; {_SIZE}", "MOST_PLAYS"),
    "incident.delivery": (_AGAIN, "PAGE_RETRY CROWD_RETRY LONGEST_END"),
    "incident.people": (_SIZE, "MOST_TOLD"),
    "incident.plays": (f"{_AGAIN}; {_SIZE}", "MOST_FREEZES LOOK_SOON"),
    "incident.retention": ("a setting", "RETENTION FOR_EVER RETRY"),
    "incident.thread": (_SIZE, "MOST_MESSAGES LONGEST_TEXT LONGEST_ANSWER"),
    "incident.timeline": (_SIZE, "MOST_ENTRIES MOST_EVIDENCE MOST_MOVES MOST_REASONS"),
    "release.admission": (_AGAIN, "ASKED_AGAIN ASKED_SOON"),
    "release.alone": (_AGAIN, "LOOK_AGAIN"),
    "release.checks": (
        f"{_AGAIN}; {_SIZE}; the rest is what an HTTP status says",
        "AGAIN OVERDUE LONGEST NOT_YET NO",
    ),
    "release.guard": (f"{_CLOCK}: how long unpausing by others is counted", "HOUR"),
    "release.history": ("for reports: nothing is decided on it", "FAST_CLOCK"),
    "slo.budget": ("for people: nothing is decided on it", "LEAST_COVERED"),
    "release.guarding": (
        "how often another's write is answered: a limit on writing, no judgement about numbers",
        "LIMIT",
    ),
    "release.outcome": ("an index", "DARK"),
    "release.patched": (_SIZE, "LONGEST_PATCH"),
    "release.pods": (f"{_AGAIN}; how long pods of a promoted canary wait for endpoints before they end", "TICK LEAVES"),
    "release.pod_metadata": (_SIZE, "MOST_AT_ONCE"),
    "release.restart": (_AGAIN, "WRITTEN_WITHIN"),
    "release.revisions": (_SIZE, "LONGEST_VERSION MOST_REPLICA_SETS"),
    "release.route_back": ("how long pods of a promoted canary wait for Gateways before they end", "DRAINS"),
    "release.routing": (
        f"{_GUARD}; when a wait is called one, and how often somebody is written over",
        "EXACT TAKES MOST_MEDDLED",
    ),
    "release.silence": (_SIZE, "MOST_ALONE"),
    "release.target": (_SIZE, "LONGEST_MESSAGE LONGEST_RETRY"),
}
"""Module → (why these constants are none of the judgement, their names)."""
