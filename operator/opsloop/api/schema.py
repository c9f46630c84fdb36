"""Additions to a model's schema beyond types and bounds: CEL rules, list types, omitted defaults.

Each function returns a value for pydantic's `json_schema_extra`; `api.crd` copies it into the structural schema.
CEL in a CRD sees one object and its previous version, so a rule about other objects is a status condition instead.
"""

import json
from typing import Any

RULES = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
FREE_FORM = "x-kubernetes-preserve-unknown-fields"
SAYS = "x-opsloop-says"  # not in the CRD: what is right where the field's pattern does not match


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Builds CEL rules from (expression, message) pairs; a message names the field and a valid value."""
    return {RULES: [{"rule": expression, "message": message} for expression, message in pairs]}


def all_rules(*schemas: dict[str, Any]) -> dict[str, Any]:
    """Joins additions that have rules and nothing else."""
    return {RULES: [rule for schema in schemas for rule in schema[RULES]]}


def says(sentence: str, pattern: str = "") -> dict[str, Any]:
    """The sentence for a text that does not match the field's pattern: the server's own message shows the pattern alone.

    `pattern`: for the CRD only. The model goes on reading what an earlier CRD let in.
    """
    return {SAYS: sentence} | ({"pattern": pattern} if pattern else {})


def matches(pattern: str, of: str = "self") -> str:
    """Returns the CEL expression for "this text matches"; RE2 syntax."""
    return f"{of}.matches({json.dumps(pattern)})"


# Pieces of regular expressions over PromQL: a character outside of quotes or a whole quoted string, and what may stand
# before the function by whose name a unit is told.
_PIECE = r"""([^"'`]|"([^"\\]|\\.)*"|'([^'\\]|\\.)*'|`[^`]*`)*"""
_BEFORE = r"[\s(]*((sum|avg|min|max)\s*((by|without)\s*\([^)]*\)\s*)?\([\s(]*)?"
_SCALED = matches(f"^{_PIECE}[*]")  # a rate times the window is a count: Prometheus and the reading have the last word


def counts_events(field: str) -> dict[str, Any]:
    """Requires that a query counts the events of `{{window}}`, as far as its text surely shows (`core.slo.promql.problem`)."""
    window, call = r"\{\{window\}\}", r"(increase|rate|irate)\s*\("
    per_second = matches(f"^{_BEFORE}(rate|irate|deriv)\\s*\\(")
    divided = matches(f"^{_PIECE}[/]")
    ratio = matches(rf"^{_BEFORE}{call}{_PIECE}[/]\s*((on|ignoring)\s*\([^)]*\)\s*)?{_BEFORE}{call}")
    return rules(
        (
            "self.contains('{{window}}')",
            f"{field} must contain {{{{window}}}} where its range goes, for example increase(requests_total[{{{{window}}}}])",
        ),
        (
            f"!{per_second} || {_SCALED} || {divided}",
            f"{field} must be a number of events, not events per second: write increase(…[{{{{window}}}}]) instead of rate()",
        ),
        (
            f"!{ratio} || {_SCALED}",
            f"{field} must be a number of events, not a ratio: write what stands before the division, for example"
            " sum(increase(errors_total[{{window}}])), and what stands after it as total",
        ),
        (
            "!" + matches(f"^{_PIECE}[a-zA-Z0-9_]{window}"),
            f"{field} must count over [{{{{window}}}}] and not have it in a series' name: recorded series exist for some windows only",
        ),
    )


def longer_than_zero(field: str) -> dict[str, Any]:
    """Requires a duration above 0s, for windows over which events are counted."""
    return rules(("self.matches('[1-9]')", f"{field} must be longer than 0s, for example 1m"))


def milliseconds(field: str) -> str:
    """Returns the CEL expression for a Prometheus-style duration in ms; CEL's duration() does not know `d` and `w`."""
    factors = "p.endsWith('ms') ? 1 : p.endsWith('s') ? 1000 : p.endsWith('m') ? 60000 : p.endsWith('h') ? 3600000"
    factor = f"({factors} : p.endsWith('d') ? 86400000 : 604800000)"
    return f"{field}.findAll('[0-9]+[a-z]+').map(p, int(p.find('[0-9]+')) * {factor}).sum()"


def required_without(flag: str, *fields: str) -> dict[str, Any]:
    """Requires these fields of an object where its boolean `flag` is not true, and forbids them where it is; `one|other`: either."""
    flagged, found = f"has(self.{flag}) && self.{flag}", []
    for either in (field.split("|") for field in fields):
        said = (
            f"{' or '.join(either)} is required" if len(either) == 1 else f"{' or '.join(either)} (or both) is required"
        )
        found.append(
            {
                "rule": f"{' || '.join(f'has(self.{name})' for name in either)} || ({flagged})",
                "message": f"{said}, except with {flag}: true",
                "reason": "FieldValueRequired",
                "fieldPath": f".{either[0]}",
            }
        )
    names = [name for field in fields for name in field.split("|")]
    none = " && ".join(f"!has(self.{name})" for name in names)
    forbidden = {
        "rule": f"!({flagged}) || ({none})",
        "message": f"with {flag}: true leave {', '.join(names[:-1])} and {names[-1]} out: what stands on the Deployment says it",
        "reason": "FieldValueForbidden",
        "fieldPath": f".{flag}",
    }
    return {RULES: [*found, forbidden]}


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
    """Lets any content but none stand in an object: the API server keeps what it does not know."""
    schema.pop("additionalProperties", None)
    schema["type"], schema[FREE_FORM], schema["minProperties"] = "object", True, 1
