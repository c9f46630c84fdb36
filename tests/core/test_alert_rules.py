"""Which rule an alert comes from, and for how long it held before the alert."""

from collections.abc import Mapping

import pytest

from opsloop.core.alert_rules import AlertRule, AlertRules

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
