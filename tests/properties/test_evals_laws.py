"""Laws of eval cases: what no order, count or text can change."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.evalcase import EvalCase
from opsloop.api.reported import TicketExample
from opsloop.api.target import CaseResult
from opsloop.core.actions import ProbeQuarantine, StartQuarantine, StopQuarantine
from opsloop.core.evalcase.capture import from_ticket
from opsloop.core.evalcase.decide import decide
from opsloop.core.evalcase.expectation import SERVER_ERRORS, answer, compare
from opsloop.core.evalcase.gating import judge
from opsloop.core.evalcase.quarantine import is_name, labels, pod_from_template, pod_name, selected_by
from opsloop.core.facts import PodFacts, ProbeReply
from tests.builders.evalcases import BAD, CASE, GOOD, at, case, facts, release, template, ticket
from tests.builders.postmortems import Episode, hostile


@st.composite
def results(draw: st.DrawFn) -> CaseResult:
    canary_runs, live_runs = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    return CaseResult(
        case=draw(st.sampled_from("abcdef")),
        must_pass=draw(st.booleans()),
        canary_runs=canary_runs,
        canary_passed=draw(st.integers(0, canary_runs)),
        live_runs=live_runs,
        live_passed=draw(st.integers(0, live_runs)),
    )


RESULTS = st.lists(results(), max_size=6)
MARGIN = st.floats(0, 1)
RANK = {"failed": 0, "inconclusive": 1, "passed": 2}


@given(RESULTS, MARGIN)
def test_a_pass_means_that_every_case_was_answered_and_no_must_pass_case_failed(
    said: list[CaseResult], margin: float
) -> None:
    if judge(said, margin).verdict == "passed":
        assert said
        assert all(r.canary_runs > 0 for r in said)
        assert all(r.canary_passed == r.canary_runs for r in said if r.must_pass)


@given(RESULTS, MARGIN, st.randoms())
def test_the_order_of_results_does_not_matter(said: list[CaseResult], margin: float, chance: Any) -> None:
    mixed = list(said)
    chance.shuffle(mixed)
    assert judge(mixed, margin).verdict == judge(said, margin).verdict


@given(RESULTS, MARGIN, st.data())
def test_one_more_failure_on_the_canary_never_helps(said: list[CaseResult], margin: float, data: st.DataObject) -> None:
    passing = [n for n, r in enumerate(said) if r.canary_passed > 0]
    if passing:
        n = data.draw(st.sampled_from(passing))
        worse = [*said]
        worse[n] = said[n].model_copy(update={"canary_passed": said[n].canary_passed - 1})
        assert RANK[judge(worse, margin).verdict] <= RANK[judge(said, margin).verdict]


@given(RESULTS, MARGIN, MARGIN)
def test_a_wider_margin_never_hurts(said: list[CaseResult], one: float, two: float) -> None:
    narrow, wide = sorted((one, two))
    assert RANK[judge(said, narrow).verdict] <= RANK[judge(said, wide).verdict]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(JSON, st.text(max_size=20), st.none() | st.text(max_size=20), st.integers(0, 599))
def test_whatever_comes_back_there_is_one_of_three_answers(
    body: Any, path: str, wanted: str | None, status: int
) -> None:
    answer = compare(EvalExpect(field=path, equals=wanted), ProbeReply(status, json.dumps(body)))
    assert answer.fit in ("passed", "failed", "no_answer")
    assert (answer.fit == "no_answer") == (status == 0)
    assert (answer.message == "") == (answer.fit == "passed")
    assert len(answer.message) <= 300


REPLIES = st.sampled_from(
    [ProbeReply(0, "", "timeout"), ProbeReply(500, ""), ProbeReply(200, "x"), ProbeReply(200, "y")]
)


@given(st.lists(REPLIES, min_size=3, max_size=3), st.integers(0, 2))
def test_one_time_out_among_the_replies_never_turns_an_answer_around(replies: list[ProbeReply], at_: int) -> None:
    """With any one reply lost, the answer is the same, or another real reply's, or none at all."""
    expect = EvalExpect(equals="x")
    lost = [*replies[:at_], ProbeReply(0, "", "timeout"), *replies[at_ + 1 :]]
    given_ = next((a for n in range(1, 4) if (a := answer(expect, lost[:n], SERVER_ERRORS))), None)
    assert given_ is not None
    real = {compare(expect, r).fit for r in lost if 0 < r.status < 500}
    assert given_.fit in real | {"no_answer"}


@given(st.text(min_size=1, max_size=300).filter(lambda s: s.strip()))
def test_a_question_comes_out_of_the_path_as_it_went_in(asked: str) -> None:
    example = TicketExample(asked=asked, expected="x")
    spec = from_ticket("i-1", release(), ticket(example=example), BAD, GOOD)
    if spec is not None:
        url = urlsplit(f"http://pod{spec.request.path}")
        assert (url.path, url.fragment) == ("/ask", "")
        assert parse_qs(url.query, keep_blank_values=True) == {"q": [asked.strip()]}


NAME = st.from_regex(r"\A[a-z0-9]([-a-z0-9.]{0,100}[a-z0-9])?\Z")
LABELS = st.dictionaries(st.sampled_from(["app", "team", "app.kubernetes.io/name"]), st.sampled_from("abc"), min_size=1)


