"""Labels that a canary behind an HTTPRoute does not get."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.release.hidden import hidden_labels
from opsloop.core.selectors import selects


def plain(**labels: str) -> dict[str, Any]:
    return {"matchLabels": labels}


@pytest.mark.parametrize(
    ("labels", "selectors", "hidden"),
    [
        pytest.param({"app": "a", "tier": "web"}, [plain(app="a")], ("app",), id="the one that the Service selects by"),
        pytest.param({"app": "a", "tier": "web"}, [plain(app="a", tier="web"), plain(app="a")], ("app",), id="one is enough for both"),
        pytest.param({"app": "a", "tier": "web"}, [plain(app="a"), plain(tier="web")], ("app", "tier"), id="a budget by another label"),
        pytest.param({"app": "a", "zone": "x"}, [{"matchExpressions": [{"key": "app", "operator": "Exists"}]}], ("app",), id="an expression"),
        pytest.param({"app": "a"}, [{"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}], (), id="one that fits in any case"),
        pytest.param({"app": "a"}, [plain(app="b")], (), id="one that does not fit"),
        pytest.param({"app": "a"}, [], (), id="nothing selects it"),
    ],
)  # fmt: skip
def test_the_fewest_are_left_out(labels: dict[str, str], selectors: list[Any], hidden: tuple[str, ...]) -> None:
    assert hidden_labels(labels, selectors) == hidden


keys = st.sampled_from("abcd")


@given(
    st.dictionaries(keys, st.just("1"), max_size=4),
    st.lists(st.dictionaries(keys, st.just("1"), min_size=1, max_size=3)),
)
def test_no_selector_of_labels_fits_what_is_left(labels: dict[str, str], selectors: list[dict[str, str]]) -> None:
    hidden = hidden_labels(labels, [plain(**one) for one in selectors])
    left = {key: value for key, value in labels.items() if key not in hidden}
    assert not any(selects(plain(**one), left) for one in selectors)
