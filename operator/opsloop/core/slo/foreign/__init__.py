"""SLOs as other tools write them: Sloth, OpenSLO and Pyrra, read into `spec.slo` of a Release, with what could not be taken over."""

from collections.abc import Iterable, Mapping
from typing import Any

from opsloop.core.slo.foreign import openslo, pyrra, sloth
from opsloop.core.slo.foreign.fragments import Foreign, Fragment, joined
from opsloop.errors import Invalid

KNOWN = "Sloth (version prometheus/v1, sloth.slok.dev/v1), OpenSLO (openslo/v1, openslo/v1alpha), Pyrra (pyrra.dev/v1alpha1)"


def imported(documents: Iterable[Any]) -> list[Fragment]:
    """Spec fragments, one for each service and period. Raises Invalid where a document is of no known format."""
    found: list[Foreign] = []
    whole = [document for document in documents if document is not None]
    indicators = openslo.indicators(whole)
    for number, document in enumerate(whole, 1):
        found += _of(document, indicators, number)
    return joined(found)


def _of(document: Any, indicators: Mapping[str, Any], number: int) -> list[Foreign]:
    if not isinstance(document, dict):
        raise Invalid(f"document {number} is no mapping; known are {KNOWN}")
    version = str(document.get("apiVersion") or document.get("version") or "")
    try:
        if version == "prometheus/v1" or version.startswith("sloth.slok.dev/"):
            return sloth.read(document)
        if version.startswith("openslo/"):
            return openslo.read(document, indicators)
        if version.startswith("pyrra.dev/"):
            return pyrra.read(document)
        if document.get("kind") == "List":
            return [one for item in document.get("items") or () for one in _of(item, indicators, number)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Invalid(f"document {number} ({version}): a field is missing or of another type: {error}") from error
    raise Invalid(f"document {number} has apiVersion {version!r}; known are {KNOWN}")
