"""A report over a window: the rows, what adds up, and what is known only in part."""

import csv
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.report.facts import Budget, ReportFacts, Window
from opsloop.core.report.figures import Figures, Times, total
from opsloop.core.report.forms import FORMS, as_csv, as_json, as_markdown, table
from opsloop.core.report.report import Report, report
from tests.builders.reports import NOW, WINDOW, ago, case, entry, incident, release

SHIFT = (
    entry("Pushed", "v2", 3),
    entry("RolledBack", "v2", 2.9, incident="answers-1"),
    entry("Rejected", "v3", 2, reason="EvalFailed", cases=["answers-1-regression"]),
    entry("Promoted", "v4", 1, beganAt=ago(1.01), committedAt=ago(1.5)),
)


def made(*objects: Release | Incident | EvalCase, window: Window = WINDOW, **more: object) -> Report:
    kinds = {Release: "releases", Incident: "incidents", EvalCase: "cases"}
    found = {name: tuple(o for o in objects if isinstance(o, kind)) for kind, name in kinds.items()}
    return report(ReportFacts(window, **found, **more))  # type: ignore[arg-type]


def test_a_shift_in_figures() -> None:
    told = made(
        release(*SHIFT, episodes=1), incident("answers-1", 3, version="v2"), case("answers-1-regression", ("v3", 2))
    )
    whole = told.whole
    assert (whole.incidents, whole.severities, whole.causes) == (1, {"sev1": 1}, {"bad_release": 1})
    assert [t.seconds for t in (whole.detect, whole.mitigate, whole.resolve, whole.restore)] == [
        (10,),
        (60,),
        (90,),
        (60,),
    ]
    assert (whole.promoted, whole.pushed, whole.failed, whole.failure_rate) == (1, 1, 1, 0.5)
    assert (whole.stopped_dark, whole.caught) == (1, 1)
    assert [(one.case, one.incident, one.version, one.dark) for one in told.caught] == [
        ("answers-1-regression", "answers-1", "v3", True)
    ]
    assert told.remarks == ()


def test_a_version_that_two_cases_of_one_fault_caught_is_counted_once() -> None:
    first, second = case("answers-1-regression", ("v3", 2)), case("answers-2-regression", ("v3", 2), ("v5", 1))
    linked = second.model_copy(
        update={"status": second.status.model_copy(update={"same_fault_as": "answers-1-regression"})}
    )
    told = made(release(*SHIFT), first, linked)
    assert [(one.case, one.version) for one in told.caught] == [
        ("answers-1-regression", "v3"),
        ("answers-2-regression", "v5"),
    ]
    assert told.whole.caught == 2


@pytest.mark.parametrize(
    ("changed", "detect", "mitigate", "restore"),
    [
        pytest.param({}, (1, 0, 0), (1, 0, 0), (1, 0, 0), id="all times are known"),
        pytest.param({"onset_at": None}, (0, 1, 0), (0, 1, 0), (1, 0, 0), id="no onset: restored is counted from the detection"),
        pytest.param({"phase": "Open", "mitigated_at": None}, (1, 0, 0), (0, 0, 1), (0, 0, 1), id="it is not over"),
        pytest.param({"phase": "Resolved", "mitigated_at": None}, (1, 0, 0), (0, 1, 0), (0, 1, 0), id="over, and nobody knows since when"),
        pytest.param({"detected_at": ago(3.1)}, (0, 1, 0), (1, 0, 0), (1, 0, 0), id="an end before its beginning is unknown"),
        pytest.param({"merged_into": "web-1"}, (0, 0, 0), (0, 0, 0), (0, 0, 0), id="merged: the other one tells it"),
    ],
)  # fmt: skip
def test_how_long_an_incident_took(
    changed: dict[str, Any], detect: tuple[int, ...], mitigate: tuple[int, ...], restore: tuple[int, ...]
) -> None:
    whole = made(incident("answers-1", 3, **changed)).whole
    for times, counts in ((whole.detect, detect), (whole.mitigate, mitigate), (whole.restore, restore)):
        assert (len(times.seconds), times.unknown, times.ongoing) == counts


