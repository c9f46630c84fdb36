"""Which cases gate a promotion, and the verdict of their results."""

from typing import Any

import pytest

from opsloop.api.evalcase import Steadiness
from opsloop.api.strategy import Evals
from opsloop.api.target import CaseResult
from opsloop.core.evalcase.gating import is_asked, judge, kept, select, times, with_loads
from tests.builders.evalcases import T0, case, proven, release


def result(
    canary: tuple[int, int],
    live: tuple[int, int] = (1, 1),
    must: bool = False,
    name: str = "c",
    asked: int = 0,
    share: float = 1.0,
    worse: int = 0,
    better: int = 0,
    flaky: bool = False,
) -> CaseResult:
    return CaseResult(
        worse=worse, better=better, flaky=flaky,
        case=name, must_pass=must, min_share=share, asked=asked, canary_passed=canary[0], canary_runs=canary[1], live_passed=live[0], live_runs=live[1]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("results", "margin", "verdict", "reason"),
    [
        pytest.param([], 1.0, "inconclusive", "NoCases", id="zero cases run is never a pass"),
        pytest.param([result((3, 3), must=True)], 0.0, "passed", "EvalsPassed", id="the must-pass case passed each time"),
        pytest.param([result((2, 3), must=True)], 1.0, "failed", "MustPassFailed", id="a must-pass case has no margin"),
        pytest.param([result((0, 3), (0, 3), must=True)], 1.0, "failed", "MustPassFailed", id="that live fails too excuses no must-pass case"),
        pytest.param([result((3, 3), (0, 0), must=True)], 0.0, "passed", "EvalsPassed", id="a must-pass case needs no live pods"),
        pytest.param([result((0, 0), must=True)], 0.0, "inconclusive", "NoAnswer", id="a must-pass case without an answer is no pass"),
        pytest.param([result((1, 1), must=True, asked=20)], 0.0, "inconclusive", "NoAnswer", id="a must-pass case that answered 1 of 20 times is no pass"),
        pytest.param([result((20, 20), (0, 0), must=True, asked=20)], 0.0, "passed", "EvalsPassed", id="answered each time it is one"),
        pytest.param([result((9, 10), must=True, asked=10, share=0.9)], 0.0, "passed", "EvalsPassed", id="nine of ten are enough where a tenth may be wrong"),
        pytest.param([result((8, 10), must=True, asked=10, share=0.9)], 0.0, "failed", "MustPassFailed", id="eight of ten are not"),
        pytest.param([result((8, 9), must=True, asked=10, share=0.9)], 0.0, "inconclusive", "NoAnswer", id="the missing tenth answer decides"),
        pytest.param([result((9, 9), must=True, asked=10, share=0.9)], 0.0, "passed", "EvalsPassed", id="the missing tenth answer cannot change it"),
        pytest.param([result((0, 1), must=True, asked=20)], 0.0, "failed", "MustPassFailed", id="one failure is one, however many answers are missing"),
        pytest.param([result((20, 20), (19, 19), asked=20)], 0.0, "inconclusive", "NoAnswer", id="a case that is compared needs all answers of both sides"),
        pytest.param([result((0, 0)), result((0, 1), must=True)], 0.0, "failed", "MustPassFailed", id="a sure failure counts beside an unanswered case"),
        pytest.param([result((3, 3)), result((0, 0))], 0.0, "inconclusive", "NoAnswer", id="one unanswered case leaves it open"),
        pytest.param([result((3, 3), (0, 0))], 0.0, "inconclusive", "NoAnswer", id="without live there is nothing to compare with"),
        pytest.param([result((9, 10), (10, 10))], 0.1, "passed", "EvalsPassed", id="worse by just the margin is allowed"),
        pytest.param([result((4, 10), (10, 10), worse=6)], 0.1, "failed", "WorseThanLive", id="worse by more than the margin is not, where it is no chance"),
        pytest.param([result((8, 10), (10, 10), worse=2)], 0.1, "inconclusive", "MayBeChance", id="two answers that differ may be chance"),
        pytest.param([result((0, 1), (1, 1), worse=1)], 0.0, "inconclusive", "MayBeChance", id="one answer that differs may be chance"),
        pytest.param([result((0, 5), (5, 5), worse=5)], 0.0, "failed", "WorseThanLive", id="five of five times is no chance"),
        pytest.param([result((2, 10), (3, 10), worse=7, better=6)], 0.0, "inconclusive", "MayBeChance", id="seven against and six for may be chance"),
        pytest.param([result((0, 5), (5, 5), worse=5), result((5, 5), (0, 5), better=5)], 0.0, "passed", "EvalsPassed", id="as often better as worse is not worse"),
        pytest.param([result((1, 3), (2, 3), must=True)], 0.0, "inconclusive", "Flaky", id="where live itself was right and wrong the case may be at fault: asked again"),
        pytest.param([result((16, 20), (15, 20), must=True, asked=20, flaky=True, worse=3, better=4)], 0.0, "passed", "EvalsPassed", id="a flaky must-pass case stops no canary that is like live"),
        pytest.param([result((5, 20), (15, 20), must=True, asked=20, flaky=True, worse=12, better=2)], 0.0, "failed", "WorseThanLive", id="it still stops one that is surely worse"),
        pytest.param([result((0, 20), (20, 20), must=True, asked=20, flaky=True, worse=20)], 0.0, "failed", "WorseThanLive", id="and one that is wrong each time"),
        pytest.param([result((0, 19), (15, 20), must=True, asked=20, flaky=True, worse=4)], 0.0, "inconclusive", "NoAnswer", id="for that it has to be answered each time"),
        pytest.param([result((0, 0), asked=0, flaky=True), result((3, 3), must=True, asked=3)], 0.0, "passed", "EvalsPassed", id="another flaky case is left out"),
        pytest.param([result((0, 0), (0, 0), asked=0, flaky=True)], 1.0, "inconclusive", "NoCases", id="where all are left out nothing ran"),
        pytest.param([result((14, 20), (20, 20), must=True, asked=20, flaky=True, worse=6), *[result((20, 20), (20, 20), must=True, asked=20, flaky=True)] * 3], 0.0, "passed", "EvalsPassed", id="of four that are compared each has a quarter of the chance"),
        pytest.param([result((0, 10), (0, 10))], 0.0, "passed", "EvalsPassed", id="as bad as live is not worse"),
        pytest.param([result((1, 1), (0, 1)), result((0, 1), (1, 1))], 0.0, "passed", "EvalsPassed", id="cases that are not must-pass are judged together"),
        pytest.param([result((1, 1), (1, 1)), result((0, 9), (1, 1), worse=9)], 0.4, "failed", "WorseThanLive", id="each case counts once, however often it was asked"),
    ],
)  # fmt: skip
def test_judging_results(results: list[CaseResult], margin: float, verdict: str, reason: str) -> None:
    said = judge(results, margin)
    assert (said.verdict, said.reason) == (verdict, reason)


