"""A sample of `python -m tests.poison`."""

import pytest
from aiohttp import web

from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders.correlation import NOW
from tests.poison.run import bodies, objects
from tests.poison.schema import by_schema, intake


@pytest.mark.parametrize("seed", [1, 2])
async def test_wrong_bodies_harm_nobody(seed: int) -> None:
    outcome = await bodies(150, seed)
    assert outcome.wrong == [] and outcome.answers[202] and outcome.answers[400]


@pytest.mark.parametrize("seed", [1, 2])
async def test_wrong_objects_stop_no_namespace(seed: int) -> None:
    assert (await objects(100, seed)).wrong == []


async def test_what_the_document_describes_is_answered_as_it_says() -> None:
    report = await by_schema(intake(FakeCluster(clock=FakeClock(NOW))), 5, 1, "fuzzing")
    assert not report.failed, report.printed


async def test_schemathesis_finds_an_answer_that_the_document_does_not_know() -> None:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", _teapot)
    report = await by_schema(app, 1, 1, "fuzzing")
    assert report.failed and "418" in report.printed


async def _teapot(_request: web.Request) -> web.Response:
    return web.json_response({"stored": 0}, status=418)