@pytest.mark.parametrize(
    ("objects", "remarks"),
    [
        pytest.param([release(since=None)], ["answers: no history of changes is stored yet"], id="a Release of before this version"),
        pytest.param([release(since=10)], ["answers: changes are known since 2026-11-18 12:00 UTC"], id="history begins in the window"),
        pytest.param([release(since=30)], [], id="history goes as far back as the window"),
        pytest.param([release(episodes=3), incident("answers-3", 2)], ["answers: 2 of the 3 Incidents"], id="Incidents that were deleted may have been in it"),
        pytest.param([release(episodes=3), incident("answers-2", 40), incident("answers-3", 2)], [], id="those that were deleted came before one that is older than the window"),
        pytest.param([release(episodes=3), incident("answers-2", 40)], ["answers: 1 of the 3"], id="the latest one was deleted by hand"),
    ],
)  # fmt: skip
def test_what_is_known_in_part_is_said(objects: list[Release | Incident], remarks: list[str]) -> None:
    told = made(*objects).remarks
    assert len(told) == len(remarks)
    assert all(said.startswith(start) for said, start in zip(told, remarks, strict=True)), told


def test_a_window_that_is_longer_than_incidents_are_kept_says_so() -> None:
    long = made(release(), window=Window(NOW - timedelta(days=120), NOW))
    assert len(long.remarks) == 1 and "90 days after their end" in long.remarks[0]


def test_what_no_release_of_now_is_the_root_of_has_a_row_of_its_own() -> None:
    told = made(release(), incident("answers-1", 3), incident("gone-1", 2), incident("gone-2", 40))
    assert [(row.release, row.figures.incidents) for row in told.rows] == [("answers", 1), ("", 1)]


def test_without_a_history_nothing_is_said_of_changes() -> None:
    told = made(release(since=None))
    assert "Deployment frequency    unknown" in table(told, "shop") and "Change failure rate     unknown" in table(
        told, "shop"
    )
    assert json.loads(as_json(told, "shop"))["whole"]["deployments"] is None


# --- laws


times = st.lists(st.integers(0, 10_000), max_size=12)


@given(times, times)
def test_median_and_p90_are_of_all_times_however_they_were_parted(one: list[int], other: list[int]) -> None:
    whole = Times(tuple(sorted([*one, *other])))
    assert Times(tuple(sorted(one))) + Times(tuple(sorted(other))) == whole
    if whole.seconds:
        assert whole.median is not None and whole.p90 is not None and whole.median <= whole.p90
        within = sum(t <= whole.p90.total_seconds() for t in whole.seconds)
        assert within >= 0.9 * len(whole.seconds)


whats = st.sampled_from(["Promoted", "Pushed", "Rejected", "RolledBack", "Undone", "Reverted", "Cancelled"])
entries = st.lists(st.builds(entry, whats, st.sampled_from(["v1", "v2", "v3"]), st.floats(0, 60)), max_size=12)
spaces = st.sampled_from(["shop", "bank"])
names = st.sampled_from(["answers", "web"])


@st.composite
def clusters(draw: st.DrawFn) -> ReportFacts:
    """Releases with any history, and Incidents of them and of others, in two namespaces."""
    keys = draw(st.sets(st.tuples(spaces, names)))
    releases = [release(*draw(entries), name=name, namespace=space) for space, name in sorted(keys)]
    roots = st.tuples(spaces, st.sampled_from(["answers", "web", "gone"]), st.integers(1, 9))
    incidents = [
        incident(
            f"{name}-{n}", draw(st.floats(0, 60)), namespace=space, version=draw(st.sampled_from(["", "v1", "v2"]))
        )
        for space, name, n in sorted(draw(st.sets(roots, max_size=8)))
    ]
    return ReportFacts(WINDOW, tuple(incidents), tuple(releases))


def only(facts: ReportFacts, namespace: str) -> ReportFacts:
    kept = {
        kind: tuple(o for o in getattr(facts, kind) if o.metadata.namespace == namespace)
        for kind in ("incidents", "releases", "cases")
    }
    return ReportFacts(facts.window, **kept)


@given(clusters())
def test_namespaces_add_up(facts: ReportFacts) -> None:
    apart = [report(only(facts, namespace)).whole for namespace in ("shop", "bank")]
    told = report(facts)
    assert told.whole == total(apart) == total(told.by_namespace.values())


