"""Changes of a Release in a window: which became live, which failed, which a canary stopped."""

import pytest

from opsloop.api.history import HistoryEntry
from opsloop.api.incident import Incident
from opsloop.core.report.changes import changes
from tests.builders.reports import WINDOW, ago, digest, entry, incident, release

PUSHED = entry("Pushed", "v2", 3)
BACK = entry("RolledBack", "v2", 2.9, incident="answers-1")


@pytest.mark.parametrize(
    ("history", "incidents", "deployed", "failed"),
    [
        pytest.param([entry("Promoted", "v2", 3)], [], 1, [], id="promoted and still live: it did not fail"),
        pytest.param([PUSHED, BACK], [], 1, ["v2 rolled back answers-1"], id="pushed by hand and rolled back: failed"),
        pytest.param(
            [PUSHED, BACK, entry("Pushed", "v2", 2.8), entry("RolledBack", "v2", 2.7, incident="answers-1")],
            [],
            2,
            ["v2 rolled back answers-1", "v2 rolled back answers-1"],
            id="pushed twice and rolled back twice: two deployments, both failed",
        ),
        pytest.param(
            [PUSHED, BACK],
            [incident("answers-1", 3, exonerated=[digest("v2")])],
            1,
            [],
            id="rolled back, and cleared by its Incident: it did not fail",
        ),
        pytest.param(
            [entry("Promoted", "v2", 3), entry("Undone", "v2", 2)],
            [],
            1,
            ["v2 undone by opsloop undo"],
            id="undone by a person: failed",
        ),
        pytest.param(
            [PUSHED, entry("Reverted", "v2", 2)],
            [],
            1,
            ["v2 replaced by an earlier revision, by hand"],
            id="put back by hand: failed, and that is no deployment",
        ),
        pytest.param(
            [entry("Promoted", "v2", 3), entry("Promoted", "v3", 2)],
            [incident("answers-1", 2.5, version="v2")],
            2,
            ["v2 named as the cause answers-1"],
            id="fixed forward: an Incident names it, so it failed",
        ),
        pytest.param(
            [entry("Promoted", "v2", 3), entry("Promoted", "v3", 2)],
            [incident("answers-1", 1, version="v2")],
            2,
            [],
            id="an Incident after the next version names it: not this deployment",
        ),
        pytest.param(
            [entry("Promoted", "v2", 3)],
            [incident("answers-1", 2, version="v2", merged_into="web-1")],
            1,
            [],
            id="an Incident that was merged says nothing by itself",
        ),
        pytest.param(
            [entry("Promoted", "v2", 3), entry("Promoted", "v3", 2), entry("RolledBack", "v3", 1)],
            [],
            2,
            ["v3 rolled back"],
            id="only the one that was left failed",
        ),
        pytest.param([entry("Promoted", "v2", 31)], [], 0, [], id="before the window: not counted"),
        pytest.param(
            [entry("Promoted", "v2", 31), entry("RolledBack", "v2", 29)],
            [],
            0,
            [],
            id="deployed before the window and left in it: no deployment of the window",
        ),
        pytest.param(
            [BACK, PUSHED], [], 1, ["v2 rolled back answers-1"], id="the order in which they were noted does not matter"
        ),
    ],
)
def test_which_deployments_failed(
    history: list[HistoryEntry], incidents: list[Incident], deployed: int, failed: list[str]
) -> None:
    found = changes(release(*history), incidents, WINDOW)
    assert len(found.deployments) == found.figures.deployments == deployed
    assert [f"{one.version} {one.how} {one.incident}".strip() for one in found.failed] == failed
    assert found.figures.failed == len(failed)


def test_what_a_canary_stopped_is_no_deployment() -> None:
    dark = entry("Rejected", "v3", 3, reason="EvalFailed", cases=["answers-1-regression"])
    serving = entry("Rejected", "v5", 2, reason="AnalysisFailed", servedSince=ago(2))
    found = changes(release(dark, serving, entry("Cancelled", "v6", 1, reason="NewTarget")), [], WINDOW)
    assert [(one.version, one.reason, one.dark, one.cases) for one in found.stopped] == [
        ("v3", "EvalFailed", True, ("answers-1-regression",)),
        ("v5", "AnalysisFailed", False, ()),
    ]
    assert (found.figures.deployments, found.figures.stopped_dark, found.figures.stopped_serving) == (0, 1, 1)


def test_lead_times_are_those_of_the_versions_that_say_when_they_were_committed() -> None:
    known = entry("Promoted", "v2", 3, committedAt=ago(5), beganAt=ago(3.5))
    found = changes(release(known, entry("Pushed", "v3", 2)), [], WINDOW).figures
    assert (found.lead.seconds, found.lead.unknown) == ((2 * 86400,), 1)
    assert found.rollout.seconds == (43200,), "a version that was pushed has no rollout"
