"""Additions to a model's schema beyond types and bounds: CEL rules, list types, omitted defaults.

Each function returns a value for pydantic's `json_schema_extra`; `api.crd` copies it into the structural schema.
CEL in a CRD sees one object and its previous version, so a rule about other objects is a status condition instead.
"""

from typing import Any

RULES = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
FREE_FORM = "x-kubernetes-preserve-unknown-fields"


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Builds CEL rules from (expression, message) pairs; a message names the field and a valid value."""
    return {RULES: [{"rule": expression, "message": message} for expression, message in pairs]}


def contains_window(field: str) -> dict[str, Any]:
    """Requires `{{window}}` in a query; without it every tier would read the same number."""
    sentence = f"{field} must contain {{{{window}}}} where its range goes, for example increase(requests_total[{{{{window}}}}])"
    return rules(("self.contains('{{window}}')", sentence))


def longer_than_zero(field: str) -> dict[str, Any]:
    """Requires a duration above 0s, for windows over which events are counted."""
    return rules(("self.matches('[1-9]')", f"{field} must be longer than 0s, for example 1m"))


def milliseconds(field: str) -> str:
    """Returns the CEL expression for a Prometheus-style duration in ms; CEL's duration() does not know `d` and `w`."""
    factors = "p.endsWith('ms') ? 1 : p.endsWith('s') ? 1000 : p.endsWith('m') ? 60000 : p.endsWith('h') ? 3600000"
    factor = f"({factors} : p.endsWith('d') ? 86400000 : 604800000)"
    return f"{field}.findAll('[0-9]+[a-z]+').map(p, int(p.find('[0-9]+')) * {factor}).sum()"


def map_list(*keys: str) -> dict[str, Any]:
    """Marks a list as a map by these fields: keys are unique, and server-side apply merges item by item."""
    return {LIST_TYPE: "map", LIST_KEYS: list(keys)}


def set_list() -> dict[str, Any]:
    """Marks a list as a set of distinct scalars."""
    return {LIST_TYPE: "set"}


def no_default(schema: dict[str, Any]) -> None:
    """Removes the default from the schema, so that a CEL rule sees whether a person set the field."""
    schema.pop("default", None)


def free_form(schema: dict[str, Any]) -> None:
    """Lets any content stand in an object: the API server keeps what it does not know."""
    schema.pop("additionalProperties", None)
    schema["type"], schema[FREE_FORM] = "object", True