@given(clusters(), st.integers(1, 30))
def test_a_shorter_window_counts_no_more(facts: ReportFacts, days: int) -> None:
    shorter = ReportFacts(Window(ago(days), NOW), facts.incidents, facts.releases)
    less, more = report(shorter).whole, report(facts).whole
    for name in ("incidents", "promoted", "pushed", "failed", "stopped_dark", "merged"):
        assert getattr(less, name) <= getattr(more, name)


@given(clusters())
def test_no_more_fail_than_were_deployed(facts: ReportFacts) -> None:
    for row in report(facts).rows:
        assert 0 <= row.figures.failed <= row.figures.deployments


@given(clusters())
def test_the_spreadsheet_adds_up_to_the_report(facts: ReportFacts) -> None:
    told = report(facts)
    lines = list(csv.DictReader(as_csv(told, "").splitlines()))
    assert sum(int(line["incidents"]) for line in lines) == told.whole.incidents
    assert sum(int(line["deployments"] or 0) for line in lines) == told.whole.deployments


# --- forms


def full() -> Report:
    budget = Budget("shop", "answers", "sli", 0.99, timedelta(days=30), bad=120, total=4000, spent=0.12)
    other = Budget("shop", "answers", "latency", 0.95, timedelta(days=30), why="Prometheus shop/prometheus:9090: 404")
    objects = (
        release(*SHIFT, episodes=1),
        incident("answers-1", 3, version="v2"),
        case("answers-1-regression", ("v3", 2)),
    )
    return made(*objects, budgets=(budget, other))


def test_the_table_says_it_in_words() -> None:
    text = table(full(), "shop")
    for said in (
        "opsloop report: namespace shop, 2026-10-29 12:00 to 2026-11-28 12:00 UTC (30d)",
        "Deployment frequency    2: 1 by canary, 1 without one; 0.5 a week",
        "Lead time for changes   from commit to live: 12 h (once), 1 unknown; from the order to live: 14 min 24 s (once)",
        "Change failure rate     50 %: 1 of 2",
        "Time to restore         1 min (once)",
        "Stopped by a canary     1: 1 dark, which served nobody, 0 while serving a share",
        "answers   99 %            120          4,000     12 % of 30d",
        "unknown: Prometheus shop/prometheus:9090: 404",
        "v2        live without a canary; rolled back (answers-1)",
        "v3        EvalFailed by answers-1-regression; dark: it served nobody",
        "answers-1-regression   answers-1     v3 of answers; dark: it served nobody",
    ):
        assert said in text, f"{said}\n---\n{text}"


def test_markdown_has_the_same_in_tables() -> None:
    text = as_markdown(full(), "shop")
    assert "## Changes\n\n| What | How much |" in text
    assert "| Change failure rate | 50 %: 1 of 2 |" in text
    assert "| 2026-11-26 12:00 | answers-1-regression | answers-1 | v3 of answers; dark: it served nobody |" in text


def test_json_is_for_programs() -> None:
    body = json.loads(as_json(full(), "shop"))
    assert body["whole"]["timeToDetect"] == {"median": 10.0, "p90": 10.0, "known": 1, "unknown": 0, "ongoing": 0}
    assert body["releases"][0]["budgets"][0]["spent"] == 0.12 and body["releases"][0]["budgets"][1]["spent"] is None
    assert body["caught"][0]["case"] == "answers-1-regression" and body["caught"][0]["dark"] is True


def test_a_report_of_nothing_can_be_printed() -> None:
    empty = made()
    for form in FORMS.values():
        assert form(empty, "shop")
    assert empty.whole == Figures()


def test_names_of_people_and_words_of_users_are_in_no_form() -> None:
    item = incident("answers-1", 3, version="v2", assignee="Jane Roe", title="Jane Roe broke it")
    spec = item.spec.model_copy(
        update={"assignee": "Jane Roe", "title": "Jane Roe broke it", "owner": "jane@example.com"}
    )
    told = made(release(*SHIFT, episodes=1), item.model_copy(update={"spec": spec}), case("answers-1-regression"))
    for form in FORMS.values():
        assert "jane" not in form(told, "shop").lower()
