"""When the breach became visible in Prometheus and when the SLI was back, recomputed afterwards by range queries."""

from __future__ import annotations

from datetime import UTC, datetime

from e2e.api import Api
from e2e.drill.progress import StageFailed

OBJECTIVE = 0.99
FACTOR, LONG, SHORT = 14.4, "1m", "5s"


def breach_at(api: Api, namespace: str, since: datetime, until: datetime) -> datetime:
    """First second at which both windows of the page tier burn above its factor."""
    both = f"({_burn(namespace, LONG)} > {FACTOR}) and ({_burn(namespace, SHORT)} > {FACTOR})"
    return _first(api, namespace, both, since, until, "a breach of both windows")


def back_at(api: Api, namespace: str, since: datetime, until: datetime) -> datetime:
    """First second at which the short window burns at most 1 again."""
    return _first(api, namespace, f"{_burn(namespace, SHORT)} <= 1", since, until, "the SLI back at its SLO")


def _burn(namespace: str, window: str) -> str:
    bad, total = (
        f'sum(increase(shop_answers_total{{namespace="{namespace}",service="answers"{extra}}}[{window}]))'
        for extra in (',verdict="bad"', "")
    )
    return f"(({bad} or vector(0)) / {total} / {1 - OBJECTIVE:.2f})"


def _first(api: Api, namespace: str, query: str, since: datetime, until: datetime, what: str) -> datetime:
    found = api.span(namespace, query, since.timestamp(), until.timestamp(), 1)
    instants = sorted(float(at) for series in found for at, _ in series["values"])
    if not instants:
        raise StageFailed(f"Prometheus does not show {what} between {since} and {until}")
    return datetime.fromtimestamp(instants[0], UTC)
