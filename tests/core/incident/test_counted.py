"""What a write of an Incident's status is counted as."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.incident import IncidentStatus
from opsloop.core.incident.counted import reached
from tests.builders.objects import T0, incident


def status(**seconds: int | str) -> dict[str, Any]:
    made = {
        key: (T0 + timedelta(seconds=value)).isoformat() if isinstance(value, int) else value
        for key, value in seconds.items()
    }
    return {**incident().status.dump(), **made}


@pytest.mark.parametrize(
    ("before", "after", "counted"),
    [
        pytest.param(status(), status(), [], id="nothing new"),
        pytest.param(status(), status(onsetAt=-30, mitigatedAt=60), [("mitigated", 90)], id="from the onset on"),
        pytest.param(status(), status(mitigatedAt=60), [("mitigated", 60)], id="from the signal on, where nobody knows the onset"),
        pytest.param(status(mitigatedAt=60), status(mitigatedAt=60, resolvedAt=300), [("resolved", 300)], id="it is over"),
        pytest.param(status(), status(mitigatedAt=60, resolvedAt=60), [("mitigated", 60), ("resolved", 60)], id="both at once"),
        pytest.param(status(), status(resolvedAt=60, mergedInto="web-1"), [], id="it is told by another one"),
    ],
)  # fmt: skip
def test_what_it_reached(before: dict[str, Any], after: dict[str, Any], counted: list[tuple[str, int]]) -> None:
    observed = incident(status=before)
    zero = observed.spec.signal.at - T0
    found = [(until, round((took + (zero if "onsetAt" not in after else timedelta(0))).total_seconds())) for until, took in reached(observed, IncidentStatus.model_validate(after))]  # fmt: skip
    assert found == counted
