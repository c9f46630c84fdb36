"""PodDisruptionBudgets: how many pods people said they need. Fewer for a minute is harm, though not yet an outage."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.facts import Budget, WorkloadFacts
from opsloop.core.release import ReleaseBuilder

# Named reasons
WITHIN_BUDGET = "WithinBudget"  # as many pods are available as each PodDisruptionBudget wants
BELOW_BUDGET = "BelowBudget"  # fewer pods are available than a PodDisruptionBudget wants, and had been before
NOT_MET_YET = "NotMetYet"  # a PodDisruptionBudget wants more pods than were ever available since it wants them
ROLLING = "RollingUpdate"  # the Deployment replaces its pods: its own strategy says how many may be missing
NO_BUDGET = "NoBudget"  # no PodDisruptionBudget is for this Deployment alone

SHORTAGE_AFTER = timedelta(seconds=60)  # as an outage: a pod that is replaced by itself is back by then


def wanted_by(budget: Budget, replicas: int) -> int:
    """Pods that must stay available, as the disruption controller computes it: percentages are rounded up."""
    if budget.max_unavailable is not None:
        return max(0, replicas - _scaled(budget.max_unavailable, replicas))
    return _scaled(budget.min_available or 0, replicas)


def _scaled(value: int | str, replicas: int) -> int:
    if isinstance(value, int):
        return value
    return -(-int(value.rstrip("%")) * replicas // 100)


def strictest(budgets: Iterable[Budget], replicas: int) -> tuple[int, Budget] | None:
    """(pods, budget) of the one that wants most; a budget over several workloads says nothing of one of them."""
    own = [(wanted_by(budget, replicas), budget) for budget in budgets if not budget.shared]
    return max(own, key=lambda found: (found[0], found[1].name), default=None)


def watch(builder: ReleaseBuilder, workload: WorkloadFacts | None) -> None:
    """Condition BudgetMet. It is False only where as many pods as the budget wants had been available before.

    While a rolling update replaces pods, what was known stands.
    """
    beside = builder.facts.beside
    if workload is None or beside is None:
        return
    found = strictest(beside.budgets, workload.replicas)
    if found is None:
        if conditions.get(builder.status.conditions, "BudgetMet") is not None:
            builder.condition("BudgetMet", None, NO_BUDGET, "no PodDisruptionBudget is for this Deployment alone")
        return
    wanted, budget = found
    counts = f"{workload.available} of {workload.replicas} pods of Deployment {workload.name} are available"
    text = f"{counts}, PodDisruptionBudget {budget.name} wants {wanted}"
    if workload.available >= wanted:
        before = conditions.get(builder.status.conditions, "BudgetMet")
        builder.set(budget_met=wanted)
        builder.condition(
            "BudgetMet",
            True,
            WITHIN_BUDGET,
            f"{workload.name} has the {wanted} pods that PodDisruptionBudget {budget.name} wants",
        )
        if before is not None and before.status == "False":
            builder.event(WITHIN_BUDGET, text)
    elif wanted > builder.status.budget_met:
        builder.condition("BudgetMet", None, NOT_MET_YET, text)
    elif not workload.rollout.replaced and not workload.rollout.stalled:
        if conditions.get(builder.status.conditions, "BudgetMet") is None:
            builder.condition("BudgetMet", None, ROLLING, text)
    else:
        if shortage_since(builder.facts.release) is None:
            builder.event(BELOW_BUDGET, text, "Warning")
        builder.condition("BudgetMet", False, BELOW_BUDGET, text)


def shortage_since(release: Release) -> datetime | None:
    """Time since which fewer pods are available than a budget wants; None where enough are, or never were."""
    known = conditions.get(release.status.conditions, "BudgetMet")
    return known.last_transition_time if known is not None and known.status == "False" else None


def counts_dark_pods(budgets: Iterable[Budget]) -> list[str]:
    """Names of the budgets that a dark canary makes stricter: those in percent, and those by what may be missing.

    Its pods are expected and not healthy, so no eviction is allowed while they are dark; a number in minAvailable stays.
    """
    counted = (b for b in budgets if b.max_unavailable is not None or isinstance(b.min_available, str))
    return sorted(budget.name for budget in counted)
