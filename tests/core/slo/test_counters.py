"""The counters behind an SLI: which expressions are sums of their increases, and what one series counts for."""

from datetime import timedelta

import pytest

from opsloop.api.slo import Latency, Requests, Sli
from opsloop.core.slo.counters import Counters, Line, counters
from opsloop.core.slo.pods import Labels, Scope
from opsloop.core.slo.promql import Split

MINUTE = timedelta(minutes=1)
SPLITS = {"v1": Split("v1", MINUTE, ("web-5c8b",)), "v2": Split("v2", MINUTE, ("web-canary-7d9f",))}
SCOPE = Scope("shop", "web", Labels("pod", "namespace"))
PODS, VERSION = 'pod=~"{{pods}}"', 'version=~"{{version}}"'


def raw(bad: str, total: str = f"sum(increase(all_total{{{PODS}}}[{{{{window}}}}]))") -> Sli:
    return Sli(bad=bad.replace("PODS", PODS).replace("W]", "{{window}}]"), total=total)


def found(sli: Sli, scope: Scope = SCOPE) -> Counters:
    answer = counters(sli, SPLITS, scope)
    assert isinstance(answer, Counters), answer
    return answer


@pytest.mark.parametrize(
    ("bad", "metrics"),
    [
        pytest.param("sum(increase(bad_total{PODS}[W]))", ["bad_total"], id="a sum of increases"),
        pytest.param("increase(bad_total{PODS}[W])", ["bad_total"], id="increases, which are summed up anyway"),
        pytest.param("sum by (code) (increase(bad_total{PODS}[W]))", ["bad_total"], id="by labels"),
        pytest.param("sum(increase(bad_total{PODS}[W])) without (code)", ["bad_total"], id="or without some, at the end"),
        pytest.param("sum(increase(bad_total{PODS}[W])) or vector(0)", ["bad_total"], id="with a zero in the place of nothing"),
        pytest.param("sum(increase(bad_total{PODS}[W]) or vector(0))", ["bad_total"], id="also inside"),
        pytest.param("sum(increase(a_total{PODS}[W])) + (sum(increase(b_total{PODS}[W])) or vector(0)) # late", ["a_total", "b_total"], id="sums of such"),
        pytest.param("sum(increase(a_total{PODS}[W])) + sum(increase(b_total{PODS}[W])) or vector(0)", ["a_total", "b_total"], id="and a zero for both"),
    ],
)  # fmt: skip
def test_sums_of_increases_are_counted_exactly(bad: str, metrics: list[str]) -> None:
    assert [one.metric for one in found(raw(bad)).counted] == metrics


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("sum(increase(bad_total{PODS}[W])) * 2", id="a multiple"),
        pytest.param("sum(increase(a_total{PODS}[W])) - sum(increase(b_total{PODS}[W]))", id="a difference"),
        pytest.param("increase(a_total{PODS}[W]) + increase(b_total{PODS}[W])", id="a sum series by series, which leaves out those without a partner"),
        pytest.param("sum by (x) (increase(a_total{PODS}[W])) + sum(increase(b_total{PODS}[W]))", id="a sum of vectors"),
        pytest.param("sum(increase(a_total{PODS}[W])) or sum(increase(b_total{PODS}[W]))", id="one in the place of the other"),
        pytest.param("sum(increase(a_total{PODS}[W])) or vector(0) + sum(increase(b_total{PODS}[W]))", id="a zero that is added to something"),
        pytest.param("sum(increase(bad_total{PODS}[W])) or vector(1)", id="another constant"),
        pytest.param("sum(increase(bad_total{PODS}[W] offset 1m))", id="an offset"),
        pytest.param("sum(increase(bad_total{PODS}[W:15s]))", id="a subquery"),
        pytest.param("sum(increase(bad_total{PODS}[5m])) + sum(increase(bad_total{PODS}[W]))", id="a fixed range"),
        pytest.param("sum(increase(bad_total{PODS}[W]) > 5)", id="a filter"),
        pytest.param("max(increase(bad_total{PODS}[W]))", id="another aggregation"),
        pytest.param("count_over_time(bad{PODS}[W])", id="another function"),
        pytest.param("sum(increase(job:bad:sum{PODS}[W]))", id="a recorded series, which loses the resets of single pods"),
        pytest.param('sum(increase(bad_total{PODS,code=~"(?i)x"}[W]))', id="a regular expression that is not known here"),
    ],
)  # fmt: skip
def test_everything_else_says_why_it_is_not(bad: str) -> None:
    assert (
        counters(raw(bad), SPLITS, SCOPE) == "spec.slo.sli.bad is no sum of increase(…[{{window}}]) over plain counters"
    )