@given(NAME, st.integers(1, 99), LABELS)
def test_no_service_that_selects_the_live_pods_selects_a_quarantined_one(
    name: str, attempt: int, of: dict[str, str]
) -> None:
    body = template()
    body["metadata"]["labels"] = of
    pod = pod_from_template(name, "answers", BAD, pod_name(name, BAD, attempt), "shop", body)
    assert not set(of) - {"app.kubernetes.io/managed-by"} & pod["metadata"]["labels"].keys()
    assert selected_by(labels(name, "answers", BAD), [of]) is None
    assert len(pod["metadata"]["name"]) <= 63
    assert is_name(pod["metadata"]["name"])


@given(st.text(max_size=400), st.text(max_size=100))
def test_no_text_breaks_out_of_the_postmortem(evil: str, short: str) -> None:
    episode = hostile()
    status = episode.incident.status
    entry = status.timeline[0].model_copy(update={"message": evil, "type": short[:32], "actor": short})
    spec = episode.incident.spec.model_copy(update={"title": evil})
    incident = episode.incident.model_copy(
        update={"spec": spec, "status": status.model_copy(update={"timeline": [entry]})}
    )  # fmt: skip
    said = Episode(incident, None, None).markdown
    assert sum(line.startswith("#") for line in said.split("\n")) == 12
    rows = [
        line for line in said.split("\n") if ("**" in line and line.startswith("| 2026-")) or line.startswith("| 10:")
    ]
    assert len(rows) == 1


class Proof(RuleBasedStateMachine):
    """The proof against a world that is slow, dies between any two acts, and reads what was stored."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.case: EvalCase = case()
        self.pods: dict[str, PodFacts] = {}
        self.outcomes: dict[str, tuple[bool, str]] = {}
        self.asked: dict[str, str] = {}  # digest → pod that is being asked
        self.most_pods = 0

    def _facts(self) -> Any:
        return facts(case=self.case, pods=tuple(self.pods.values()), outcomes=dict(self.outcomes))

    @rule(dies_after=st.integers(0, 4), stored=st.booleans())
    def look(self, dies_after: int, stored: bool) -> None:
        """One reconcile; it may die before the status is stored, or after any action."""
        decision = decide(self._facts(), at(self.now))
        if decision.status is not None:
            if not stored:
                return
            self.case = self.case.model_copy(update={"status": decision.status})
        for action in decision.actions[:dies_after]:
            self._act(action)

    def _act(self, action: object) -> None:
        if isinstance(action, StartQuarantine):
            new = PodFacts(action.pod, action.digest, "", False, False, False)
            self.pods.setdefault(action.pod, new)
        elif isinstance(action, ProbeQuarantine):
            self.asked[action.digest] = action.pod_ip
        elif isinstance(action, StopQuarantine):
            for name in action.pods:
                if name in self.pods:
                    self.pods[name] = replace(self.pods[name], deleting=True)
            if action.forget:
                self.outcomes.clear()
                self.asked.clear()

    @rule(seconds=st.sampled_from([1, 10, 40, 130]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.pods)
    @rule(data=st.data(), fails=st.booleans())
    def a_pod_gets_ready_or_fails(self, data: st.DataObject, fails: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.pods)))
        change: dict[str, Any] = {"failing": "Error"} if fails else {"containers_ready": True, "ip": "10.0.0.1"}
        self.pods[name] = replace(self.pods[name], **change)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def a_pod_answers_the_truth(self, data: st.DataObject) -> None:
        digest = data.draw(st.sampled_from(sorted(self.asked)))
        self.outcomes[digest] = (digest == GOOD, "m")

    @rule()
    def what_is_deleted_goes(self) -> None:
        self.pods = {n: p for n, p in self.pods.items() if not p.deleting}

    @rule()
    def the_operator_restarts(self) -> None:
        self.outcomes.clear()
        self.asked.clear()

    @rule()
    def somebody_edits_the_case(self) -> None:
        meta = self.case.metadata
        self.case = self.case.model_copy(
            update={"metadata": meta.model_copy(update={"generation": meta.generation + 1})}
        )

    @invariant()
    def at_most_one_pod_a_revision(self) -> None:
        alive = [p.digest for p in self.pods.values() if not p.deleting]
        assert len(alive) == len(set(alive))
        assert len(self.pods) <= 2

    @invariant()
    def at_most_three_attempts(self) -> None:
        assert self.case.status.attempts <= 3

    @invariant()
    def what_is_said_is_true(self) -> None:
        """The pods tell the truth here, so a verdict can only be Proven, and never without both runs."""
        status = self.case.status
        assert status.proven in ("True", "Unknown")
        if status.proven == "True":
            assert status.bad and not status.bad.passed and status.good and status.good.passed

    def teardown(self) -> None:
        """Left alone, with pods that work, it ends: proven or out of attempts, and no pod is left."""
        for _ in range(60):
            self.look(9, True)
            self.what_is_deleted_goes()
            for name, pod in self.pods.items():
                self.pods[name] = replace(pod, containers_ready=True, ip="10.0.0.1")
            for digest in list(self.asked):
                self.outcomes[digest] = (digest == GOOD, "m")
            self.now += 5
        assert self.case.status.proven == "True" or self.case.status.attempts == 3
        assert self.pods == {}
        assert self.case.metadata.name == CASE


TestProof = Proof.TestCase
