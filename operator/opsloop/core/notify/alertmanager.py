"""A message as alerts for Alertmanager's /api/v2/alerts: one stable set of labels for each alert and severity.

An alert there is its labels, so they are of what never changes while it lasts: the Incident that opened it, not the one that
goes on with it. The severity is a label, as routes go by it: one that became worse is another alert, and the former one ends
in the same request. What changes stands in annotations.
https://prometheus.io/docs/alerting/latest/alerts_api/
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opsloop.api.meta import format_time, parse_time

NAMES = {"Incident": "OpsloopIncident", "Release": "OpsloopRelease"}  # alertname by kind
HOLDS = timedelta(minutes=4)  # after which an alert ends that nobody repeats: four repeats, as Prometheus has it
TOLD = timedelta(minutes=10)  # for which what a Release tells stands


def alerts(there: Mapping[str, Any], more: Mapping[str, str]) -> list[dict[str, Any]]:
    """The alert that is open, and those of former severities, which are over. `more`: labels of the house."""
    now = parse_time(there["sentAt"])
    if there["kind"] == "Release":
        until = max(parse_time(there["decidedAt"]), now) + TOLD
        labels = {"release": there["release"], "reason": there["reason"]}
        return [_alert(there, labels, there["severity_there"], format_time(until), more)]
    labels = {"incident": there["openedBy"], "service": there["openedFor"]}
    if there["group"]:
        labels = {"group": there["group"]}
    over = there["decidedAt"] if there["action"] == "resolve" else format_time(now + HOLDS)
    *former, present = reversed(dict.fromkeys(reversed(there["severities_there"])))
    ended = [_alert(there, labels, severity, there["decidedAt"], more) for severity in former]
    return [*ended, _alert(there, labels, present, over, more)]


def _alert(
    there: Mapping[str, Any], labels: Mapping[str, str], severity: str, ends: str, more: Mapping[str, str]
) -> dict[str, Any]:
    common = {
        "cluster": there["cluster"],
        "namespace": there["namespace"],
        "team": "" if there["group"] else there["openedTeam"],
    }
    own = {"alertname": NAMES[there["kind"]], **common, **labels, "severity": severity}
    every = {**more, **{name: value for name, value in own.items() if value}}
    words = {
        "summary": there["title"],
        "description": "\n".join(there["paragraphs"]),
        "opsloop_severity": there["severity"],
        "opsloop_reason": there["reason"],
        "opsloop_dedup_key": there["dedup_key"],
        "acknowledged": there["message"] if there["action"] == "acknowledge" else "",
        **{f"{name}_url": href for name, href in there["links"].items()},
    }
    alert = {
        "labels": {name: value for name, value in every.items() if value},
        "annotations": {name: value for name, value in words.items() if value},
        "startsAt": there["startedAt"],
        "endsAt": ends,
    }
    source = there["links"].get("console") or there["links"].get("grafana")
    return alert | ({"generatorURL": source} if source else {})
