"""The ConfigMap that keeps a postmortem: its Markdown, its data with the curve, and what people wrote into it by hand.

A person's edit of the stored Markdown is never written over: it is kept beside it under a key of its own, at most MOST_EDITS
of them; after that the edited Markdown stays as it is, and only the data is kept current.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from opsloop.core.codec import MAX_OBJECT, pack, unpack
from opsloop.core.postmortem.curve import Curve
from opsloop.core.postmortem.document import Document
from opsloop.errors import Invalid
from opsloop.names import RENDERED

MARKDOWN = "postmortem.md"  # key of data
DATA = "postmortem.json.gz"  # key of binaryData
MOST_EDITS = 5
_EDIT = "edited-"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a ConfigMap holds. `edits`: key → what people had written; `pending`: an edit that has no key yet, or None."""

    version: str = ""
    markdown: str = ""
    edits: Mapping[str, str] = field(default_factory=dict)
    pending: str | None = None
    document: Document | None = None

    @property
    def curve(self) -> Curve | None:
        """The curve that was read before."""
        return self.document.curve if self.document else None


def read(configmap: Mapping[str, Any] | None) -> Stored:
    """The content of the ConfigMap; data that is not there, or that somebody broke, is none."""
    if configmap is None:
        return Stored()
    data, meta = configmap.get("data") or {}, configmap["metadata"]
    rendered, markdown = (meta.get("annotations") or {}).get(RENDERED, ""), str(data.get(MARKDOWN, ""))
    edits = {key: str(text) for key, text in sorted(data.items()) if key.startswith(_EDIT)}
    is_edited = bool(rendered) and rendered != digest(markdown) and markdown not in edits.values()
    try:
        document = Document.model_validate(unpack(configmap.get("binaryData") or {}, DATA))
    except (Invalid, ValidationError):
        document = None
    return Stored(meta.get("resourceVersion", ""), markdown, edits, markdown if is_edited else None, document)


@dataclass(frozen=True, slots=True)
class Edits:
    """What is kept of people's edits from now on; `full`: the last one has no place, so that the Markdown stays theirs."""

    kept: Mapping[str, str]
    full: bool = False


def kept(before: Stored) -> Edits:
    """The edits with the pending one under the next key, where there is place for it."""
    if before.pending is None:
        return Edits(before.edits)
    key = f"{_EDIT}{1 + max((_number(k) for k in before.edits), default=0)}.md"
    every = {**before.edits, key: before.pending}
    size = sum(len(text.encode()) for text in every.values())
    full = len(every) > MOST_EDITS or size > MAX_OBJECT // 2
    return Edits(before.edits, full=True) if full else Edits(every)


def contents(before: Stored, edits: Edits, document: Document, markdown: str) -> dict[str, Any]:
    """Data, binaryData and annotation of the ConfigMap. Where data and Markdown do not fit together, the data goes without its curve."""
    own = before.markdown if edits.full else markdown
    packed = pack(document.model_dump(mode="json"))
    size = len(own.encode()) + sum(len(text.encode()) for text in edits.kept.values())
    if size + len(packed) > MAX_OBJECT:
        packed = pack(document.model_copy(update={"curve": None}).model_dump(mode="json"))
    return {
        "data": {MARKDOWN: own, **edits.kept},
        "binaryData": {DATA: packed} if size + len(packed) <= MAX_OBJECT else {},
        "annotations": {RENDERED: digest(markdown)},
    }


def digest(markdown: str) -> str:
    """16 hex digits over what opsloop rendered."""
    return hashlib.sha256(markdown.encode()).hexdigest()[:16]


def _number(key: str) -> int:
    digits = key.removeprefix(_EDIT).removesuffix(".md")
    return int(digits) if digits.isdigit() else 0
