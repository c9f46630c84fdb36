"""The objects that a team writes: a Release for each service, and the README's Runbook."""

from datetime import timedelta
from typing import Any, Final

from opsloop.api.meta import format_duration
from opsloop.api.slo import Sli
from opsloop.shell.ports import Object
from opsloop.simulator.scraping import METRIC, TIMED
from opsloop.simulator.service import Service, Timing
from opsloop.simulator.weather import WEIGHTS
from opsloop.simulator.world import NS, image

STRUCTURED: Final = "requests" in Sli.model_fields
"""True where an SLI can be written without PromQL."""
FORMS: Final = ("good", "bad", "requests") if STRUCTURED else ("good", "bad")


def sli(service: str, form: str) -> dict[str, Any]:
    """The SLI of a service: PromQL that counts good or bad requests, or the structured form."""
    if form == "requests":
        selector = f'job="{service}"'
        return {"requests": {"counter": METRIC, "selector": selector, "bad": 'code=~"5.."'}}
    by = f'job="{service}",version=~"{{{{version}}}}"'
    total = f"sum(increase({METRIC}{{{by}}}[{{{{window}}}}]))"
    matcher = 'code!~"5.."' if form == "good" else 'code=~"5.."'
    return {form: f"sum(increase({METRIC}{{{by},{matcher}}}[{{{{window}}}}]))", "total": total}


def latency(service: str, timing: Timing, form: str) -> dict[str, Any]:
    """A second objective over the service's histogram, in the form of the first one."""
    base = {"name": "latency", "objective": timing.objective}
    if form == "requests":
        selector = f'job="{service}"'
        return {**base, "sli": {"latency": {"histogram": TIMED, "selector": selector, "threshold": timing.threshold}}}
    by, bound = f'job="{service}",version=~"{{{{version}}}}"', f"{timing.threshold:g}"
    total = f"sum(increase({TIMED}_count{{{by}}}[{{{{window}}}}]))"
    return {
        **base,
        "sli": {"good": f'sum(increase({TIMED}_bucket{{{by},le="{bound}"}}[{{{{window}}}}]))', "total": total},
    }


def release(service: Service, version: str, form: str, holds: tuple[float, ...]) -> Object:
    """A Release with the default tiers; `holds` are those of the steps 20 and 50, in seconds."""
    steps: list[dict[str, Any]] = [
        {"weight": weight, "hold": format_duration(timedelta(seconds=hold))}
        for weight, hold in zip(WEIGHTS, holds, strict=False)
    ]
    spec: dict[str, Any] = {
        "workloadRef": {"name": service.name},
        "version": version,
        "images": {service.name: image(version)},
        "dependsOn": list(service.depends),
        "strategy": {"canary": {"steps": [*steps, {"weight": 100}]}},
        "slo": {"objective": service.objective, "sli": sli(service.name, form)},
    }
    if service.timing is not None:
        spec["slo"] |= {"name": "availability", "also": [latency(service.name, service.timing, form)]}
    return {"kind": "Release", "metadata": {"name": service.name, "namespace": NS}, "spec": spec}


def account() -> Object:
    """The ServiceAccount on whose behalf the Runbook acts."""
    return {"kind": "ServiceAccount", "metadata": {"name": "runbook", "namespace": NS}}


def runbook() -> Object:
    """The README's: roll back, wait, call a person."""
    spec = {
        "match": {"causes": ["bad_release"]},
        "steps": [{"type": "rollback", "timeout": "5m"}, {"type": "wait", "timeout": "5m"}, {"type": "escalate"}],
        "safety": {"mode": "auto", "cooldown": "1m", "maxPerHour": 4},
        "serviceAccountName": "runbook",
    }
    return {"kind": "Runbook", "metadata": {"name": "bad-release", "namespace": NS}, "spec": spec}
