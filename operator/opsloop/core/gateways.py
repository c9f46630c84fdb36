"""What Gateways say of an HTTPRoute in its status, and what they say that they can do (Gateway API v1).

A Gateway may accept a route and answer every request of one of its rules with an error: Traefik 3.6 does so for a filter that
it does not have, with `Accepted=True`. So what is extended in the API is used only where the GatewayClass lists it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
MIRROR = "HTTPRouteRequestMirror"
PERCENT = "HTTPRouteRequestPercentageMirror"
METHODS = "HTTPRouteMethodMatching"


def lacking(features: Mapping[str, Collection[str] | None], needed: Collection[str]) -> str:
    """Why these features (names of `status.supportedFeatures`) may not be used; empty where every Gateway of the route has them.

    `features`: by Gateway, as its class lists them; None where that cannot be read.
    """
    if not features:
        return "no Gateway of it is known"
    for gateway, has in sorted(features.items()):
        if has is None:
            return f"opsloop may not read Gateway {gateway} and its class, which lists what it can do"
        if missing := sorted(set(needed) - set(has)):
            return f"the class of Gateway {gateway} does not list {', '.join(missing)} in status.supportedFeatures"
    return ""


def refusals(route: Object) -> list[tuple[str, str]]:
    """(type, sentence) of what Gateways say against the route as it is: `Accepted` or `ResolvedRefs` is not True, or a part of
    it is left out (`PartiallyInvalid`).

    What is said of an earlier generation does not count; a route of which nobody says anything is not accepted yet.
    """
    generation = route["metadata"].get("generation", 0)
    parents: Sequence[Object] = (route.get("status") or {}).get("parents") or []
    told = []
    for parent in parents:
        name = (parent.get("parentRef") or {}).get("name", "")
        conditions = {c["type"]: c for c in parent.get("conditions") or []}
        for kind in ("Accepted", "ResolvedRefs"):
            condition = conditions.get(kind)
            current = condition is not None and condition.get("observedGeneration", generation) >= generation
            if condition is not None and current and condition.get("status") != "True":
                told.append((kind, _said(name, condition)))
        partly = conditions.get("PartiallyInvalid")
        if (
            partly is not None
            and partly.get("status") == "True"
            and partly.get("observedGeneration", generation) >= generation
        ):
            told.append(("Accepted", _said(name, partly)))
    if not parents:
        told.append(("Accepted", "no Gateway has taken it yet: its parentRefs name none that is there"))
    return told


def is_taken(route: Object) -> bool:
    """True where every Gateway of the route has seen its present generation."""
    generation = route["metadata"].get("generation", 0)
    parents: Sequence[Object] = (route.get("status") or {}).get("parents") or []
    return all(
        condition.get("observedGeneration", generation) >= generation
        for parent in parents
        for condition in parent.get("conditions") or []
        if condition["type"] == "Accepted"
    )


def _said(gateway: str, condition: Object) -> str:
    said = condition.get("message") or condition.get("reason", "")
    return f"Gateway {gateway} says {condition['type']}={condition['status']}: {said}"
