"""A sample of `python -m tests.poison`."""

import pytest

from tests.poison.run import bodies, objects


@pytest.mark.parametrize("seed", [1, 2])
async def test_wrong_bodies_harm_nobody(seed: int) -> None:
    outcome = await bodies(150, seed)
    assert outcome.wrong == [] and outcome.answers[202] and outcome.answers[400]


@pytest.mark.parametrize("seed", [1, 2])
async def test_wrong_objects_stop_no_namespace(seed: int) -> None:
    assert (await objects(100, seed)).wrong == []
