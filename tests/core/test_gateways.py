"""What Gateways say that they can do: what is not said is not used."""

from collections.abc import Mapping

import pytest

from opsloop.core.gateways import METHODS, MIRROR, PERCENT, lacking

ALL = frozenset({METHODS, MIRROR, PERCENT, "HTTPRouteTimeouts"})


@pytest.mark.parametrize(
    ("features", "said"),
    [
        pytest.param({"edge": ALL}, "", id="it lists them"),
        pytest.param({"edge": ALL, "inner": ALL - {PERCENT}}, "Gateway inner does not list HTTPRouteRequestPercentageMirror", id="one of two lacks one"),
        pytest.param({"edge": None}, "may not read Gateway edge", id="it cannot be read"),
        pytest.param({"edge": frozenset()}, "does not list HTTPRouteMethodMatching, HTTPRouteRequestMirror", id="it lists nothing"),
        pytest.param({}, "no Gateway", id="there is none"),
    ],
)  # fmt: skip
def test_what_is_lacking(features: Mapping[str, frozenset[str] | None], said: str) -> None:
    found = lacking(features, {MIRROR, METHODS, PERCENT})
    assert said in found and bool(found) == bool(said)
