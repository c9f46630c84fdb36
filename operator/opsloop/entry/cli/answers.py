"""Waits for what the operator says to a command, and says why there is no answer where there is none."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from opsloop.api.records import Command, CommandName
from opsloop.api.release import Release
from opsloop.api.target import Target
from opsloop.core import conditions
from opsloop.core.release.restart import RESTARTING
from opsloop.core.release.target import LONGEST_RETRY
from opsloop.errors import NotFound, Unavailable
from opsloop.shell.ports import RELEASES, Reader

__all__ = ["LONGEST_RETRY", "REFUSED", "CommandName", "answer", "observed", "retried"]

POLL = 0.3  # seconds between two looks
REFUSED = 1  # exit code: the operator took the order up, and the target is not on its way
# Conditions that say why the operator does nothing for a Release, and the status that says so
HINDERED = (("Stopped", "True"), ("Frozen", "True"), ("WorkloadMissing", "True"), ("SpecResolved", "False"))
T = TypeVar("T")


async def answer(reader: Reader, where: tuple[str, str], name: CommandName, value: str, patience: float) -> Command:
    """The record of this very command, once it is final. Unavailable after `patience` seconds."""

    def given(release: Release) -> Command | None:
        found = next((c for c in release.status.commands if (c.name, c.value) == (name, value)), None)
        return found if found is not None and found.reason != RESTARTING else None

    return await _until(reader, where, given, patience, f"{name} is stored")


async def retried(reader: Reader, release: Release, value: str, patience: float) -> Target:
    """The target that answers this retry."""

    def given(seen: Release) -> Target | None:
        target = seen.status.target
        return target if target is not None and target.retry == value else None

    return await _until(reader, release.key, given, patience, "the retry is stored")


async def observed(reader: Reader, release: Release, generation: int, patience: float) -> Release:
    """The Release once its status is of this generation."""

    def given(seen: Release) -> Release | None:
        return seen if seen.status.observed_generation >= generation else None

    return await _until(reader, release.key, given, patience, "the spec is stored")


async def _until(
    reader: Reader, where: tuple[str, str], given: Callable[[Release], T | None], patience: float, stored: str
) -> T:
    ends = time.monotonic() + patience
    while True:
        try:
            release = Release.model_validate(await reader.get(RELEASES, *where))
        except NotFound:
            raise NotFound(f"Release {where[1]} was deleted before it was answered") from None
        if (found := given(release)) is not None:
            return found
        if time.monotonic() >= ends:
            raise Unavailable(f"{stored}, and opsloop has not answered within {patience:g} s{_why(release)}")
        await asyncio.sleep(POLL)


def _why(release: Release) -> str:
    """What keeps it from answering, as far as the Release says."""
    for type_, status in HINDERED:
        condition = conditions.get(release.status.conditions, type_)
        if condition is not None and condition.status == status:
            return f": {condition.reason}, {condition.message}"
    return ": does it run, in a version that knows this command? kubectl get pods -A -l app.kubernetes.io/name=opsloop"
