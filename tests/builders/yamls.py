"""YAML for tests, read by libyaml where PyYAML was built with it: the same documents in a tenth of the time.

What the product reads is read by the product's own loader.
"""

from collections.abc import Iterator
from typing import IO, Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str | IO[str]) -> Any:
    """The one document."""
    return yaml.load(text, _LOADER)


def load_all(text: str | IO[str]) -> Iterator[Any]:
    """Each document."""
    yield from yaml.load_all(text, _LOADER)
