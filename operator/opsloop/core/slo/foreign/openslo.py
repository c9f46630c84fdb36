"""OpenSLO: kind SLO of openslo/v1 and openslo/v1alpha, with the SLI beside it or in the same file, where Prometheus measures it."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from opsloop.core.slo.foreign import counters
from opsloop.core.slo.foreign.fragments import Foreign, fraction, period, share

_DAYS = {"Day": 1, "Week": 7, "Month": 30, "Quarter": 90, "Year": 365}
_PROMETHEUS = ("prometheus", "")


def indicators(documents: Iterable[Any]) -> dict[str, Any]:
    """The SLIs of a file by their names, which an SLO may refer to."""
    return {
        str(one["metadata"]["name"]): one.get("spec") or {}
        for one in documents
        if isinstance(one, dict) and str(one.get("apiVersion", "")).startswith("openslo/") and one.get("kind") == "SLI"
    }


def read(document: Mapping[str, Any], known: Mapping[str, Any]) -> list[Foreign]:
    """The objectives of an SLO; of any other kind nothing."""
    if document.get("kind") != "SLO":
        return []
    spec, name = document["spec"], str(document["metadata"]["name"])
    span, left = _window(spec)
    method = str(spec.get("budgetingMethod", "Occurrences"))
    if method != "Occurrences":
        left.append(
            f"budgetingMethod {method}: opsloop counts by occurrences, so that minutes of little traffic weigh less"
        )
    if spec.get("alertPolicies"):
        left.append("alertPolicies: opsloop has tiers and receivers of its own")
    found = []
    for number, objective in enumerate(spec.get("objectives") or (), 1):
        sli, why = _sli(spec, objective, known)
        said = [*left, f"not taken over: {why}"] if why else left
        called = name if len(spec["objectives"]) == 1 else f"{name}-{objective.get('displayName') or number}"
        target = objective.get("target")
        wanted = fraction(objective["targetPercent"]) if target is None else share(target)
        found.append(Foreign("OpenSLO", str(spec["service"]), called, wanted, span, sli, left=tuple(said)))
    return found


def _window(spec: Mapping[str, Any]) -> tuple[timedelta, list[str]]:
    every = spec.get("timeWindow") or spec.get("timeWindows") or [{"duration": "30d", "isRolling": True}]
    window = every[0]
    if "duration" in window:
        span, remark = period(window["duration"])
    else:
        span, remark = timedelta(days=int(window["count"]) * _DAYS[window["unit"]]), ""
    left = [remark] if remark else []
    if window.get("calendar") or window.get("isRolling") is False:
        left.append("a calendar's window: opsloop's period goes with the time and never starts anew")
    return span, left


def _sli(
    spec: Mapping[str, Any], objective: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, str]:
    """The SLI, or why there is none."""
    old = objective.get("ratioMetrics")
    if old:
        return _ratio(old.get("good"), old.get("bad"), old.get("total"))
    indicator = spec.get("indicator") or objective.get("indicator") or {}
    name = spec.get("indicatorRef") or objective.get("indicatorRef")
    measured = indicator.get("spec") or known.get(str(name))
    if not measured:
        return None, f"indicatorRef {name!r} is not in this file" if name else "it has no indicator"
    if measured.get("thresholdMetric"):
        return (
            None,
            "thresholdMetric is a value held against a bound, and opsloop counts events; for durations write slo.sli.latency",
        )
    ratio = measured.get("ratioMetric") or {}
    if ratio.get("raw"):
        return None, "ratioMetric.raw gives a ratio, and opsloop counts events"
    return _ratio(ratio.get("good"), ratio.get("bad"), ratio.get("total"))


def _ratio(good: Any, bad: Any, total: Any) -> tuple[dict[str, Any] | None, str]:
    if not total or not (good or bad):
        return None, "it needs total, and good or bad"
    queries = {}
    for name, node in (("total", total), ("bad", None if good else bad), ("good", good)):
        if not node:
            continue
        source = node.get("metricSource") or {"type": node.get("source", ""), "spec": node}
        if str(source.get("type", "")).lower() not in _PROMETHEUS:
            return None, f"{name} is measured by {source.get('type')}, and opsloop reads Prometheus"
        query = str((source.get("spec") or {}).get("query") or "").strip()
        # a counter as such, which the specification lets stand for what it counted
        queries[name] = counters.over_window(query) if counters.selector(query) else query
    return counters.sli(queries["total"], bad=queries.get("bad", ""), good=queries.get("good", ""))
