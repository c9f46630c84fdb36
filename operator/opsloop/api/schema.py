"""What a model adds to its CRD beyond types and bounds: CEL rules, list types, defaults that are left out.

Each function makes a value for pydantic's `json_schema_extra`; `api.crd` carries it into the structural schema.
CEL in a CRD sees one object (and its old self), so what needs other objects is a condition in status instead.
"""

from typing import Any

RULES = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """CEL rules as (expression, sentence) pairs; the sentence names the field and says what would be right."""
    return {RULES: [{"rule": expression, "message": message} for expression, message in pairs]}


def contains_window(field: str) -> dict[str, Any]:
    """A query has to say over which window it counts, else every tier would read the same number."""
    sentence = f"{field} must contain {{{{window}}}} where its range goes, for example increase(requests_total[{{{{window}}}}])"
    return rules(("self.contains('{{window}}')", sentence))


def longer_than_zero(field: str) -> dict[str, Any]:
    """For windows: 0s is a duration, but not one over which anything can be counted."""
    return rules(("self.matches('[1-9]')", f"{field} must be longer than 0s, for example 1m"))


def milliseconds(field: str) -> str:
    """CEL: the length of a Prometheus-style duration. CEL's own duration() does not know `d` and `w`."""
    factors = "p.endsWith('ms') ? 1 : p.endsWith('s') ? 1000 : p.endsWith('m') ? 60000 : p.endsWith('h') ? 3600000"
    factor = f"({factors} : p.endsWith('d') ? 86400000 : 604800000)"
    return f"{field}.findAll('[0-9]+[a-z]+').map(p, int(p.find('[0-9]+')) * {factor}).sum()"


def map_list(*keys: str) -> dict[str, Any]:
    """A list whose items are told apart by these fields: unique, and merged item by item by server-side apply."""
    return {LIST_TYPE: "map", LIST_KEYS: list(keys)}


def set_list() -> dict[str, Any]:
    """A list of different scalars, in no order."""
    return {LIST_TYPE: "set"}


def no_default(schema: dict[str, Any]) -> None:
    """The API server must not fill this field in, so that a rule can see whether a person wrote it."""
    schema.pop("default", None)
