"""Topology: what a Release depends on, with the number of hops."""

import pytest

from opsloop.core.topology import Topology
from tests.builders.objects import release, view


@pytest.mark.parametrize(
    ("needs", "reach"),
    [
        pytest.param({"a": ("b",), "b": ("c",), "c": ()}, {"b": 1, "c": 2}, id="a chain"),
        pytest.param({"a": ("b",), "b": ("a",)}, {"b": 1}, id="a cycle ends"),
        pytest.param({"a": ("b", "c"), "b": ("c",), "c": ()}, {"b": 1, "c": 1}, id="the shortest way counts"),
        pytest.param({"a": ("gone",)}, {"gone": 1}, id="a Release that does not exist is named all the same"),
        pytest.param({"a": ("a",)}, {}, id="itself"),
    ],
)
def test_dependencies(needs: dict[str, tuple[str, ...]], reach: dict[str, int]) -> None:
    topology = Topology([view(release(name, dependsOn=list(on))) for name, on in needs.items()])
    assert topology.dependencies("a") == reach