def test_a_failed_gate_names_the_case_and_what_it_said() -> None:
    failed = result((1, 3), must=True, name="refund").model_copy(update={"message": "wanted X, got Y"})
    assert judge([failed], 0).message == "refund failed 2 of 3: wanted X, got Y"


def test_a_failed_gate_says_how_many_failures_would_have_been_allowed() -> None:
    failed = result((7, 10), must=True, name="summary", asked=10, share=0.9)
    assert judge([failed], 0).message == "summary failed 3 of 10 (1 allowed)"


def test_a_case_that_nobody_answered_says_why() -> None:
    silent = result((0, 0), must=True, asked=2).model_copy(update={"message": "no answer (SecretMissing): x"})
    assert judge([silent], 0).message == "no answer to c (0 of 2: no answer (SecretMissing): x)"


def test_an_unanswered_case_is_named_with_its_number_of_answers() -> None:
    assert judge([result((1, 1), must=True, asked=20)], 0).message == "no answer to c (1 of 20)"


def test_the_status_keeps_failures_and_must_pass_cases_first() -> None:
    many = [result((1, 1), name=f"plain-{n:03}") for n in range(300)]
    special = [result((0, 1), name="z-failed"), result((1, 1), must=True, name="z-must")]
    names = [r.case for r in kept([*many, *special])]
    assert len(names) == 200 and names == sorted(names) and {"z-failed", "z-must"} <= set(names)
    assert kept(special) == special


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        pytest.param(case(status=proven()), True, id="a proven regression case gates"),
        pytest.param(case(), False, id="an unproven regression case gates nothing"),
        pytest.param(case(status=proven(proven="False")), False, id="a disproven one gates nothing"),
        pytest.param(
            case(generation=2, status=proven()), False, id="a case that was edited after its proof gates nothing"
        ),
        pytest.param(case(kind="manual"), True, id="a person's case gates as it is"),
        pytest.param(case(kind="manual", release="web"), False, id="a case of another Release does not"),
    ],
)
def test_which_cases_gate(one: Any, counts: bool) -> None:
    assert select([one], release()) == ((one,) if counts else ())


def test_a_case_that_is_being_deleted_gates_nothing() -> None:
    leaving = case(kind="manual")
    meta = leaving.metadata.model_copy(update={"deletion_timestamp": T0})
    assert select([leaving.model_copy(update={"metadata": meta})], release()) == ()