@pytest.mark.parametrize(
    ("sli", "why"),
    [
        pytest.param(raw('sum(increase(bad_total{pod=~"x-{{pods}}"}[W]))'), "not every selector tells revisions", id="pods with something before them"),
        pytest.param(raw('sum(increase(bad_total{name=~"{{pods}}"}[W]))'), "not every selector tells revisions", id="another label than the other one's"),
        pytest.param(Sli(latency=Latency(histogram="seconds", threshold=1, native=True)), "native histograms", id="a native histogram"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_here(sli: Sli, why: str) -> None:
    answer = counters(sli, SPLITS, SCOPE)
    assert isinstance(answer, str) and why in answer


@pytest.mark.parametrize(
    ("sli", "query"),
    [
        pytest.param(
            Sli(requests=Requests(counter="http_total", selector='job="web"', bad='code=~"5.."')),
            'http_total{pod=~"(web-5c8b-)[a-z0-9]{5}|(web-canary-7d9f-)[a-z0-9]{5}",job="web",namespace="shop"}[1m]',
            id="requests: bad ones are among all",
        ),
        pytest.param(
            Sli(latency=Latency(histogram="seconds", threshold=0.5)),
            '{__name__=~"seconds_bucket|seconds_count",pod=~"(web-5c8b-)[a-z0-9]{5}|(web-canary-7d9f-)[a-z0-9]{5}",namespace="shop"}[1m]',
            id="latency: buckets and count",
        ),
        pytest.param(
            Sli(good=f'sum(increase(good_total{{{VERSION},a="b"}}[{{{{window}}}}]))', total=f'sum(increase(all_total{{a="b",{VERSION},c="d"}}[{{{{window}}}}]))'),
            '{__name__=~"all_total|good_total",version=~"v1|v2",a="b"}[1m]',
            id="raw: what the selectors have in common",
        ),
    ],
)  # fmt: skip
def test_one_query_asks_for_all(sli: Sli, query: str) -> None:
    assert found(sli).query(MINUTE) == query


def series(metric: str, pod: str, **labels: str) -> dict[str, str]:
    return {"__name__": metric, "namespace": "shop", "pod": pod, **labels}


LIVE, CANARY = "web-5c8b-abcde", "web-canary-7d9f-abcde"
REQUESTS = Sli(requests=Requests(counter="http_total", bad='code=~"5.."'))
LATENCY = Sli(latency=Latency(histogram="seconds", threshold=1))


@pytest.mark.parametrize(
    ("sli", "labels", "line"),
    [
        pytest.param(REQUESTS, series("http_total", LIVE, code="200"), Line("v1", LIVE, 0, 1), id="a good request of live"),
        pytest.param(REQUESTS, series("http_total", CANARY, code="503"), Line("v2", CANARY, 1, 1), id="a bad one of the canary"),
        pytest.param(REQUESTS, series("http_total", "web-canary-aaaa-abcde", code="503"), None, id="of another revision"),
        pytest.param(REQUESTS, series("other_total", CANARY), None, id="another metric"),
        pytest.param(LATENCY, series("seconds_count", LIVE), Line("v1", LIVE, 0, 1), id="a duration"),
        pytest.param(LATENCY, series("seconds_bucket", LIVE, le="1.0"), Line("v1", LIVE, 1, 0), id="its bucket, however it is spelled"),
        pytest.param(LATENCY, series("seconds_bucket", LIVE, le="10"), None, id="another bucket"),
    ],
)  # fmt: skip
def test_what_a_series_counts_for(sli: Sli, labels: dict[str, str], line: Line | None) -> None:
    assert found(sli).line(labels) == line


def test_without_a_label_for_pods_the_scrape_target_is_the_process() -> None:
    sli = Sli(
        bad=f"increase(bad_total{{{VERSION}}}[{{{{window}}}}])",
        total=f"increase(all_total{{{VERSION}}}[{{{{window}}}}])",
    )
    labels = {"__name__": "all_total", "version": "v2", "instance": "10.0.0.1:80"}
    assert found(sli).line(labels) == Line("v2", "10.0.0.1:80", 0, 1)


def test_where_no_label_names_a_pod_its_address_does() -> None:
    splits = {name: split._replace(addresses=(f"10.0.0.{n}",)) for n, (name, split) in enumerate(SPLITS.items())}
    answer = counters(REQUESTS, splits, Scope("shop", "web", Labels("instance"), addresses=("10.0.0.0", "10.0.0.1")))
    assert isinstance(answer, Counters)
    labels = {"__name__": "http_total", "instance": "10.0.0.1:8080", "code": "500"}
    assert answer.line(labels) == Line("v2", "10.0.0.1:8080", 1, 1)
    assert answer.line({**labels, "instance": "10.0.0.10:8080"}) is None
