"""Generator of structural CustomResourceDefinitions from the models.

Three steps: pydantic writes a JSON schema (nullable unions collapsed, defaults in the API's spelling), every `$ref` is
inlined, and keywords that Kubernetes' OpenAPI dialect spells differently (const, exclusive bounds) are rewritten.
Defaults are kept in spec, where they show the effective value; status is written whole by one reconciler and has none.
A field or list is described by its own description; its type's docstring counts only for a field that has none.
"""

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from opsloop.api.kinds import ALL, Column, Kind
from opsloop.api.meta import API_VERSION, GROUP, VERSION, Model, format_duration
from opsloop.api.schema import FREE_FORM, LIST_KEYS, LIST_TYPE, RULES, SAYS, matches

Schema = dict[str, Any]

_COPIED = (
    "type", "format", "description", "default", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties", "required", LIST_TYPE, LIST_KEYS, FREE_FORM, RULES,
)  # fmt: skip


class _Generator(GenerateJsonSchema):
    """pydantic's JSON schema with optional instead of nullable fields and with defaults in the API's spelling."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Generates T for `T | None`: an absent field replaces null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Adds the default unless it is empty."""
        inner = self.generate_inner(schema["schema"])
        default = _default(schema)
        return inner if default in (None, "", [], ()) else {**inner, "default": default}


def _default(schema: core_schema.WithDefaultSchema) -> Any:
    factory: Any = schema.get("default_factory")
    value = factory() if factory else schema.get("default")
    return None if value == {} else _plain(value)


def _plain(value: Any) -> Any:
    """Returns a default as YAML data: an object without its own defaults, a duration as a string."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Model):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def structural(node: Schema, defs: Schema, defaults: bool = True) -> Schema:
    """Converts one node of the JSON schema into a node of a structural schema."""
    node = _inlined(node, defs)
    out: Schema = {key: node[key] for key in _COPIED if key in node}
    if SAYS in node:
        out[RULES] = [{"rule": matches(node["pattern"]), "message": node[SAYS]}, *node.get(RULES, ())]
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
        if "description" in out:
            out["items"].pop("description", None)  # `kubectl explain` prints the list's and the item's
    return out


def _inlined(node: Schema, defs: Schema) -> Schema:
    """Replaces a `$ref` by its target; the field's own keywords take precedence, and the rules of both apply."""
    if "$ref" not in node:
        return node
    target = _inlined(defs[node["$ref"].removeprefix("#/$defs/")], defs)
    merged = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    all_rules = [*target.get(RULES, ()), *node.get(RULES, ())]
    return {**merged, RULES: all_rules} if all_rules else merged


def object_schema(kind: Kind) -> Schema:
    """Returns the openAPIV3Schema of a kind; the API server knows metadata."""
    schema = kind.model.model_json_schema(by_alias=True, schema_generator=_Generator)
    defs, properties = schema.get("$defs", {}), schema["properties"]
    status = {"status": structural(properties["status"], defs, defaults=False)} if "status" in properties else {}
    return {
        "type": "object",
        "description": kind.sentence,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"API version of the object: {API_VERSION}."},
            "kind": {"type": "string", "description": f"Kind of the object: {kind.name}."},
            "metadata": {"type": "object"},
            "spec": structural(properties["spec"], defs),
            **status,
        },
        **({RULES: kind.object_rules} if kind.object_rules else {}),
    }


def crd(kind: Kind) -> Schema:
    """Returns the CustomResourceDefinition of a kind."""
    singular, schema = kind.name.lower(), object_schema(kind)
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
                **({"shortNames": [kind.short]} if kind.short else {}),
                "categories": ["opsloop"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    **({"subresources": {"status": {}}} if "status" in schema["properties"] else {}),
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _column(column: Column) -> Schema:
    out: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description}
    return {**out, "priority": 1} if column.wide else out


def crds() -> dict[str, Schema]:
    """Returns the CustomResourceDefinitions of all kinds, by file name."""
    return {f"{GROUP}_{kind.plural}.yaml": crd(kind) for kind in ALL}
