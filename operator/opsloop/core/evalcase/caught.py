"""Versions that a case kept from users, as its Release's history tells of them."""

from typing import Any

from opsloop.api.evalcase import EvalCase
from opsloop.api.history import MOST_CAUGHT, Caught, HistoryEntry
from opsloop.api.release import Release


def caught(case: EvalCase, release: Release | None) -> dict[str, Any]:
    """Changes of the status where the Release's history holds versions that were rejected for this case. They stay when it is edited."""
    if release is None:
        return {}
    known = case.status.caught
    oldest = known[0].at if len(known) == MOST_CAUGHT else None  # what was dropped before does not come back
    noted = {(one.release, one.digest, one.at) for one in known}
    new = [
        _of(case, release, entry)
        for entry in release.status.history
        if case.metadata.name in entry.cases
        and (release.metadata.name, entry.digest, entry.at) not in noted
        and (oldest is None or entry.at > oldest)
    ]
    return {"caught": sorted([*known, *new], key=lambda one: one.at)[-MOST_CAUGHT:]} if new else {}


def _of(case: EvalCase, release: Release, entry: HistoryEntry) -> Caught:
    target = release.status.target
    results = (
        target.evals if target is not None and (target.digest, target.ended_at) == (entry.digest, entry.at) else []
    )
    return Caught(
        release=release.metadata.name,
        version=entry.version,
        digest=entry.digest,
        at=entry.at,
        dark=entry.served_since is None,
        message=next((r.message[:512] for r in results if r.case == case.metadata.name), ""),
    )
