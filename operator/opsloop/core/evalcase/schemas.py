"""JSON Schemas of EvalCases, which tenants write: self-contained, and no larger when written out than when evaluated.

A reference to another address would let a tenant send opsloop there. References to references double with each step: thirty
short definitions can stand for a billion checks.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema_rs import ValidationError, validator_for

from opsloop.core.evalcase.patterns import LINEAR

MOST_BYTES = 16384  # of a schema as JSON
MOST_SUBSCHEMAS = 1000  # with each reference written out
FASTER = 100  # the validator's step against that of a JSONPath: machine code against Python
_REFERENCES = ("$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor")
_HOME = "#/$defs/"


def difference(schema: Mapping[str, Any], document: Any) -> str:
    """What in the document does not fit, with its place; "" where it fits. Raises ValueError where the schema is wrong."""
    validator = _compiled(_text(schema))
    try:
        wrong = next(iter(validator.iter_errors(document)), None)
    except (ValidationError, ValueError, RecursionError) as error:
        raise ValueError(f"the schema cannot be applied: {_first_line(error)}") from None
    if wrong is None:
        return ""
    return f"{'.'.join(['$', *map(str, wrong.instance_path)])}: {wrong.message}"


def steps(schema: Mapping[str, Any]) -> float:
    """How often each value of a reply is looked at, at most, in steps of a JSONPath. Raises ValueError."""
    return _size(schema, schema, {}) / FASTER


def check(schema: Mapping[str, Any]) -> None:
    """Raises ValueError that says what is wrong with the schema."""
    _compiled(_text(schema))


def _text(schema: Mapping[str, Any]) -> str:
    try:
        return json.dumps(schema, sort_keys=True)
    except RecursionError:
        raise ValueError("a schema with more levels than can be read") from None


@lru_cache(maxsize=256)
def _compiled(text: str) -> Any:
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"a schema of {len(text.encode())} bytes; at most {MOST_BYTES} are read")
    try:
        schema = json.loads(text)
        if _size(schema, schema, {}) > MOST_SUBSCHEMAS:
            raise ValueError(f"more than {MOST_SUBSCHEMAS} parts with each $ref written out; leave some out")
    except RecursionError:
        raise ValueError("a schema with more levels than can be read") from None
    try:
        return validator_for(schema, pattern_options=LINEAR, retriever=_nowhere)
    except (ValidationError, ValueError, RecursionError) as error:
        raise ValueError(f"no JSON Schema: {_first_line(error)}") from None


def _nowhere(uri: str) -> Any:
    raise ValueError(f"{uri} is not read")


def _size(node: Any, root: Any, sizes: dict[str, int]) -> int:
    """Number of objects and lists with each reference written out. Raises ValueError for a reference that may not be."""
    if isinstance(node, list):
        return 1 + sum(_size(item, root, sizes) for item in node)
    if not isinstance(node, dict):
        return 0
    for word in _REFERENCES:
        if word in node and isinstance(node[word], str):
            raise ValueError(f"{word} is not read; refer to {_HOME}NAME with $ref")
    size = 1 + sum(_size(value, root, sizes) for key, value in node.items() if node is not root or key != "$defs")
    reference = node.get("$ref")
    return size + (_target(reference, root, sizes) if isinstance(reference, str) else 0)


def _target(reference: str, root: Any, sizes: dict[str, int]) -> int:
    name = reference.removeprefix(_HOME)
    definitions = root.get("$defs") if isinstance(root, dict) else None
    if name == reference or "/" in name or not isinstance(definitions, dict) or name not in definitions:
        raise ValueError(f"$ref {reference!r} must name a definition of this schema, as {_HOME}NAME")
    if reference not in sizes:
        sizes[reference] = -1
        sizes[reference] = _size(definitions[name], root, sizes)
    if sizes[reference] < 0:
        raise ValueError(f"$ref {reference!r} leads back to itself; write out as many levels as are needed")
    return sizes[reference]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
