"""Labels that canary pods do not get, so that nothing that selects live pods selects them.

Behind an HTTPRoute the canary has a Service of its own: a canary pod that live's Services found too would have more than its
share, one under the user's PodDisruptionBudget would hold up node drains while it is dark, and one under the Deployment's
selector would be counted by its HorizontalPodAutoscaler.

Where pods make the weight, dark ones lack them as well if such a budget or autoscaler is there: they come in the write that
opens the gate, and go in the one that closes it. Without either the labels stay on, so that whatever finds pods to scrape by
them knows the pod before it serves.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from opsloop.core.facts import CanaryFacts, ReleaseFacts, WorkloadFacts
from opsloop.core.release.budgets import counts_dark_pods
from opsloop.core.selectors import selects


def hidden_labels(labels: Mapping[str, str], selectors: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The fewest labels (found greedily) without which none of these LabelSelectors fits; those that fit in any case stay.

    Each label less may be missed by something that is not seen here (a NetworkPolicy, a dashboard), hence the fewest.
    """
    kept, hidden = dict(labels), list[str]()
    left = [selector for selector in selectors if selects(selector, kept)]
    while left:
        gains = {key: sum(not selects(s, _without(kept, key)) for s in left) for key in kept}
        key = min(gains, key=lambda one: (-gains[one], one), default="")
        if not key or not gains[key]:
            break
        del kept[key]
        hidden.append(key)
        left = [selector for selector in left if selects(selector, kept)]
    return tuple(sorted(hidden))


def is_counted(facts: ReleaseFacts, workload: WorkloadFacts) -> bool:
    """True where a budget would allow no eviction beside a dark pod with live's labels, or an autoscaler would count it."""
    budgets = facts.beside.budgets if facts.beside is not None else ()
    return bool(counts_dark_pods(budgets)) or bool(workload.scaler)


def missing_labels(own: CanaryFacts | None, template: Mapping[str, Any] | None) -> dict[str, str]:
    """Labels of the template that the pods of a canary, or those that are kept warm, start without."""
    labels = ((template or {}).get("metadata") or {}).get("labels") or {}
    if own is None or not own.labels:
        return {}
    return {key: value for key, value in sorted(labels.items()) if key not in own.labels}


def hidden_of(facts: ReleaseFacts, labels: Mapping[str, str], selector: Mapping[str, str]) -> tuple[str, ...]:
    """Labels that the canary's pods do not get. Those of a canary that is there stay as they are: its pods would be replaced."""
    if facts.canary is not None:
        return tuple(sorted(key for key in labels if key not in facts.canary.labels))
    selectors = facts.beside.selectors if facts.beside is not None else ()
    return hidden_labels(labels, [{"matchLabels": selector}, *selectors])


def _without(labels: Mapping[str, str], key: str) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name != key}