def test_only_cases_with_the_wanted_labels_gate() -> None:
    smoke, slow = case("a", kind="manual", labels={"tier": "smoke", "x": "y"}), case("b", kind="manual")
    assert select([slow, smoke], release(Evals(port=1, match_labels={"tier": "smoke"}))) == (smoke,)


def test_gating_cases_come_by_name_and_not_as_they_were_listed() -> None:
    one, two = case("a", kind="manual"), case("b", kind="manual")
    assert select([two, one], release()) == select([one, two], release()) == (one, two)


def test_a_release_without_evals_is_gated_by_nothing() -> None:
    wanting = release()
    without = wanting.model_copy(update={"spec": wanting.spec.model_copy(update={"evals": None})})
    assert select([case(kind="manual")], without) == ()


def test_a_comparison_says_what_it_rests_on_and_what_it_could_not_have_seen() -> None:
    said = judge([result((4, 10), (10, 10), worse=6), result((1, 1), must=True)], 0.1).message
    assert said == (
        "right without must-pass: canary 40%, live 100% over 1 eval case, margin 10%; of 6 pairs of answers that differ 6 speak against the canary"
        " (McNemar's exact test: p = 0.016)"
    )
    passed = [result((3, 3), (3, 3), name=f"c{n}") for n in range(11)] + [result((1, 1), must=True)]
    assert judge(passed, 0).message == (
        "12 eval cases with 34 answers, 1 must-pass; right without must-pass: canary 100%, live 100%;"
        " faults in less than 22% of what users ask may have been missed"
    )


def test_the_verdict_names_what_was_set_aside_and_does_not_count_it() -> None:
    told = judge(
        [
            result((3, 3), (3, 3), must=True, asked=3, name="refund"),
            result((0, 0), (0, 0), flaky=True, name="wording"),
            result((16, 20), (17, 20), must=True, asked=20, flaky=True, name="total", worse=2, better=1),
        ],
        0.0,
    )
    assert told.verdict == "passed" and told.message == (
        "1 eval case with 3 answers, 1 must-pass; set aside as flaky: total (compared with live instead of must-pass: right"
        " 16 of 20, live 17 of 20), wording; faults in less than 95% of what users ask may have been missed"
    )


def test_a_flaky_case_is_asked_twenty_times_where_it_is_must_pass_and_not_at_all_elsewhere() -> None:
    aside = proven(steadiness=Steadiness(digest="d" * 16, right=9, wrong=1, flaky_since=T0))
    must, other = case("a", kind="manual", status=aside, must_pass=True), case("b", kind="manual", status=aside)
    assert (times(must, 1), times(other, 3), is_asked(must), is_asked(other)) == (20, 3, True, False)
    edited = case("a", kind="manual", generation=2, status=aside, must_pass=True)
    assert (times(edited, 1), is_asked(edited)) == (1, True)


def under_load(good: int, asked: int = 600, answered: int | None = None) -> CaseResult:
    runs = asked if answered is None else answered
    return CaseResult(
        case="busy",
        must_pass=True,
        min_share=0.99,
        asked=asked,
        canary_passed=good,
        canary_runs=runs,
        live_passed=0,
        live_runs=0,
        load="20/s for 30s",
        message="first: wanted a reply within 300ms, got one after 812ms",
    )


def test_a_check_under_load_stops_a_canary_below_its_share_and_needs_nothing_of_live() -> None:
    told = judge([result((1, 1)), under_load(580)], 0.0)
    assert (told.verdict, told.reason) == ("failed", "MustPassFailed")
    assert told.message == "busy failed 20 of 600 (6 allowed): first: wanted a reply within 300ms, got one after 812ms"
    assert judge([result((1, 1)), under_load(300, answered=300)], 0.0).reason == "NoAnswer"


def test_a_check_under_load_is_told_apart_and_counted_as_no_question() -> None:
    assert judge([result((1, 1)), under_load(598)], 0.0).message == (
        "1 eval case with 1 answer, 0 must-pass; right without must-pass: canary 100%, live 100%; busy: 598 of 600 replies good under"
        " 20/s for 30s; faults in less than 95% of what users ask may have been missed"
    )
    assert judge([under_load(600)], 0.0).message == "no eval case; busy: 600 of 600 replies good under 20/s for 30s"


def test_the_dark_phases_check_stands_beside_the_results_of_later_steps() -> None:
    first, later = [result((1, 1), name="a"), under_load(600)], [result((0, 1), name="a")]
    assert [(r.case, r.canary_passed) for r in with_loads(later, first)] == [("a", 0), ("busy", 600)]
    assert with_loads([under_load(1)], first) == [under_load(1)]
