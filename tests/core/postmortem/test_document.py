"""The postmortem against golden files (GOLDEN=write rewrites them: read the diff), and its rules as tables."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from opsloop.api.cause import Evidence
from opsloop.api.incident import TimelineEntry
from opsloop.core.postmortem import causes, lessons
from opsloop.core.postmortem.gaps import RULES, gaps
from opsloop.core.postmortem.markdown import block, code, length, number, percent, plain, span, text
from tests.builders.evalcases import at, case, release
from tests.builders.postmortems import BURN, EPISODES, Episode, closed_loop, fix_open, hostile, incident, still_open

GOLDEN = Path(__file__).parent / "golden"


def rendered(episode: Episode) -> str:
    return episode.markdown


@pytest.mark.parametrize("name", EPISODES)
def test_reads_as_the_golden_file(name: str) -> None:
    path, said = GOLDEN / f"{name}.md", rendered(EPISODES[name]())
    if os.environ.get("GOLDEN") == "write":
        path.write_text(said)
    assert said == path.read_text()


@pytest.mark.parametrize("name", EPISODES)
def test_the_same_incident_gives_the_same_text(name: str) -> None:
    assert rendered(EPISODES[name]()) == rendered(EPISODES[name]())


@pytest.mark.parametrize("name", EPISODES)
def test_tables_have_the_same_number_of_cells_in_each_row(name: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", rendered(EPISODES[name]()), flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_no_name_of_a_person_is_in_it() -> None:
    assert "Priya" not in rendered(closed_loop())
    assert "Mallory" not in rendered(hostile())


def test_foreign_text_makes_no_heading_link_markup_or_image() -> None:
    said = rendered(hostile())
    headings = [line for line in said.splitlines() if line.startswith("#")]
    assert len(headings) == 12  # the title and eleven sections
    assert not re.search(r"(?<!\\)<(?!https://ok)", said)
    assert not re.search(r"(?<!\\)\[(?![ x]\])", said)
    assert "javascript" not in said
    assert "\u202e" not in said


def test_what_is_not_known_is_called_unknown() -> None:
    said = rendered(still_open())
    assert "| Onset | unknown |" in said
    assert "The cause is not known." in said
    assert "None" not in said


def with_status(episode: Episode, **changes: Any) -> Episode:
    status = episode.incident.status.model_copy(update=changes)
    return Episode(episode.incident.model_copy(update={"status": status}), episode.release, episode.case)


GAPS = [
    pytest.param(closed_loop(), "Shipped without a canary", True, id="the blamed revision was pushed by hand"),
    pytest.param(fix_open(), "Shipped without a canary", False, id="the blamed revision went through a canary"),
    pytest.param(with_status(closed_loop(), cause=None), "Shipped without a canary", False, id="no cause is known, so nothing is blamed"),
    pytest.param(fix_open(), "The canary did not catch it", True, id="a canary let it pass"),
    pytest.param(closed_loop(), "No eval case covered this", True, id="the case came from this incident"),
    pytest.param(fix_open(), "`greeting`, `opening-hours` ran in the promotion and passed", True, id="cases ran and passed"),
    pytest.param(still_open(), "No eval case covered this", False, id="nothing says which cases there were"),
    pytest.param(fix_open(), "Users told us before any monitor did:** 2 min 12 s earlier", True, id="a ticket came first"),
    pytest.param(closed_loop(), "Users told us", False, id="the ticket came after detection"),
    pytest.param(still_open(), "Detected by the SLO only", True, id="no alert rule fired"),
    pytest.param(closed_loop(), "Detected by the SLO only", False, id="alert rules fired as well"),
    pytest.param(fix_open(), "unproven revision", True, id="the rollback went to what had only been adopted"),
    pytest.param(closed_loop(), "unproven revision", False, id="the rollback went to a proven last-good"),
    pytest.param(fix_open(), "**A play did not help.** `restart`", True, id="a play did not help"),
    pytest.param(still_open(), "The page did not reach anybody", True, id="the page failed"),
    pytest.param(fix_open(), "It came back once", True, id="it was reopened"),
    pytest.param(hostile(), "No Release looks after this service", True, id="there is no Release"),
]  # fmt: skip


@pytest.mark.parametrize(("episode", "sentence", "said"), GAPS)
def test_gaps(episode: Episode, sentence: str, said: bool) -> None:
    assert any(sentence in text for rule, text in gaps(episode.subject) if rule in RULES) == said


ACTIONS = [
    pytest.param(closed_loop(), True, "gates promotions of `answers` from now on (proven)", id="the case is proven"),
    pytest.param(closed_loop(), True, "Fix `v4` promoted", id="the fix was promoted with the case"),
    pytest.param(closed_loop(), False, "Put changes of `answers` through its Release", id="a hand pushed it"),
    pytest.param(fix_open(), False, "until then it gates nothing (PassesOnBad)", id="the case is not proven"),
    pytest.param(fix_open(), False, "Ship a fix of `v2`: still open, users have `v1` meanwhile", id="no fix yet"),
    pytest.param(still_open(), False, "Find the cause", id="the cause is unknown"),
    pytest.param(still_open(), False, "Write an EvalCase", id="there is no case"),
    pytest.param(hostile(), False, "Write a Release", id="there is no Release"),
]


@pytest.mark.parametrize(("episode", "done", "sentence"), ACTIONS)
def test_actions(episode: Episode, done: bool, sentence: str) -> None:
    assert [d for _, d, what in lessons.actions(episode.subject) if sentence in what] == [done]


def test_a_fix_that_was_promoted_without_the_case_is_not_done() -> None:
    fix = closed_loop().incident.status.fix
    assert fix is not None
    episode = with_status(closed_loop(), fix=fix.model_copy(update={"case_passed": False}))
    assert [done for _, done, what in lessons.actions(episode.subject) if "**without**" in what] == [False]


def test_nothing_went_well_that_the_record_does_not_show() -> None:
    assert lessons.went_well(still_open().subject) == []


def test_what_a_user_saw_first_was_not_noticed_well() -> None:
    assert any("was noticed 10 s after onset" in s for s in lessons.went_well(closed_loop().subject))
    assert not any("was noticed" in s for s in lessons.went_well(fix_open().subject))


def test_what_has_not_happened_is_told_from_what_was_not_seen() -> None:
    assert "| Resolved | not yet |" in rendered(fix_open())
    unseen = with_status(closed_loop(), mitigated_at=None)
    assert "| Mitigated | unknown |" in rendered(unseen)


REJECTED = {"digest": "3ebad3ebad3ebad3", "version": "v3"}


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        pytest.param({}, "and never became live", id="no record of its canary"),
        pytest.param(
            {"target": {**REJECTED, "state": "Rejected", "started_at": at(100)}},
            "before it served any user",
            id="it was the last target, and took no traffic",
        ),
        pytest.param(
            {"history": [{**REJECTED, "what": "Rejected", "at": at(100)}]},
            "before it served any user",
            id="the history has it, however many versions came after it",
        ),
        pytest.param(
            {"history": [{**REJECTED, "what": "Rejected", "at": at(100), "served_since": at(90)}]},
            "and never became live",
            id="it served a share before",
        ),
        pytest.param(
            {
                "history": [
                    {**REJECTED, "what": "Cancelled", "at": at(90), "served_since": at(80)},
                    {**REJECTED, "what": "Rejected", "at": at(100)},
                ]
            },
            "and never became live",
            id="it served a share in an earlier try",
        ),
    ],
)
def test_whether_a_rejected_version_served_anybody(recorded: dict[str, Any], said: str) -> None:
    episode = closed_loop()
    assert episode.release is not None
    rejected = release(revisions=episode.release.status.revisions, **recorded)
    told = lessons.went_well(Episode(episode.incident, rejected, episode.case).subject)
    assert any(f"`v3` was rejected {said}" in sentence for sentence in told)


def test_two_revisions_of_one_version_are_told_apart() -> None:
    episode = fix_open()
    assert episode.release is not None
    twins = [r.model_copy(update={"version": "v2"}) for r in episode.release.status.revisions]
    status = episode.release.status.model_copy(update={"revisions": twins})
    told = Episode(episode.incident, episode.release.model_copy(update={"status": status}), None)
    assert told.subject.blamed_version == "`v2` (revision `badbadba`)"


def test_an_incident_with_nothing_but_a_signal_can_be_rendered() -> None:
    said = rendered(Episode(incident(), None, None))
    assert "On an unknown date" not in said
    assert "From an unknown time on, 20.4 %" in said
    assert rendered(Episode(incident(burn=BURN), release(), case())).startswith("# Postmortem: answers burns")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (0.25, "0.2 s"), (9.96, "10 s"), (12.4, "12 s"), (59.7, "1 min"), (65, "1 min 5 s"), (3725, "1 h 2 min"), (90000, "1 d 1 h")],
)  # fmt: skip
def test_lengths(seconds: float, told: str) -> None:
    assert length(at(seconds) - at(0)) == told


def test_spans() -> None:
    assert span(at(0), at(65)) == "1 min 5 s"
    assert span(at(65), at(0)) == "1 min 5 s earlier"
    assert span(None, at(0)) == span(at(0), None) == "unknown"


@pytest.mark.parametrize(
    ("share", "told"), [(0.2, "20 %"), (0.2043, "20.4 %"), (0.0005, "0.05 %"), (0.999, "99.9 %"), (1, "100 %"), (0, "0 %")]
)  # fmt: skip
def test_percent(share: float, told: str) -> None:
    assert percent(share) == told


def test_numbers() -> None:
    assert (number(96), number(20.44), number(12345)) == ("96", "20.4", "12,345")


def test_text_is_cut_cleaned_and_escaped() -> None:
    assert plain("a\x00b\u202e c\n\td" + "x" * 400, 9) == "a b c dx…"
    assert text("a|b`c` <d> [e](f) *g* _h_ i_j \\") == "a\\|b\\`c\\` \\<d> \\[e\\](f) \\*g\\* \\_h\\_ i_j \\\\"
    assert code("a`b|c") == "`a'b\\|c`"
    assert code("") == ""


def test_a_block_of_foreign_lines_stays_a_quotation() -> None:
    assert block("# a\n1. b\n\n- c") == "> \\# a\n> 1\\. b\n>\n> \\- c"


@pytest.mark.parametrize(
    ("odds", "said"),
    [
        pytest.param(0.7, "×2", id="twice as likely"),
        pytest.param(5.2, "×180", id="two digits are enough"),
        pytest.param(-1.2, "÷3.3", id="a third as likely"),
        pytest.param(0.1, "×1.1", id="hardly anything"),
        pytest.param(12.0, "×160,000", id="thousands are told apart"),
        pytest.param(1e9, "×490,000,000", id="no number is too large for it"),
    ],
)
def test_log_odds_are_told_as_a_factor(odds: float, said: str) -> None:
    assert causes.factor(odds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("+5.2: the harm began 4 s later", "before and after: the harm began 4 s later (×180, `error ratio`)", id="for it"),
        pytest.param("-0.7: of 5", "before and after: of 5 (÷2, `error ratio`)", id="against it"),
        pytest.param("+0.0: within 60 min", "before and after: within 60 min (`error ratio`)", id="it is worth nothing"),
        pytest.param("20 %", "before and after: 20 % (`error ratio`)", id="a mere value"),
    ],
)  # fmt: skip
def test_evidence_is_told_with_what_it_is_worth(value: str, said: str) -> None:
    assert causes.said(Evidence(name="before and after", value=value, source="error ratio")) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "over 99 %"), (0.0, "under 1 %"), (0.5, "50 %"), (0.99, "99 %"), (0.01, "1 %")],
)
def test_a_share_claims_no_certainty(share: float, said: str) -> None:
    assert causes.share_said(share) == said


def test_versions_that_a_canary_stopped_are_told_apart_from_the_one_that_was_live() -> None:
    episode = closed_loop()
    stopped = "3ebad3ebad3ebad3"
    both = with_status(episode, blocked=[*episode.incident.status.blocked, stopped])
    said = lessons.went_well(both.subject)
    assert "`v2` is blocked: it cannot be promoted again by mistake." in said
    assert sum("`v3`" in sentence for sentence in said) == 1 and any(
        "`v3` was rejected" in sentence for sentence in said
    )


def test_harm_that_came_back_says_when_it_had_been_over() -> None:
    episode = closed_loop()
    first = TimelineEntry(key="mitigated-1", at=at(40), type="Mitigated", actor="opsloop", message="the SLI is back")
    timeline = sorted([*episode.incident.status.timeline, first], key=lambda e: e.at)
    again = rendered(with_status(episode, timeline=timeline, reopened=1))
    assert "from onset to mitigation; it had been mitigated at 10:00:40, and came back |" in again
    assert "It came back once in between." in again
