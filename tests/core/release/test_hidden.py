"""Labels that a canary behind an HTTPRoute does not get."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.facts import Beside, Budget, CanaryFacts
from opsloop.core.release.hidden import hidden_labels, is_counted, missing_labels
from opsloop.core.selectors import selects
from tests.builders.rollouts import facts


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


@pytest.mark.parametrize(
    ("budgets", "scaler", "counted"),
    [
        pytest.param((), "", False, id="nothing counts pods"),
        pytest.param((Budget("b", max_unavailable=1),), "", True, id="a budget by what may be missing"),
        pytest.param((Budget("b", "50%"),), "", True, id="a budget in percent"),
        pytest.param((Budget("b", 2),), "", False, id="a budget with a number, which a dark pod changes nothing of"),
        pytest.param((), "kube-controller-manager", True, id="an autoscaler"),
    ],
)
def test_whether_something_counts_dark_pods(budgets: tuple[Budget, ...], scaler: str, counted: bool) -> None:
    found = facts(beside=Beside(budgets=budgets))
    assert found.workload is not None
    assert is_counted(found, replace(found.workload, scaler=scaler)) == counted


def test_what_pods_start_without_comes_with_the_traffic() -> None:
    template = {"metadata": {"labels": {"app": "a", "tier": "web"}}}
    assert missing_labels(CanaryFacts("d", 1, labels={"tier": "web", "opsloop.dev/canary": "a"}), template) == {
        "app": "a"
    }
    assert missing_labels(CanaryFacts("d", 1, labels={"app": "a", "tier": "web"}), template) == {}
    assert missing_labels(None, template) == missing_labels(CanaryFacts("d", 1, labels={"x": "y"}), None) == {}


keys = st.sampled_from("abcd")


@given(
    st.dictionaries(keys, st.just("1"), max_size=4),
    st.lists(st.dictionaries(keys, st.just("1"), min_size=1, max_size=3)),
)
def test_no_selector_of_labels_fits_what_is_left(labels: dict[str, str], selectors: list[dict[str, str]]) -> None:
    hidden = hidden_labels(labels, [plain(**one) for one in selectors])
    left = {key: value for key, value in labels.items() if key not in hidden}
    assert not any(selects(plain(**one), left) for one in selectors)
