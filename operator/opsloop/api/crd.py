"""Models to structural CustomResourceDefinitions.

Three steps: pydantic writes a JSON schema (with nullable unions collapsed and defaults in our own spelling), every
`$ref` is put in place, and what Kubernetes' OpenAPI dialect says differently (const, exclusive bounds) is rewritten.
Defaults are kept in spec, where the API server's answer shows a person what applies; status is written whole by one
reconciler and has none.
"""

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from opsloop.api.kinds import KINDS, Column, Kind
from opsloop.api.meta import API_VERSION, GROUP, VERSION, Model, format_duration
from opsloop.api.schema import LIST_KEYS, LIST_TYPE, RULES

Schema = dict[str, Any]

_COPIED = (
    "type", "format", "description", "default", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties", "required", LIST_TYPE, LIST_KEYS, RULES,
)  # fmt: skip


class _Generator(GenerateJsonSchema):
    """pydantic's JSON schema, with absent instead of null and with defaults as our API spells them."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """`T | None` is T: absent says what null would."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Adds the default where it says more than "absent"."""
        inner = self.generate_inner(schema["schema"])
        default = _default(schema)
        return inner if default in (None, "", [], ()) else {**inner, "default": default}


def _default(schema: core_schema.WithDefaultSchema) -> Any:
    factory: Any = schema.get("default_factory")
    value = factory() if factory else schema.get("default")
    return None if value == {} else _plain(value)


def _plain(value: Any) -> Any:
    """A default as YAML: objects say only what differs from their own defaults, durations are strings."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Model):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def structural(node: Schema, defs: Schema, defaults: bool = True) -> Schema:
    """One node of the JSON schema as a node of a structural schema."""
    node = _inlined(node, defs)
    out: Schema = {key: node[key] for key in _COPIED if key in node}
    if not defaults:
        out.pop("default", None)
    if "const" in node:
        out["enum"] = [node["const"]]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in node:
            out[bound], out[exclusive] = node[exclusive], True
    if "description" in out:
        out["description"] = " ".join(out["description"].split())
    if "properties" in node:
        out["properties"] = {name: structural(sub, defs, defaults) for name, sub in node["properties"].items()}
    elif isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = structural(node["additionalProperties"], defs, defaults)
    if "items" in node:
        out["items"] = structural(node["items"], defs, defaults)
    return out


def _inlined(node: Schema, defs: Schema) -> Schema:
    """A `$ref` with what it refers to: the field's words first, then the type's; the rules of both."""
    if "$ref" not in node:
        return node
    target = _inlined(defs[node["$ref"].removeprefix("#/$defs/")], defs)
    merged = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    words = dict.fromkeys(text for text in (node.get("description"), target.get("description")) if text)
    merged["description"] = " ".join(words)
    found = [*target.get(RULES, ()), *node.get(RULES, ())]
    return {**merged, RULES: found} if found else merged


def object_schema(kind: Kind) -> Schema:
    """openAPIV3Schema of a kind; metadata is left to the API server."""
    schema = kind.model.model_json_schema(by_alias=True, schema_generator=_Generator)
    defs, properties = schema.get("$defs", {}), schema["properties"]
    found = kind.object_rules
    return {
        "type": "object",
        "description": kind.sentence,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Version of this object's schema: {API_VERSION}."},
            "kind": {"type": "string", "description": f"Kind of this object: {kind.name}."},
            "metadata": {"type": "object"},
            "spec": structural(properties["spec"], defs),
            "status": structural(properties["status"], defs, defaults=False),
        },
        **({RULES: found} if found else {}),
    }


def crd(kind: Kind) -> Schema:
    """The whole CustomResourceDefinition of a kind."""
    singular = kind.name.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "opsloop"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": singular,
                "shortNames": [kind.short],
                "categories": ["opsloop"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": object_schema(kind)},
                }
            ],
        },
    }


def _column(column: Column) -> Schema:
    out: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description}
    return {**out, "priority": 1} if column.wide else out


def crds() -> dict[str, Schema]:
    """All four by file name."""
    return {f"{GROUP}_{kind.plural}.yaml": crd(kind) for kind in KINDS}
