"""When the harm of an Incident began, as far as known."""

from datetime import datetime, timedelta

import pytest

from opsloop.core.correlation.service_health import harm_began
from tests.builders.objects import T0, incident

LONG_AGO, ONSET = T0 - timedelta(days=3), T0 - timedelta(minutes=4)


@pytest.mark.parametrize(
    ("onset", "first_alert", "began"),
    [
        pytest.param(None, None, T0, id="nothing is known but when it was opened"),
        pytest.param(None, ONSET, ONSET, id="its first alert is older"),
        pytest.param(ONSET, None, ONSET, id="the SLI tells"),
        pytest.param(ONSET, LONG_AGO, ONSET, id="the SLI tells, and an alert that nobody ended has fired for days"),
    ],
)
def test_harm_began_when_it_was_measured_else_when_alerts_tell(
    onset: datetime | None, first_alert: datetime | None, began: datetime
) -> None:
    alerts = {"alerts": {"firstAt": first_alert.isoformat()}} if first_alert else {}
    status = alerts | ({"onsetAt": onset.isoformat()} if onset else {})
    assert harm_began(incident(status=status)) == began
