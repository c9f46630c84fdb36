"""Have bad events vanished from a living process?"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from opsloop.api.slo import Requests, Sli
from opsloop.core.slo import vanished
from opsloop.core.slo.pods import Labels, Scope

MINUTE, SCRAPE = timedelta(minutes=1), timedelta(seconds=15)
NINE = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SCOPE = Scope("shop", "web", addresses=("10.0.0.7",))
A, B, OTHER = ({"pod": f"web-7d9f8c6b5d-{name}"} for name in ("aaaaa", "bbbbb", "ccccc"))
EXPORTER = {"pod": "statsd-5f6b9c8d7-zzzzz", "instance": "10.0.0.99:9102"}
BY_ADDRESS = {"instance": "10.0.0.7:8080"}
RAW = Sli(bad="sum(increase(errors_total[{{window}}]))", total="sum(increase(requests_total[{{window}}]))")


def answer(**processes: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{**one, "opsloop": kind} for kind, found in processes.items() for one in found]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param(answer(now=[A], ever=[A]), False, id="no process showed any lately: there are none"),
        pytest.param(answer(lost=[A], now=[A, B], ever=[A, B]), True, id="one that showed them lives on without them"),
        pytest.param(answer(lost=[A], now=[B], ever=[A, B]), False, id="they went with their process"),
        pytest.param(answer(lost=[A, B], now=[B, OTHER], ever=[A, B]), True, id="of two that showed them one lives on"),
        pytest.param(answer(lost=[A], now=[A], ever=[A], anew=[A]), False, id="its counters began again in the same pod"),
        pytest.param(answer(lost=[{}], now=[{}], ever=[{}]), None, id="series that name no process say nothing"),
        pytest.param(answer(lost=[EXPORTER], now=[EXPORTER], ever=[EXPORTER]), None, id="an exporter is no pod of it"),
        pytest.param(answer(lost=[BY_ADDRESS], now=[BY_ADDRESS], ever=[BY_ADDRESS]), True, id="told by an address of its pods"),
        pytest.param(answer(lost=[A], now=[EXPORTER], ever=[EXPORTER]), None, id="all events are never shown by who showed bad ones"),
        pytest.param(answer(lost=[A, {}], now=[{}], ever=[A, {}]), None, id="one went with its process, another names none"),
    ],
)  # fmt: skip
def test_bad_events_are_lost_where_a_living_pod_of_the_release_showed_them(
    shown: list[dict[str, str]], expected: bool | None
) -> None:
    assert vanished.lost(shown, SCOPE) is expected


def test_what_is_asked_names_each_selector_of_both_expressions_once() -> None:
    text = vanished.query(RAW, SCOPE, 5 * MINUTE, None, SCRAPE)
    named = "pod, kubernetes_pod_name, exported_pod, k8s_pod_name, instance"
    counted = f"count by ({named}) (count_over_time"
    assert text.splitlines() == [
        f"label_replace({counted}(errors_total[1h5m])) unless on ({named}) {counted}(errors_total[1m])),"
        ' "opsloop", "lost", "", "")',
        f'or label_replace({counted}(requests_total[1m])), "opsloop", "now", "", "")',
        f'or label_replace({counted}(requests_total[1h5m])), "opsloop", "ever", "", "")',
        f'or label_replace(sum by ({named}) (resets(requests_total[1h5m])) > 0, "opsloop", "anew", "", "")',
    ]


def test_resets_are_looked_for_since_bad_events_were_seen_last() -> None:
    text = vanished.query(RAW, SCOPE, 5 * MINUTE, 2 * MINUTE, SCRAPE)
    assert "resets(requests_total[8m])" in text


def test_gauges_have_no_resets() -> None:
    gauges = Sli(bad="sum(sum_over_time(errors[{{window}}]))", total="sum(sum_over_time(requests[{{window}}]))")
    text = vanished.query(gauges, SCOPE, 5 * MINUTE, None, SCRAPE)
    assert "count_over_time(errors[1h5m])" in text and "resets(" not in text


def test_a_structured_sli_is_asked_by_its_own_label() -> None:
    sli = Sli(requests=Requests(counter="requests_total", bad='code=~"5.."', pod_label="host"))
    text = vanished.query(sli, Scope("shop", "web", Labels("host")), 5 * MINUTE, None, SCRAPE)
    assert 'requests_total{code=~"5..",host=~"web(-canary|-warm)?-[a-z0-9]{1,10}-[a-z0-9]{5}"}[1h5m]' in text
    assert "by (host, pod," in text
    own = {"host": A["pod"]}
    assert vanished.lost(answer(lost=[own], now=[own], ever=[own]), Scope("shop", "web", Labels("host"))) is True


def test_an_expression_that_cannot_be_read_here_is_not_asked_about() -> None:
    assert vanished.query(Sli(bad="sum(", total="sum("), SCOPE, 5 * MINUTE, None, SCRAPE) == ""


@pytest.mark.parametrize(
    ("pods", "since", "expected"),
    [
        pytest.param([NINE + MINUTE], NINE, True, id="the only pod is younger than the first bad event"),
        pytest.param([NINE - MINUTE, NINE + MINUTE], NINE, False, id="one was there before"),
        pytest.param([], NINE, True, id="none is left"),
        pytest.param(None, NINE, False, id="nobody knows the pods"),
        pytest.param([NINE], None, False, id="nobody saw bad events"),
    ],
)
def test_pods_are_replaced_where_all_came_after_the_first_bad_event(
    pods: list[datetime] | None, since: datetime | None, expected: bool
) -> None:
    assert vanished.replaced(pods, since) is expected
