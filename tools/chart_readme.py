"""README of the chart: what it is, and a row for each value, from values.yaml (defaults) and values.schema.json (meaning)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
HEAD = """# opsloop

A Kubernetes operator that takes an incident from its alerts to a verified fix. This chart installs it: one Deployment without
webhook and certificates, its rights, its admission policies and its CRDs.

```sh
helm upgrade --install opsloop charts/opsloop --namespace opsloop-system --create-namespace \\
  --set image.repository=REGISTRY/opsloop --set image.tag=TAG \\
  --set prometheus.url=http://prometheus.monitoring.svc:9090 --set prometheus.resolution=15s --wait
helm test opsloop --namespace opsloop-system
```
[Install](../../docs/install.md) says what each right is for, how Alertmanager and people get access, and how to upgrade and remove;
[notifications](../../docs/notifications.md) who is told of what.

## Values
`values.schema.json` refuses what is misspelt or of another form, and names it.

| value | default | meaning |
|---|---|---|
"""


def page(chart: Path) -> str:
    """The page. KeyError names a value that the schema does not describe."""
    values = yaml.safe_load((chart / "values.yaml").read_text())
    schema = json.loads((chart / "values.schema.json").read_text())
    rows = (f"| `{path}` | `{default}` | {meaning} |" for path, default, meaning in _rows(values, schema, schema, ()))
    return HEAD + "\n".join(rows) + "\n"


def _rows(values: Json, schema: Json, whole: Json, path: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """(path, default as JSON, meaning) of each value that is no table of others."""
    for name, default in values.items():
        told = _resolved(schema["properties"][name], whole)
        here = (*path, name)
        if isinstance(default, dict) and default and "properties" in told:
            yield from _rows(default, told, whole, here)
        else:
            yield ".".join(here), _cell(json.dumps(default)), _cell(told["description"])


def _resolved(schema: Json, whole: Json) -> Json:
    """The schema, completed by the definition that it refers to."""
    name = schema.get("$ref", "").removeprefix("#/definitions/")
    return {**whole["definitions"][name], **schema} if name else schema


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
