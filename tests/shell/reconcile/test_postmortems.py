"""A postmortem is stored with the SLI over the harm, which is read until it is whole, and people's edits are never written over."""

from datetime import datetime
from typing import Any

import pytest

from opsloop.core.actions import StorePostmortem
from opsloop.core.postmortem import stored
from opsloop.core.postmortem.curve import Curve
from opsloop.errors import Conflict
from opsloop.shell.ports import CONFIGMAPS
from opsloop.shell.reconcile import postmortems
from tests.builders.objects import incident
from tests.builders.postmortems import Episode, closed_loop
from tests.core.postmortem.test_svg import curve
from tests.fakes.runtime import Bench, bench
from tests.sim.shop import NS

NAME = "answers-1-postmortem"


class World:
    """A bench whose Prometheus answers with `answer`."""

    def __init__(self) -> None:
        spec = incident().spec.dump()
        self.on: Bench = bench({"kind": "Incident", "metadata": {"name": "answers-1", "namespace": NS}, "spec": spec})
        self.answer: Curve | None = None
        self.asked: list[tuple[datetime, datetime]] = []
        self.on.runtime.curve = self._curve

    async def _curve(self, release: Any, slo: str, span: tuple[datetime, datetime]) -> Curve | None:
        self.asked.append(span)
        return self.answer

    async def store(self, episode: Episode | None = None, digest: str = "d") -> stored.Stored:
        action = StorePostmortem(NAME, digest, *(episode or closed_loop()))
        await postmortems.store(self.on.runtime, NS, self.on.cached("Incident", "answers-1"), action)
        return self.read()

    def read(self) -> stored.Stored:
        return stored.read(self.on.cluster.find(CONFIGMAPS, NS, NAME))

    def edit(self, words: str) -> None:
        found = self.on.cluster.find(CONFIGMAPS, NS, NAME)
        assert found is not None
        found["data"]["postmortem.md"] = words
        self.on.cluster.seed(found)


async def test_the_curve_is_stored_with_it_and_not_read_again_once_it_holds_the_whole_harm() -> None:
    world = World()
    world.answer = curve(*[(2, 50)] * 200, start=-600)
    first = await world.store()
    assert first.curve == world.answer and "of what 30 d allow" in first.markdown
    world.answer = None  # its retention is over
    assert (await world.store(digest="e")).curve == first.curve and len(world.asked) == 1


async def test_it_is_read_once_more_where_the_minutes_after_the_harm_were_still_to_come() -> None:
    world = World()
    world.answer = curve(*[(2, 50)] * 168, start=-600)  # until 72 s: it was stored as the Incident was resolved
    await world.store()
    world.answer = curve(*[(2, 50)] * 200, start=-600)
    assert (await world.store(digest="e")).curve == world.answer
    await world.store(digest="f")
    assert len(world.asked) == 2, "two minutes after the end nothing more is to come"


async def test_without_an_answer_that_is_said_and_it_is_asked_for_again() -> None:
    world = World()
    assert "the SLI over this time was not read" in (await world.store()).markdown
    world.answer = curve(*[(2, 50)] * 200, start=-600)
    assert "from onset to mitigation (4 %)" in (await world.store(digest="e")).markdown
    assert len(world.asked) == 2


async def test_a_half_of_the_harm_is_replaced_and_kept_while_nothing_answers() -> None:
    world = World()
    world.answer = half = curve(*[(2, 50)] * 5)
    assert (await world.store()).curve == half
    world.answer = None
    assert (await world.store(digest="e")).curve == half


async def test_what_a_person_wrote_into_it_is_kept_beside_it() -> None:
    world = World()
    await world.store()
    world.edit("# Ours\n\nIt was the cache.\n")
    after = await world.store(digest="e")
    assert after.edits == {"edited-1.md": "# Ours\n\nIt was the cache.\n"} and "edited-1.md" in after.markdown
    assert (await world.store(digest="f")).edits == after.edits


async def test_an_edit_between_reading_and_writing_is_a_conflict_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.store()
    get = world.on.runtime.reader.get

    async def then_edited(*arguments: Any) -> Any:
        found = await get(*arguments)
        world.edit("at the same time")
        return found

    monkeypatch.setattr(world.on.runtime.reader, "get", then_edited)
    with pytest.raises(Conflict):
        await world.store(digest="e")
    assert world.read().markdown == "at the same time"


async def test_keys_that_people_add_stay() -> None:
    world = World()
    await world.store()
    found = world.on.cluster.find(CONFIGMAPS, NS, NAME)
    assert found is not None
    world.on.cluster.seed({**found, "data": {**found["data"], "our-minutes.md": "ten people"}})
    await world.store(digest="e")
    again = world.on.cluster.find(CONFIGMAPS, NS, NAME)
    assert again is not None and again["data"]["our-minutes.md"] == "ten people"
