"""The objectives of a Release, each as an Slo of its own: whatever reads or judges one knows of no other."""

from opsloop.api.release import Release
from opsloop.api.slo import ONLY, Sli, Slo
from opsloop.api.strategy import Analysis

_UNITS = {"seconds": " s", "milliseconds": " ms"}  # by the end of a histogram's name


def objectives(slo: Slo) -> tuple[Slo, ...]:
    """The first objective and those of `also`, in this order; what one of these does not say is said by the Slo."""
    if not slo.also:
        return (slo,)
    return (slo.model_copy(update={"also": []}), *(_also(slo, number) for number in range(len(slo.also))))


def _also(slo: Slo, number: int) -> Slo:
    own = slo.also[number]
    update = {
        "name": own.name,
        "objective": own.objective,
        "sli": own.sli.at(f"spec.slo.also[{number}].sli"),
        "tiers": own.tiers or slo.tiers,
        "min_bad_events": own.min_bad_events or slo.min_bad_events,
        "also": [],
    }
    return slo.model_copy(update=update)


def objective_of(slo: Slo, name: str) -> Slo:
    """The objective of this name; the first one where there is none (any more): an older Incident names none."""
    every = objectives(slo)
    return next((one for one in every if one.name == name), every[0])


def label(name: str) -> str:
    """`latency: ` before a sentence about one of several objectives; nothing before one about the only one."""
    return f"{name}: " if name and name != ONLY else ""


def wrong(sli: Sli) -> str:
    """What is wrong with a bad event, in words: `slower than 0.5 s`, else `bad`."""
    if sli.latency is None:
        return "bad"
    unit = next((short for name, short in _UNITS.items() if sli.latency.histogram.endswith(f"_{name}")), "")
    return f"slower than {sli.latency.threshold:g}{unit}"


def release_for(release: Release, objective: Slo) -> Release:
    """The Release as if this were its only objective. The accepted share of false rejects is split among all of them.

    `abortBelow` and `ignoreBelow` are ratios of the first objective's events; the others have the defaults of their own.
    """
    slo = release.spec.slo
    if slo is None or not slo.also:
        return release
    canary = release.spec.strategy.canary
    analysis = _analysis(canary.analysis, 1 + len(slo.also), is_first=objective.name == slo.name)
    strategy = release.spec.strategy.model_copy(update={"canary": canary.model_copy(update={"analysis": analysis})})
    spec = release.spec.model_copy(update={"slo": objective, "strategy": strategy})
    return release.model_copy(update={"spec": spec})


def _analysis(analysis: Analysis, number: int, is_first: bool) -> Analysis:
    shared = {"false_rejects": analysis.false_rejects / number}
    return analysis.model_copy(update=shared if is_first else shared | {"abort_below": None, "ignore_below": None})
