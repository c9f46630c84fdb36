"""What keeps a selector from matching, in words."""

import pytest

from opsloop.api.slo import Sli
from opsloop.core.slo import parts
from opsloop.core.slo.pods import Labels, Scope

SCOPE = Scope("shop", "answers", Labels("pod", "namespace"))


def test_selectors_of_bad_and_of_all_events() -> None:
    sli = Sli.model_validate({"requests": {"counter": "c", "bad": 'code="500"', "selector": 'route!="/h"'}})
    bad, total = parts.selectors_of(sli, SCOPE)
    assert bad.field.endswith("requests.bad") and 'code="500"' in bad.text
    assert total.field.endswith("requests.counter") and "code" not in total.text


@pytest.mark.parametrize(
    ("selector", "metric", "found", "expected"),
    [
        pytest.param('c{code="500"}', 0.0, {}, "no series c:", id="the metric is not there"),
        pytest.param(
            'c{status="500"}', 4.0, {'status="500"': (4.0, [""])}, 'without status="500" it matches 4 series; the series have no such label',
            id="the label is not there",
        ),
        pytest.param(
            'c{code="5xx"}', 4.0, {'code="5xx"': (4.0, ["200", "500"])}, "there: '200', '500'", id="the value is another one",
        ),
        pytest.param('c{a="1",b="2"}', 4.0, {'a="1"': (0.0, []), 'b="2"': (0.0, [])}, "several do together", id="two keep it"),
        pytest.param("sum(c)", 4.0, {}, "cannot take it apart", id="no plain selector"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_to_mend(
    selector: str, metric: float, found: dict[str, tuple[float, list[str]]], expected: str
) -> None:
    assert expected in parts.sentence(selector, metric, found)


def test_each_matcher_is_left_out_in_turn() -> None:
    asked = parts.without('c{a="1",b=~"2.*"}')
    assert asked == {
        'a="1"': ('count(c{b=~"2.*"})', 'count by (a) (c{b=~"2.*"})'),
        'b=~"2.*"': ('count(c{a="1"})', 'count by (b) (c{a="1"})'),
    }
