"""Which rule an alert comes from, and for how long it held before the alert."""

from collections.abc import Mapping

import pytest

from opsloop.core.alert_rules import AlertRule, AlertRules, window_of_expression

RULES = AlertRules(
    (
        AlertRule("PodCrashLooping", 900.0, (("severity", "warning"),)),
        AlertRule("PodCrashLooping", 300.0, (("severity", "critical"),)),
        AlertRule("Down", 60.0),
        AlertRule("Twice", 60.0, (("team", "a"),)),
        AlertRule("Twice", 60.0),
        AlertRule("Torn", 60.0),
        AlertRule("Torn", 120.0),
        AlertRule("AtOnce", 0.0),
    )
)


@pytest.mark.parametrize(
    ("labels", "seconds"),
    [
        pytest.param({"alertname": "Down", "pod": "a"}, 60.0, id="the only rule of its name"),
        pytest.param({"alertname": "PodCrashLooping", "severity": "critical"}, 300.0, id="told apart by a label"),
        pytest.param(
            {"alertname": "PodCrashLooping", "severity": "page"}, None, id="somebody relabelled it: no rule fits"
        ),
        pytest.param({"alertname": "Twice", "team": "a"}, 60.0, id="two fit and say the same"),
        pytest.param({"alertname": "Torn"}, None, id="two fit and differ"),
        pytest.param({"alertname": "AtOnce"}, 0.0, id="it holds for no time, which is known"),
        pytest.param({"alertname": "Else"}, None, id="another Prometheus sent it"),
        pytest.param({}, None, id="no name"),
    ],
)
def test_for_how_long_it_held(labels: Mapping[str, str], seconds: float | None) -> None:
    assert RULES.holds(labels) == seconds


@pytest.mark.parametrize(
    ("promql", "seconds"),
    [
        pytest.param('sum(rate(requests_total{code=~"5.."}[5m])) > 1', 300.0, id="a range selector"),
        pytest.param("max_over_time(up[1h30m]) < 1 or rate(a[2m]) > 0", 5400.0, id="the longest, of several units"),
        pytest.param("avg_over_time(rate(a[1m])[10m:30s]) > 0", 600.0, id="a subquery, and not its resolution"),
        pytest.param("job:errors:ratio_rate5m > 0.05", 300.0, id="a recording rule by its name"),
        pytest.param('up{path="/a[5m]"} == 0', None, id="what stands in a string is no range"),
        pytest.param("kube_deployment_status_replicas_unavailable > 0", None, id="it looks at this moment"),
        pytest.param("rate(a[$__range]) > 1", None, id="a variable of a dashboard"),
        pytest.param("", None, id="no expression"),
    ],
)
def test_how_far_an_expression_looks_back(promql: str, seconds: float | None) -> None:
    assert window_of_expression(promql) == seconds


def test_a_window_is_known_where_all_rules_that_fit_say_the_same() -> None:
    rules = AlertRules((AlertRule("A", 60.0, window=300.0), AlertRule("B", 60.0, window=60.0), AlertRule("B", 60.0)))
    assert [rules.window({"alertname": name}) for name in ("A", "B", "C")] == [300.0, None, None]
