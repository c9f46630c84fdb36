"""Selectors of labels, as Kubernetes reads them: those of Services, and LabelSelectors."""

from collections.abc import Mapping
from typing import Any

Labels = Mapping[str, str]


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """True where a LabelSelector (matchLabels, matchExpressions) fits these labels; an empty one fits all."""
    plain: Mapping[str, str] = selector.get("matchLabels") or {}
    exact = all(labels.get(key) == value for key, value in plain.items())
    return exact and all(_fits(expression, labels) for expression in selector.get("matchExpressions") or [])


def serves(selector: Labels, labels: Labels) -> bool:
    """True where a Service with this selector sends requests to pods with these labels; an empty one selects none."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _fits(expression: Mapping[str, Any], labels: Labels) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False
