"""The Grafana boards of the chart: the fleet, one Release, one Incident, and the operator itself.

`make generate` writes them to charts/opsloop/dashboards. Queries ask only for metrics of docs/operations.md
(tests/tools/test_boards.py); the structure is held against Grafana's own schema there.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = dict[str, Any]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA_VERSION = 39  # Grafana 11; newer ones migrate it
WIDTH = 24
GREEN, ORANGE, RED = "green", "orange", "red"
RELEASE = 'namespace=~"$namespace",release=~"$release"'
NAMESPACE = 'namespace=~"$namespace"'


class Query(NamedTuple):
    """A PromQL expression, what its series are called, and whether it is asked at the end of the time range alone."""

    expression: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel. `steps`: (from, colour) of thresholds; `columns`: labels that a table shows, in order, and `value` the last column."""

    title: str
    says: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    steps: Sequence[tuple[float | None, str]] = ((None, GREEN),)
    columns: Sequence[str] = ()
    value: str = "Value"
    stacked: bool = False

    def json(self, number: int, x: int, y: int) -> Json:
        """As Grafana stores it, at this place of the grid."""
        is_table = self.kind == "table"
        defaults: Json = {
            "unit": self.unit,
            "color": {"mode": "palette-classic" if self.kind == "timeseries" else "thresholds"},
            "thresholds": {"mode": "absolute", "steps": [{"value": at, "color": color} for at, color in self.steps]},
        }
        if self.kind == "timeseries":
            stacking = {"mode": "normal" if self.stacked else "none", "group": "A"}
            defaults["custom"] = {"fillOpacity": 30 if self.stacked else 5, "showPoints": "never", "stacking": stacking}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.says,
            "datasource": SOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": [self._target(query, "ABCDEFGH"[place], is_table) for place, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": self._options(),
            "transformations": self._transformations() if is_table else [],
        }

    def _target(self, query: Query, letter: str, is_table: bool) -> Json:
        instant = query.instant or self.kind == "stat" or is_table
        shape = {"format": "table" if is_table else "time_series", "legendFormat": query.legend or "__auto"}
        return {
            "refId": letter, "datasource": SOURCE, "expr": query.expression, "instant": instant, "range": not instant, **shape,
        }  # fmt: skip

    def _options(self) -> Json:
        if self.kind == "stat":
            reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
            return {"reduceOptions": reduce, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
        if self.kind == "table":
            return {"showHeader": True}
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}

    def _transformations(self) -> list[Json]:
        order = {name: place for place, name in enumerate([*self.columns, "Value"])}
        hidden = {"Time": True, "__name__": True}
        organized = {"excludeByName": hidden, "indexByName": order, "renameByName": {"Value": self.value}}
        return [{"id": "organize", "options": organized}]


class Variable(NamedTuple):
    """A variable that the person chooses, by the values of a label of a metric."""

    name: str
    metric: str
    several: bool = True
    label: str = ""

    def json(self) -> Json:
        """As Grafana stores it."""
        query = f"label_values({self.metric}, {self.label or self.name})"
        return {
            "name": self.name, "type": "query", "label": self.name, "datasource": SOURCE, "query": {"query": query, "refId": "V"}, "refresh": 2, "sort": 1, "multi": self.several, "includeAll": self.several, "hide": 0,
            "current": {"text": ["All"], "value": ["$__all"]} if self.several else {},
        }  # fmt: skip


