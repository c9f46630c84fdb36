"""What the console's pages hold, from objects and readings alone."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.release import Release, ReleaseStatus
from opsloop.core import conditions
from opsloop.core.console import words
from opsloop.core.console.fleet import LATELY, MOST_ROWS, fleet
from opsloop.core.console.incident import MOST_SERVICES, incident_view
from opsloop.core.console.release import moments, release_view
from opsloop.core.readings import Verdict
from opsloop.core.slo.budget import Spent
from opsloop.core.slo.standing import Standing, standings
from tests.builders import postmortems
from tests.builders.console import answers
from tests.builders.objects import at, incident, release, verdict
from tests.builders.rollouts import ADOPTED, BAD, BLOCK, NOW, TRIED, record, status_with, target

SPENT = Spent(share=0.25, coverage=1.0)


def in_phase(name: str, phase: str, band: str = "ok") -> tuple[Release, tuple[Standing, ...]]:
    status = ReleaseStatus.model_validate({"phase": phase, "burnBand": band})
    return release(name, status=status), ()


def test_the_fleet_begins_with_the_worst() -> None:
    seen = [in_phase("a", "Healthy"), in_phase("b", "Healthy", "slow"), in_phase("c", "Held"), in_phase("d", "Breaching"), in_phase("e", "Pending")]  # fmt: skip
    view = fleet("shop", seen, [])
    assert [row.name for row in view.rows] == ["d", "c", "e", "b", "a"]
    assert view.said == "5 Releases, 3 not healthy; 0 open Incidents"


def test_what_is_too_much_for_a_page_is_counted() -> None:
    seen = [in_phase(f"r{n:03}", "Healthy") for n in range(MOST_ROWS + 3)]
    view = fleet("shop", seen, [incident(f"a-{n}") for n in range(MOST_ROWS + 1)])
    assert (len(view.rows), len(view.open), view.more) == (MOST_ROWS, MOST_ROWS, (3, 1))


def test_incidents_are_open_or_over_and_a_merged_one_is_told_where_it_went_only() -> None:
    ended = [incident(f"old-{n}", {"phase": "Resolved", "resolvedAt": at(n)}) for n in range(LATELY + 2)]
    view = fleet("", [], [incident("new-1", {"severity": "sev2"}), incident("worse-1", {"severity": "sev1"}), incident("gone-1", {"mergedInto": "new-1"}), *ended])  # fmt: skip
    assert [row.name for row in view.open] == ["worse-1", "new-1"]
    assert [row.name for row in view.over] == ["old-6", "old-5", "old-4", "old-3", "old-2"]
    assert view.namespaces == ("shop",)


@pytest.mark.parametrize(
    ("what", "read", "spent", "burn", "left", "lasts"),
    [
        ("nothing was read", None, None, "unknown", "unknown", "unknown"),
        ("the SLI is unknown, the budget is known", verdict(None), SPENT, "unknown", "75 %", "unknown"),
        ("nothing is spent", verdict(0.0), SPENT, "0.0×", "75 %", "not being spent"),
        ("at burn 3 a quarter of the period is left", verdict(0.03), SPENT, "3.0×", "75 %", "8 days"),
        ("all is spent", verdict(0.2), Spent(1.2, 1.0), "20×", "−20 %", "spent"),
        ("far too much is spent", verdict(0.2), Spent(5.4737, 0.001), "20×", "−447 % (under 1 % of the period known)", "spent"),
        ("little of the period is known", verdict(0.0), Spent(0.004, 0.5), "0.0×", "99.6 % (50 % of the period known)", "not being spent"),
    ],
)  # fmt: skip
def test_an_objective_is_told_as_it_was_read(
    what: str, read: Verdict | None, spent: Spent | None, burn: str, left: str, lasts: str
) -> None:
    one = standings(release(), read, lambda _: spent)[0]
    assert (words.burn(one.burn), words.left(one), words.lasts(one)) == (burn, left, lasts)


def test_a_release_without_an_slo_has_no_objective_and_says_so() -> None:
    bare = release(slo=None)
    assert standings(bare, verdict(0.5), lambda _: SPENT) == ()
    row = fleet("shop", [(bare, ())], []).rows[0]
    assert (row.band.word, row.burn, row.budget, row.left) == ("no SLO", "", "", None)


@pytest.mark.parametrize(
    ("time", "said"), [(30, "1 minute"), (119, "2 minutes"), (3 * 3600, "3 hours"), (60 * 86400, "60 days")]
)
def test_a_time_to_come_has_one_unit(time: float, said: str) -> None:
    assert words.long(timedelta(seconds=time)) == said


def viewed(status: ReleaseStatus, **more: Any) -> Any:
    return release_view(release(version="v4", status=status, **more), standings(release(), verdict(0.03), lambda _: SPENT), [incident(), incident("web-1")])  # fmt: skip


def test_a_canary_in_traffic_is_told_with_its_step_and_weights() -> None:
    view = viewed(
        status_with(target("Stepping"), phase="Stepping", weight={"wanted": 20, "actual": 18, "requests": 15})
    )
    told = {fact.name: fact.text for fact in view.canary}
    assert told["Step"] == "1 of 3: weight 20" and told["Weight"] == "20 % (actual 18 %, 15 % of the requests)"
    assert [row.name for row in view.incidents] == ["answers-1"], "those of another Release are not its own"


def test_a_canary_that_is_over_has_no_weight() -> None:
    view = viewed(status_with(target("Rejected", reason="EvalFailed", message="greets failed")))
    told = {fact.name: fact.text for fact in view.canary}
    assert told["State"] == "Rejected, EvalFailed" and told["Why"] == "greets failed" and "Weight" not in told


def test_revisions_say_which_is_live_which_is_blocked_and_why() -> None:
    blocked = BAD.model_copy(update={"blocked": BLOCK})
    view = viewed(status_with(target("Dark"), ADOPTED, blocked, TRIED))
    assert [(row.version, row.state.word, row.blocked) for row in view.revisions] == [
        ("v4", "canary", ""), ("v2", "blocked", "RolledBack for answers-1: it was bad"), ("v1", "live", "")
    ]  # fmt: skip


def test_failed_evals_and_conditions_that_ask_for_attention_come_first() -> None:
    known = conditions.put([], "Healthy", "True", "SloMet", "", NOW)
    known = conditions.put(known, "Held", "True", "WaitingForApproval", "", NOW)
    view = viewed(status_with(target("Dark"), conditions=known))
    assert [(row.type, row.status.tone) for row in view.conditions] == [("Held", "watch"), ("Healthy", "plain")]
    assert view.advice[0].startswith("to go on: opsloop approve answers")
    of_evals = release_view(answers(), (), [])
    assert [(row.case, row.standing.word) for row in of_evals.evals] == [("greets", "failed"), ("hours", "passed")]


def test_a_chart_marks_what_was_done_and_not_what_was_refused() -> None:
    done = release(status=status_with(target("Stepping"), rollback=record("Done")))
    refused = release(status=status_with(None, rollback=record("Refused")))
    assert [what for what, when in moments(done) if when] == ["canary v4", "rollback"]
    assert [what for what, when in moments(refused) if when] == []


def test_an_incident_is_told_as_its_postmortem_tells_it() -> None:
    episode = postmortems.closed_loop()
    view = incident_view(*episode)
    assert view.told == episode.document
    assert [(row.service, row.count, row.share) for row in view.alerts] == [("answers", 20, 1.0), ("web", 18, 0.9)]
    assert view.alerts_said == "38 alerts, 0 firing."
    assert [row.id for row in view.tickets] == ["T-5"]
    assert view.said == "answers-1 is Resolved, sev1; 8 entries in its timeline"


def test_services_beyond_the_most_are_summed_up() -> None:
    counts = {f"s{n:03}": 100 - n for n in range(MOST_SERVICES + 2)}
    view = incident_view(incident(status={"alerts": {"count": 9, "byService": counts}}), None, None)
    assert len(view.alerts) == MOST_SERVICES + 1
    assert (view.alerts[-1].service, view.alerts[-1].count) == ("2 other services", 50 + 49)


@pytest.mark.parametrize(
    ("strategy", "steps"),
    [
        pytest.param({"type": "direct"}, "none, shipped directly", id="a direct strategy has no steps"),
        pytest.param(
            {
                "traffic": "httpRoute",
                "httpRoute": {"name": "shop"},
                "canary": {"steps": [{"match": {"headers": [{"name": "x", "value": "y"}]}}, {"weight": 100}]},
            },
            "testers (x: y), 100 %",
            id="testers first: no step says 0 %",
        ),
    ],
)
def test_steps_are_told_as_the_command_line_does(strategy: dict[str, Any], steps: str) -> None:
    told = {fact.name: fact.text for fact in viewed(status_with(None), strategy=strategy).facts}
    assert told["Steps"] == steps
