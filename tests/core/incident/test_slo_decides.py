"""Who decides about a page: the SLO while its SLI is known, alerts while it is silent."""

from datetime import timedelta
from typing import Literal

import pytest

from opsloop.api.meta import Condition
from opsloop.core.facts import ReleaseView
from opsloop.core.incident.decide import SLI_SILENT, slo_decides
from tests.builders.correlation import NOW, Health, view


def seen(health: Health, telemetry: Literal["True", "False", "Unknown"], since: timedelta) -> ReleaseView:
    condition = Condition(type="TelemetryKnown", status=telemetry, reason="Test", last_transition_time=NOW - since)
    return view("answers", health, conditions=[condition])


@pytest.mark.parametrize(
    ("root", "slo"),
    [
        pytest.param(None, False, id="no Release"),
        pytest.param(view("answers", "no-slo"), False, id="a Release without an SLO"),
        pytest.param(seen("healthy", "True", timedelta(hours=1)), True, id="the SLI is known and healthy"),
        pytest.param(seen("unread", "Unknown", timedelta(hours=1)), True, id="the process began and has not read yet"),
        pytest.param(seen("unknown", "False", timedelta(seconds=59)), True, id="silent for less than a minute"),
        pytest.param(seen("unknown", "False", SLI_SILENT), False, id="silent for a minute"),
        pytest.param(seen("unknown", "True", timedelta(hours=1)), True, id="silent since this very reading"),
        pytest.param(seen("healthy", "False", timedelta(hours=1)), True, id="known again since this very reading"),
    ],
)
def test_the_slo_decides_while_its_sli_is_not_silent(root: ReleaseView | None, slo: bool) -> None:
    assert slo_decides(root, NOW) is slo