@dataclass(frozen=True)
class Board:
    """A board: its panels fill rows from left to right."""

    name: str
    title: str
    says: str
    panels: Sequence[Panel]
    variables: Sequence[Variable] = field(default_factory=tuple)
    since: str = "now-6h"

    def json(self) -> Json:
        """As Grafana stores it."""
        source = {
            "name": "datasource",
            "type": "datasource",
            "label": "data source",
            "query": "prometheus",
            "hide": 0,
            "refresh": 1,
        }
        return {
            "uid": f"opsloop-{self.name}",
            "title": self.title,
            "description": self.says,
            "tags": ["opsloop"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": self.since, "to": "now"},
            "timezone": "browser",
            "templating": {"list": [source, *(variable.json() for variable in self.variables)]},
            "annotations": {"list": []},
            "links": [
                {
                    "title": "opsloop", "type": "dashboards", "tags": ["opsloop"], "asDropdown": True, "includeVars": True,
                    "keepTime": True, "icon": "external link", "targetBlank": False, "tooltip": "", "url": "",
                }
            ],
            "panels": list(self._placed()),
        }  # fmt: skip

    def _placed(self) -> Iterator[Json]:
        x = y = tallest = 0
        for number, panel in enumerate(self.panels, 1):
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            yield panel.json(number, x, y)
            x, tallest = x + panel.width, max(tallest, panel.height)


def stat(title: str, says: str, expression: str, unit: str = "short", width: int = 4, **more: Any) -> Panel:
    """One number."""
    return Panel(title, says, [Query(expression)], "stat", unit, width, 4, **more)


BAD_IF_ANY = ((None, GREEN), (1, ORANGE))
LEFT = ((None, RED), (0, ORANGE), (0.25, GREEN))


def fleet() -> Board:
    """All Releases."""
    by_slo = "max by (namespace, release, slo)"
    return Board(
        "fleet", "opsloop / fleet", "All Releases: what burns, what is left of error budgets, what is held, and what was shipped.",
        [
            stat("Releases", "Releases that opsloop manages.", f"count(count by (namespace, release) (opsloop_release_condition{{{NAMESPACE}}})) or vector(0)"),
            stat("Burning", "Releases of which an objective burns faster than its budget comes in.", f"count(max by (namespace, release) (opsloop_release_burn_rate{{{NAMESPACE}}}) > 1) or vector(0)", steps=BAD_IF_ANY),
            stat("Open Incidents", "Incidents that are not over.", f"count(count by (namespace, incident) (opsloop_incident_condition{{{NAMESPACE}}})) or vector(0)", steps=BAD_IF_ANY),
            stat("SLI unknown", "Objectives that cannot be read: neither healthy nor failing.", f"count(opsloop_release_telemetry_known{{{NAMESPACE}}} == 0) or vector(0)", steps=BAD_IF_ANY),
            stat("Held", "Canaries that do not move.", f'count(opsloop_release_condition{{{NAMESPACE},condition="Held",status="True"}}) or vector(0)', steps=BAD_IF_ANY),
            stat("Stops", "Emergency stops in effect.", "sum(opsloop_stopped) or vector(0)", steps=BAD_IF_ANY),
            Panel("Error budget left", "Of the whole period; below 0 it is overspent.", [Query(f"{by_slo} (opsloop_release_error_budget_left_ratio{{{NAMESPACE}}})")], "table", "percentunit", 12, 9, LEFT, ("namespace", "release", "slo"), "left"),
            Panel("Budget gone in", "At the present burn rate; no row while that is unknown.", [Query(f"{by_slo} (opsloop_release_error_budget_exhausted_seconds{{{NAMESPACE}}})")], "table", "s", 12, 9, ((None, RED), (86400, ORANGE), (604800, GREEN)), ("namespace", "release", "slo"), "gone in"),
            Panel("Burn rate", "Over the window chosen above; at 1 the budget lasts for its period.", [Query(f'{by_slo} (opsloop_release_burn_rate{{{NAMESPACE},window=~"$window"}})', "{{namespace}}/{{release}} {{slo}}")]),
            Panel("Why canaries are held", "Condition Held by its reason.", [Query(f'max by (namespace, release, reason) (opsloop_release_condition{{{NAMESPACE},condition="Held",status="True"}})')], "table", columns=("namespace", "release", "reason")),
            Panel("Rollouts that ended", "In each hour.", [Query(f"sum by (result) (increase(opsloop_rollouts_total{{{NAMESPACE}}}[1h]))", "{{result}}")], stacked=True),
            Panel("Incidents opened", "In each hour, by severity.", [Query(f"sum by (severity) (increase(opsloop_incidents_total{{{NAMESPACE}}}[1h]))", "{{severity}}")], stacked=True),
        ],
        [Variable("namespace", "opsloop_release_condition"), Variable("window", "opsloop_release_burn_rate", several=False)],
        "now-24h",
    )  # fmt: skip


def release() -> Board:
    """One Release."""
    return Board(
        "release", "opsloop / Release", "One Release: its objectives, its budget, its canary and what became of its versions.",
        [
            stat("Budget left", "Of the objective of which the least is left.", f"min(opsloop_release_error_budget_left_ratio{{{RELEASE}}})", "percentunit", steps=LEFT),
            stat("Gone in", "At the present burn rate.", f"min(opsloop_release_error_budget_exhausted_seconds{{{RELEASE}}})", "s"),
            stat("Known for", "Share of the period for which there are data.", f"min(opsloop_release_error_budget_coverage_ratio{{{RELEASE}}})", "percentunit"),
            stat("Burn rate", "The worst of all objectives and windows.", f"max(opsloop_release_burn_rate{{{RELEASE}}})", steps=((None, GREEN), (1, ORANGE), (6, RED))),
            stat("Shipped", "1 while what the spec asks for is live and rolled out.", f'max(opsloop_release_condition{{{RELEASE},condition="Shipped",status="True"}}) or vector(0)', steps=((None, ORANGE), (1, GREEN))),
            stat("Promoted", "Versions promoted in the time range.", f'sum(increase(opsloop_rollouts_total{{{RELEASE},result="promoted"}}[$__range])) or vector(0)'),
            Panel("Share of good events", "By objective and window.", [Query(f"opsloop_release_sli_ratio{{{RELEASE}}}", "{{slo}} {{window}}")], unit="percentunit"),
            Panel("Burn rate", "By objective and window.", [Query(f"opsloop_release_burn_rate{{{RELEASE}}}", "{{slo}} {{window}}")]),
            Panel("Error budget left", "By objective.", [Query(f"opsloop_release_error_budget_left_ratio{{{RELEASE}}}", "{{slo}}")], unit="percentunit"),
            Panel("Telemetry", "0 while the SLI of an objective is unknown.", [Query(f"opsloop_release_telemetry_known{{{RELEASE}}}", "{{slo}}")]),
            Panel("Conditions", "With their reasons.", [Query(f"max by (condition, status, reason) (opsloop_release_condition{{{RELEASE}}})")], "table", height=10, columns=("condition", "status", "reason")),
            Panel("Rollouts and rollbacks that ended", "In each hour.", [
                Query(f"sum by (result) (increase(opsloop_rollouts_total{{{RELEASE}}}[1h]))", "rollout {{result}}"),
                Query(f"sum by (result) (increase(opsloop_rollbacks_total{{{RELEASE}}}[1h]))", "rollback {{result}}"),
            ], height=10, stacked=True),
        ],
        [Variable("namespace", "opsloop_release_condition"), Variable("release", 'opsloop_release_condition{namespace=~"$namespace"}', several=False)],
    )  # fmt: skip


def incident() -> Board:
    """One Incident, and what happens around it."""
    one = 'namespace=~"$namespace",incident=~"$incident"'
    return Board(
        "incident", "opsloop / Incident", "One open Incident: its conditions, what burns around it, and how long Incidents last here.",
        [
            Panel("Conditions", "With their reasons; those of Incidents that are open.", [Query(f"max by (incident, condition, status, reason) (opsloop_incident_condition{{{one}}})")], "table", height=9, columns=("incident", "condition", "status", "reason")),
            Panel("Burn rate around it", "Of all Releases of the namespace, over their shortest windows and longest.", [Query(f"max by (release, slo) (opsloop_release_burn_rate{{{NAMESPACE}}})", "{{release}} {{slo}}")], height=9),
            Panel("Conditions over time", "Mitigated, Acting and Paged.", [Query(f'max by (incident, condition) (opsloop_incident_condition{{{one},status="True",condition=~"Mitigated|Acting|Paged"}})', "{{incident}} {{condition}}")]),
            Panel("Telemetry around it", "0 while an SLI is unknown.", [Query(f"min by (release) (opsloop_release_telemetry_known{{{NAMESPACE}}})", "{{release}}")]),
            Panel("Messages to receivers", "In each minute.", [Query("sum by (receiver, result) (increase(opsloop_pages_total[1m]))", "{{receiver}} {{result}}")], stacked=True),
            Panel("Rollbacks that ended", "In the namespace, in each hour.", [Query(f"sum by (release, result) (increase(opsloop_rollbacks_total{{{NAMESPACE}}}[1h]))", "{{release}} {{result}}")], stacked=True),
            Panel("Time until mitigated and resolved", "Half and nine in ten of the Incidents of the last 7 days.", [
                Query(f"histogram_quantile(0.5, sum by (le, until) (increase(opsloop_incident_seconds_bucket{{{NAMESPACE}}}[7d])))", "{{until}} 50 %"),
                Query(f"histogram_quantile(0.9, sum by (le, until) (increase(opsloop_incident_seconds_bucket{{{NAMESPACE}}}[7d])))", "{{until}} 90 %"),
            ], unit="s"),
            Panel("Alerts and tickets stored", "In each minute.", [Query("sum by (route) (increase(opsloop_intake_stored_total[1m]))", "{{route}}")], stacked=True),
        ],
        [Variable("namespace", "opsloop_incident_condition"), Variable("incident", 'opsloop_incident_condition{namespace=~"$namespace"}')],
    )  # fmt: skip


def operator() -> Board:
    """The operator itself."""
    return Board(
        "operator", "opsloop / operator", "Is opsloop itself well: leadership, work that waits, Prometheus, the API server, the intake and receivers.",
        [
            stat("Leaders", "Should be 1.", "sum(opsloop_leader)", steps=((None, RED), (1, GREEN), (2, RED))),
            stat("Oldest in the queue", "Waiting time of the oldest object.", "max(opsloop_queue_oldest_seconds)", "s", steps=((None, GREEN), (60, RED))),
            stat("Sources down", "Prometheus-compatible APIs that did not answer the last query.", "count(opsloop_prometheus_up == 0) or vector(0)", steps=BAD_IF_ANY),
            stat("Messages undelivered", "That a receiver did not take and that are tried again.", "sum(opsloop_pages_undelivered) or vector(0)", steps=BAD_IF_ANY),
            stat("Event loop late", "At most, of all replicas.", "max(opsloop_loop_lag_seconds)", "s", steps=((None, GREEN), (1, ORANGE), (5, RED))),
            stat("Set aside", "Alerts, tickets and entries that the intake did not take, in the time range.", "sum(increase(opsloop_intake_set_aside_total[$__range])) or vector(0)", steps=BAD_IF_ANY),
            Panel("Reconciles", "In each second, by kind and result.", [Query("sum by (kind, result) (rate(opsloop_reconciles_total[$__rate_interval]))", "{{kind}} {{result}}")]),
            Panel("Time of a reconcile", "Ninety-nine in a hundred.", [Query("histogram_quantile(0.99, sum by (le, kind) (rate(opsloop_reconcile_seconds_bucket[$__rate_interval])))", "{{kind}}")], unit="s"),
            Panel("Queue", "Objects that wait.", [Query("max(opsloop_queue_depth)", "waiting")]),
            Panel("Event loop", "How late it is: ninety-nine beats in a hundred.", [Query("histogram_quantile(0.99, sum by (le) (rate(opsloop_loop_late_seconds_bucket[$__rate_interval])))", "late")], unit="s"),
            Panel("Queries to Prometheus", "In each second, by source and result.", [Query("sum by (source, result) (rate(opsloop_prometheus_queries_total[$__rate_interval]))", "{{source}} {{result}}")]),
            Panel("Time of a query", "Ninety-five in a hundred.", [Query("histogram_quantile(0.95, sum by (le, source) (rate(opsloop_prometheus_query_seconds_bucket[$__rate_interval])))", "{{source}}")], unit="s"),
            Panel("Requests to the API server", "In each second.", [Query("sum by (verb, resource, code) (rate(opsloop_api_requests_total[$__rate_interval]))", "{{verb}} {{resource}} {{code}}")]),
            Panel("Intake", "Answers in each second, by route and code.", [Query("sum by (route, code) (rate(opsloop_intake_requests_total[$__rate_interval]))", "{{route}} {{code}}")]),
            Panel("Messages to receivers", "In each hour.", [Query("sum by (receiver, action, result) (increase(opsloop_pages_total[1h]))", "{{receiver}} {{action}} {{result}}")], stacked=True),
            Panel("Processor and memory", "Of each replica.", [
                Query('rate(process_cpu_seconds_total{job=~".*opsloop.*"}[$__rate_interval])', "{{pod}} processor seconds"),
                Query('process_resident_memory_bytes{job=~".*opsloop.*"}', "{{pod}} bytes"),
            ]),
        ],
    )  # fmt: skip


def boards() -> dict[str, str]:
    """File name → the board as JSON."""
    made = (fleet(), release(), incident(), operator())
    return {f"{board.name}.json": json.dumps(board.json(), indent=1, ensure_ascii=False) + "\n" for board in made}
