"""Sloth: `version: prometheus/v1`, and its PrometheusServiceLevel, which says the same with other spellings."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opsloop.core.slo.foreign import counters
from opsloop.core.slo.foreign.fragments import Foreign, fraction

PERIOD = timedelta(days=30)  # Sloth's, unless it is started with another one


def read(document: Mapping[str, Any]) -> list[Foreign]:
    """The SLOs of a file or an object."""
    spec = document.get("spec") or document
    plugins = ["slo_plugins: rules are opsloop's own"] if _of(spec, "slo_plugins", "sloPlugins") else []
    return [_slo(str(spec["service"]), slo, plugins) for slo in spec.get("slos") or ()]


def _slo(service: str, slo: Mapping[str, Any], left: list[str]) -> Foreign:
    indicator, left = slo.get("sli") or {}, list(left)
    events, sli, why = indicator.get("events"), None, ""
    if events:
        bad, total = _of(events, "error_query", "errorQuery"), _of(events, "total_query", "totalQuery")
        sli, why = counters.sli(str(total), bad=str(bad))
    elif indicator.get("raw"):
        why = "sli.raw gives a ratio, and opsloop counts events; write the two counts that it is made of"
    elif indicator.get("plugin"):
        why = f"sli.plugin {indicator['plugin'].get('id', '')!r} makes the query outside of this file"
    else:
        why = "sli has neither events nor raw nor plugin"
    if why:
        left.append(f"not taken over: {why}")
    alerting = slo.get("alerting") or {}
    pages, tickets = (
        not (_of(alerting, f"{kind}_alert", f"{kind}Alert") or {}).get("disable") for kind in ("page", "ticket")
    )
    if not (pages and tickets):
        left.append("alerts are switched off there: the tiers below page nobody in their place")
    told = [key for key in ("name", "labels", "annotations") if alerting.get(key)]
    for kind in ("page", "ticket"):
        own = _of(alerting, f"{kind}_alert", f"{kind}Alert") or {}
        told += [f"{kind}_alert.{key}" for key in ("labels", "annotations") if own.get(key)]
    if told:
        left.append(f"alerting ({', '.join(told)}): opsloop pages by its own receivers, by the severity of a tier")
    return Foreign(
        "Sloth", service, str(slo["name"]), fraction(slo["objective"]), PERIOD, sli, pages, tickets, tuple(left)
    )


def _of(node: Mapping[str, Any], *keys: str) -> Any:
    """The value of the first key that is there."""
    return next((node[key] for key in keys if key in node), None)
