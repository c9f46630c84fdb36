"""Revisions that nothing may be rolled back across, for example after a schema migration: an annotation says so."""

from collections.abc import Mapping
from typing import Any

from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import ReleaseBuilder, revisions
from opsloop.core.release.asked import answers
from opsloop.core.release.asked import asked as wanted
from opsloop.names import ROLLBACK_SAFE


def mark(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Notes on live and on the revision that the spec asks for whether a rollback may leave them behind.

    The pod template says it of its own revision. The Release says it of the one that it asks for, which keeps it when the
    Release goes on to the next one.
    """
    facts, status = builder.facts, builder.status
    target = status.target
    asked = target.digest if target is not None and answers(target, wanted(facts, status)) else ""
    by_release = _unsafe(facts.release.metadata.annotations)
    for digest in dict.fromkeys((status.live, asked)):
        revision = revisions.find(builder.status.revisions, digest)
        template = workload.template if digest == workload.digest else facts.templates.get(digest)
        if revision is None or template is None:
            continue
        by_template = _unsafe((template.get("metadata") or {}).get("annotations") or {})
        unsafe = by_template or (by_release if digest == asked else revision.rollback_unsafe)
        if unsafe != revision.rollback_unsafe:
            marked = revision.model_copy(update={"rollback_unsafe": unsafe})
            builder.set(revisions=revisions.put(builder.status.revisions, marked))


def _unsafe(annotations: Mapping[str, Any]) -> bool:
    return str(annotations.get(ROLLBACK_SAFE, "")).strip().lower() == "false"
