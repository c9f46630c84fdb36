"""Whose events: revisions are told apart by the names of their pods, which nobody has to maintain.

The pods of ReplicaSet web-7d9f8c6b5d are called web-7d9f8c6b5d-x2x4z. A pattern over their names is anchored, as PromQL
anchors it, and ends in the five random characters: `web-.*` would also match the pods of a Deployment web-api.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opsloop.names import canary_name, warm_name

POD_LABELS = ("pod", "kubernetes_pod_name", "exported_pod", "k8s_pod_name")
NAMESPACE_LABELS = ("namespace", "kubernetes_namespace", "exported_namespace", "k8s_namespace_name")
INSTANCE = "instance"  # Prometheus' own label: the address that was scraped
ANYTHING = ".*"
LOOKS = 4  # scrapes: who shows something in that time is there now; one or two of them may fail
LONGEST_BASE = 58  # characters of a generated name that Kubernetes keeps before its five random ones
_RANDOM = "[a-z0-9]{5}"
_HASH = "[a-z0-9]{1,10}"
_LABEL = "opsloop"


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of the labels that hold a pod's name and its namespace; `namespace` is empty where no label does."""

    pod: str
    namespace: str = ""

    @property
    def by_address(self) -> bool:
        """True where the label holds the pod's address in place of its name."""
        return self.pod == INSTANCE


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a Release's series are. Without a workload pods are not known, without labels not looked for.

    `addresses` are those of its pods, as far as they are known.
    """

    namespace: str = ""
    workload: str = ""
    labels: Labels | None = None
    addresses: tuple[str, ...] = ()

    @property
    def by_address(self) -> bool:
        """True where pods are told by their addresses."""
        return self.labels is not None and self.labels.by_address

    @property
    def pods(self) -> str:
        """A pattern for the pods of the Deployment, of its canary and of those kept warm, whatever their revision."""
        return hosts(self.addresses) if self.by_address else self.names

    @property
    def names(self) -> str:
        """A pattern for the names of these pods."""
        if not self.workload:
            return ANYTHING
        beside = "|".join(_escaped(name("")) for name in (canary_name, warm_name))
        return f"{_escaped(self.workload)}({beside})?-{_HASH}-{_RANDOM}"  # short: a query repeats it, and some servers cut those


def pattern(replica_sets: Iterable[str]) -> str:
    """A regular expression for exactly the pods of these ReplicaSets, valid in any of PromQL's three kinds of quotes."""
    bases = [_escaped(f"{name}-"[:LONGEST_BASE]) for name in replica_sets]
    return f"({'|'.join(bases)}){_RANDOM}"


def hosts(addresses: Iterable[str]) -> str:
    """A regular expression for the label instance of exactly these addresses, with or without a port."""
    found = [_escaped(ip) if ":" not in ip else f"[[]{ip}[]]" for ip in addresses]
    return f"({'|'.join(found)})(:[0-9]+)?"


def hash_is_cut(replica_sets: Iterable[str]) -> bool:
    """True where a long name pushes the hash out of the pods' names, so that these do not tell revisions apart."""
    return any(len(name) > LONGEST_BASE for name in replica_sets)


def _escaped(name: str) -> str:
    return name.replace(".", "[.]")  # names hold lower case letters, digits, - and .


# --- the labels of a structured SLI


def labels_query(series: str, matchers: str, scope: Scope, wanted: str | None) -> str:
    """PromQL that shows which labels hold the pods' names: those of a living pod, by the values of namespace labels.

    `wanted` is the pod label where a person gave it. The address comes last, and only where matchers say which series are
    meant: an address was another service's before.
    """
    by = ", ".join(NAMESPACE_LABELS)
    parts = []
    for label in _labels(wanted, matchers, scope):
        values = hosts(scope.addresses) if label == INSTANCE else scope.names
        found = f"count by ({by}) ({series}{{{joined(matchers, matcher(label, values))}}})"
        parts.append(f'label_replace({found}, "{_LABEL}", "{label}", "", "")')
    return "\nor ".join(parts)


def _labels(wanted: str | None, matchers: str, scope: Scope) -> list[str]:
    asked = [wanted] if wanted else [*POD_LABELS, INSTANCE]
    usable = bool(scope.addresses) and bool(matchers.strip())
    return [label for label in asked if label != INSTANCE or usable]


def labels_of(samples: Sequence[Mapping[str, str]], namespace: str, wanted: str | None) -> Labels | None:
    """The first label that holds a pod's name in this namespace, by the answer to `labels_query`; None where none does.

    Pods of the same name in another namespace are another service's. A series that names no namespace is taken.
    """
    for label in [wanted] if wanted else [*POD_LABELS, INSTANCE]:
        places = [one for one in samples if one.get(_LABEL) == label]
        own = [key for one in places for key in NAMESPACE_LABELS if one.get(key) == namespace]
        if own:
            return Labels(label, min(own, key=NAMESPACE_LABELS.index))
        if any(not any(one.get(key) for key in NAMESPACE_LABELS) for one in places):
            return Labels(label)
    return None


def matcher(label: str, regex: str) -> str:
    """One matcher of a selector."""
    return f"{label}=~{json.dumps(regex, ensure_ascii=False)}"


def joined(*matchers: str) -> str:
    """Matchers as one list; empty ones are left out."""
    return ",".join(text for one in matchers if (text := one.strip().removesuffix(",").strip()))


def is_label(text: str) -> bool:
    """May this be the name of a label?"""
    return re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", text) is not None
