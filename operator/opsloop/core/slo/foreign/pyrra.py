"""Pyrra: `ServiceLevelObjective` of pyrra.dev/v1alpha1."""

from collections.abc import Mapping
from typing import Any

from opsloop.api.meta import parse_duration
from opsloop.core.slo.foreign import counters
from opsloop.core.slo.foreign.fragments import Foreign, fraction, period

_FORMS = "ratio, latency, latencyNative and bool_gauge"


def read(document: Mapping[str, Any]) -> list[Foreign]:
    """The one SLO of an object; its service is its name."""
    meta, spec = document["metadata"], document["spec"]
    span, remark = period(spec["window"])
    sli, left = _indicator(spec["indicator"])
    alerting = spec.get("alerting") or {}
    disabled = bool(alerting.get("disabled"))
    if disabled:
        left.append("alerts are switched off there: the tiers below page nobody in their place")
    if told := sorted(key for key in alerting if key not in ("disabled", "burnrates")):
        left.append(
            f"alerting ({', '.join(told)}): opsloop tells of silence by slo.tellUnknownAfter and names its own alerts"
        )
    grouping = [key for kind in spec["indicator"].values() for key in (kind or {}).get("grouping") or ()]
    if grouping:
        left.append(f"grouping by {', '.join(grouping)}: opsloop counts all of a Release together")
    left += [remark] if remark else []
    return [
        Foreign(
            "Pyrra", str(meta["name"]), str(meta["name"]), fraction(spec["target"]), span, sli,
            not disabled, not disabled, tuple(left),
        )
    ]  # fmt: skip


def _indicator(indicator: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    sli: dict[str, Any] | None = None
    if ratio := indicator.get("ratio"):
        sli, why = counters.sli(_metric(ratio["total"]), bad=_metric(ratio["errors"]))
    elif latency := indicator.get("latency"):
        sli, why = counters.sli(_metric(latency["total"]), good=_metric(latency["success"]))
    elif native := indicator.get("latencyNative"):
        sli, why = _native(native)
    elif gauge := indicator.get("bool_gauge") or indicator.get("boolGauge"):
        one = str(gauge["metric"]).strip()
        window = f"[{counters.WINDOW}]"
        sli, why = counters.sli(f"sum(count_over_time({one}{window}))", good=f"sum(sum_over_time({one}{window}))")
    else:
        why = f"of indicator only {_FORMS} are known"
    return sli, [f"not taken over: {why}"] if why else []


def _metric(node: Mapping[str, Any]) -> str:
    return counters.over_window(str(node["metric"]))


def _native(native: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    found = counters.selector(str(native["total"]["metric"]).strip())
    if found is None:
        return None, "latencyNative.total.metric is no plain selector"
    text = str(native["latency"])
    seconds = float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text).total_seconds()
    latency = {"histogram": found.metric, "threshold": seconds, "native": True}
    return {"latency": latency | ({"selector": ",".join(found.matchers)} if found.matchers else {})}, ""
