"""`opsloop get`, `status`, `rollout wait`, completion, and the namespace of the context: what a person sees."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from opsloop.adapters.kube import context_namespace
from opsloop.api.incident import Incident
from opsloop.api.meta import Condition
from opsloop.api.records import RollbackRecord
from opsloop.api.release import Release, ReleaseStatus
from opsloop.api.warm import WarmPods
from opsloop.entry.cli import rollout
from opsloop.entry.cli import status as status_cli
from opsloop.entry.cli.commands import parser
from opsloop.entry.cli.completion import complete
from opsloop.entry.cli.listing import age
from opsloop.entry.cli.tree import MOST_PODS, NARROWEST, Seen, picture
from opsloop.errors import Invalid
from opsloop.names import GATE
from opsloop.shell.ports import RELEASES
from tests.builders import yamls
from tests.builders.answering import NS, Fake, release_body
from tests.builders.objects import V1, V4, at, incident, template
from tests.builders.rollouts import ADOPTED, BAD, BLOCK, TRIED, record, result, revision, status_with, target
from tests.entry.test_acts_cli import STEPPING, call

NOW = at(100)
CASES = {"evals": {"port": 8080}}


def stored(
    name: str = "answers", namespace: str = NS, status: ReleaseStatus | None = None, **spec: Any
) -> dict[str, Any]:
    body = release_body(namespace=namespace, **spec)
    body["metadata"]["name"] = name
    return {**body, "status": (status or STEPPING).model_copy(update={"phase": "Stepping", "version": "v1"}).dump()}


def release(status: ReleaseStatus, **spec: Any) -> Release:
    return Release.model_validate({**release_body(**spec), "status": status.dump()})


# --- get


async def test_get_is_a_table_of_releases_with_the_columns_of_kubectl(capsys: Any) -> None:
    assert await call(Fake(stored("web"), stored()), "get") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "PHASE", "VERSION", "WEIGHT", "BURN", "INCIDENT", "AGE"]
    assert [line.split()[:3] for line in lines[1:]] == [["answers", "Stepping", "v1"], ["web", "Stepping", "v1"]]


async def test_get_of_all_namespaces_names_them_and_wide_has_more(capsys: Any) -> None:
    assert await call(Fake(stored(), stored(namespace="other")), "get", "-A", "-o", "wide") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("NAMESPACE") and "WORKLOAD" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["other", "shop"]


@pytest.mark.parametrize(
    "words", [("rel", "answers"), ("releases", "answers"), ("rel/answers",), ("Release", "rel/answers")]
)
async def test_get_of_one_is_that_object_as_json_and_yaml(words: tuple[str, ...], capsys: Any) -> None:
    assert await call(Fake(stored()), "get", *words, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["metadata"]["name"] == "answers"
    assert await call(Fake(stored()), "get", *words, "-o", "yaml") == 0
    assert yamls.load(capsys.readouterr().out)["spec"]["version"] == "v4"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        pytest.param(("relaese",), "'relaese' is no kind of opsloop; did you mean releases?", id="a kind with a mistake"),
        pytest.param(("rel", "anwers"), "did you mean answers?", id="a name with a mistake"),
        pytest.param(("rel", "zzz"), "there: answers", id="a name like none"),
        pytest.param(("inc", "x"), "there is no Incident 'x' in namespace shop; there is none", id="of an empty kind"),
        pytest.param(("rel", "answers", "-A"), "names are of one namespace", id="a name in all namespaces"),
    ],
)  # fmt: skip
async def test_get_says_what_is_there(words: tuple[str, ...], line: str, capsys: Any) -> None:
    assert await call(Fake(stored()), "get", *words) == 2
    assert line in capsys.readouterr().err


async def test_get_of_nothing_says_so_on_stdout(capsys: Any) -> None:
    assert await call(Fake(), "get", "stops") == 0
    assert capsys.readouterr().out == "there is no Stop in namespace shop; -A looks in all\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (119, "119s"), (120, "2m"), (3600, "1h"), (90000, "1d"), (-5, "0s")]
)
def test_age(seconds: float, text: str) -> None:
    assert age(at(0), at(seconds)) == text


# --- status


def pods(count: int, traffic: int = 1) -> tuple[dict[str, Any], ...]:
    def pod(n: int) -> dict[str, Any]:
        told = [
            {"type": "ContainersReady", "status": "True"},
            {"type": GATE, "status": "True" if n < traffic else "False"},
        ]
        return {"metadata": {"name": f"answers-canary-7d9f6c-{n:05d}"}, "status": {"conditions": told}}

    return tuple(pod(n) for n in range(count))


def condition(name: str, status: Any, reason: str, message: str = "") -> Condition:
    return Condition(type=name, status=status, reason=reason, message=message, last_transition_time=at(1))


HELD = condition(
    "Held",
    "True",
    "WaitingForApproval",
    "weight 50 wants approval: annotate the Release with opsloop.dev/approve=v4/50",
)
BUSY = STEPPING.model_copy(update={"conditions": [HELD], "phase": "Held", "burn_band": "ok"})
FULL = Seen(
    release(BUSY, **CASES),
    {"spec": {"replicas": 4}, "status": {"availableReplicas": 4, "updatedReplicas": 4}},
    pods(2),
    Incident.model_validate(incident(status={"phase": "Mitigating", "severity": "sev1", "title": "answers: 18% of events bad"}).dump()),
)  # fmt: skip


def test_the_tree_has_live_canary_pods_sli_evals_incident_and_what_to_do_next() -> None:
    lines = picture(FULL, NOW, 200)
    text = "\n".join(lines)
    assert lines[0] == "answers  Release in shop, Held" and "wants v4; steps 20 → 50? → 100" in text
    for part in (
        "├─ live      v1, 4 of 4 pods available; revision 1",
        "v4 Stepping, step 1 of 3: weight 20",
        "answers-canary-7d9f6c-00000  in traffic, ready",
        "answers-canary-7d9f6c-00001  dark, ready",
        "SLI       burn ok, objective 0.99",
        "evals     0 cases; none ran yet",
        "incident  answers-1 sev1 Mitigating",
        "→ to go on: opsloop approve answers; to end it: opsloop abort answers",
    ):
        assert part in text, text


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_tree_fits_the_width(width: int) -> None:
    assert max(len(line) for line in picture(FULL, NOW, width)) <= width


def test_a_narrow_terminal_gets_the_narrowest_tree() -> None:
    assert picture(FULL, NOW, 10) == picture(FULL, NOW, NARROWEST)


def test_many_pods_are_counted_and_what_cannot_be_read_is_said() -> None:
    many = Seen(release(STEPPING), pods=pods(MOST_PODS + 3))
    assert "3 more" in "\n".join(picture(many, NOW, 100))
    blind = Seen(release(STEPPING, **CASES), pods="pods is forbidden", cases="evalcases is forbidden")
    text = "\n".join(picture(blind, NOW, 100))
    assert "cannot be read: pods is forbidden" in text and "cannot be read: evalcases is forbidden" in text


def test_a_hostile_text_does_not_act_on_the_terminal() -> None:
    bad = condition("Held", "True", "Paused", "x\033[2Jy\nz")
    lines = picture(Seen(release(BUSY.model_copy(update={"conditions": [bad]}))), NOW, 100)
    assert not any("\033" in line or "\n" in line for line in lines)


ENDED: dict[str, Any] = {"ended_at": at(80)}
CHECK = {
    "name": "load", "weight": 0, "id": "0123456789", "result": "Failed", "dry_run": True, "attempt": 2, "since": at(60),
    "ended_at": at(90), "message": "p95 900 ms",
}  # fmt: skip


KEPT = WarmPods(
    digest=ADOPTED.digest, version="v1", beside=TRIED.digest, state="Warm", replicas=2, since=NOW, until=NOW + timedelta(seconds=10),
    message="2 pods of v1 are ready and without traffic",
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "part"),
    [
        pytest.param(status_with(target("Rejected", reason="EvalFailed", message="case x", **ENDED), conditions=[condition("Rejected", "True", "EvalFailed")]), "to try v4 again: opsloop retry answers", id="a rejected version"),
        pytest.param(status_with(target("Rejected", reason="EvalFailed", **ENDED), ADOPTED, revision("v4", "Canaried", blocked=BLOCK), conditions=[condition("Rejected", "True", "EvalFailed")]), "opsloop unblock answers", id="a blocked version"),
        pytest.param(status_with(target(evals=[result(0).model_copy(update={"flaky": True})])), "set aside as flaky: 0 of 1 on the canary", id="a flaky case"),
        pytest.param(status_with(target(evals=[result(0).model_copy(update={"load": "20/s for 30s", "message": ""})])), "failed: under 20/s for 30s", id="a check under load"),
        pytest.param(status_with(target(checks=[CHECK])), "load Failed in the dark, 10s ago, only watched, attempt 2: p95 900 ms", id="a check of the rollout"),
        pytest.param(status_with(target(evals=[result(0)])), "failed: 0 of 1 on the canary, 1 of 1 on live", id="a failed case"),
        pytest.param(status_with(target("Promoted", **ENDED), ADOPTED, BAD, rollback=record("Written")), "v2 → v1 for answers-1: Written", id="a rollback"),
        pytest.param(status_with(target("Promoted", **ENDED), ADOPTED, BAD, rollback=record("Done", name="")), "by a person (undo): Done", id="an undo"),
        pytest.param(status_with(target("Promoted", **ENDED), ADOPTED, warm=KEPT), "v1 Warm: 2 pods of v1 are ready and without traffic, for 10s more", id="last-good kept warm"),
        pytest.param(ReleaseStatus(conditions=[condition("WorkloadMissing", "True", "WorkloadMissing", "there is no Deployment answers")]), "there is no Deployment answers", id="no Deployment"),
        pytest.param(STEPPING.model_copy(update={"conditions": [condition("Stopped", "True", "Stopped", "opsloop is stopped by alice")]}), "opsloop is stopped by alice; to go on: opsloop resume", id="an emergency stop"),
        pytest.param(STEPPING.model_copy(update={"conditions": [condition("Frozen", "True", "Frozen", "web-1 lets no new canary start")]}), "→ web-1 lets no new canary start", id="a freeze"),
        pytest.param(STEPPING.model_copy(update={"conditions": [condition("TelemetryKnown", "False", "NoSeries", "no series")]}), "NoSeries: no series", id="a silent SLI"),
    ],
)  # fmt: skip
def test_the_tree_says(status: ReleaseStatus, part: str) -> None:
    assert part in " ".join(" ".join(picture(Seen(release(status, **CASES)), NOW, 200)).split())


async def test_status_is_a_tree_or_all_that_it_is_made_of(capsys: Any) -> None:
    assert await call(Fake(stored()), "status", "answers", "--width", "90") == 0
    assert "└─" in capsys.readouterr().out
    assert await call(Fake(stored()), "status", "rel/answers", "-o", "json") == 0
    body = json.loads(capsys.readouterr().out)
    assert set(body) == {"release", "deployment", "canaryPods", "warmPods", "incident", "evalCases"}


# --- rollout wait

OVER = condition("Progressing", "False", "x", "because")
TRUE = {name: condition(name, "True", "x", "because") for name in ("Promoted", "Rejected", "RolledOut")}


def end(
    state: str, *told: Condition, generation: int = 0, version: str = "v4", guard: bool = False, **more: Any
) -> Any:
    item = release(status_with(target(state, **{**ENDED, **more}), conditions=list(told)))
    if guard:
        spec = item.spec.model_copy(update={"guard": True, "version": "", "images": {}})
        item = item.model_copy(update={"spec": spec})
    item = item.model_copy(update={"metadata": item.metadata.model_copy(update={"generation": generation})})
    found = rollout.end_of(item, version)
    return found and found.code


def left(version: str) -> Any:
    """A person had a guarded Deployment go back from v4 to v1."""
    back = RollbackRecord(incident="", attempt=1, from_digest=V4, to_digest=V1, state="Done", at=at(50))
    status = status_with(target("Promoted", "v1", ended_at=at(60)), ADOPTED, TRIED, rollback=back, conditions=[OVER])
    item = release(status)
    spec = item.spec.model_copy(update={"guard": True, "version": "", "images": {}})
    found = rollout.end_of(item.model_copy(update={"spec": spec}), version)
    return found and found.code


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(end("Promoted", OVER, TRUE["Promoted"], TRUE["RolledOut"]), 0, id="promoted and rolled out"),
        pytest.param(end("Promoted", OVER, TRUE["Promoted"]), None, id="promoted, and its pods are not all new"),
        pytest.param(end("Rejected", OVER, TRUE["Rejected"]), 1, id="rejected"),
        pytest.param(end("Refused", OVER, TRUE["Rejected"]), 4, id="refused"),
        pytest.param(end("Cancelled", OVER, TRUE["Rejected"]), 5, id="aborted"),
        pytest.param(end("Promoted", OVER, TRUE["Rejected"]), 6, id="promoted and undone"),
        pytest.param(end("Promoted", OVER, TRUE["Promoted"], TRUE["RolledOut"], version="v3"), 7, id="the spec asks for another one"),
        pytest.param(end("Promoted", OVER, TRUE["Promoted"], TRUE["RolledOut"], generation=2), None, id="the status is of the spec before"),
        pytest.param(end("Rejected", condition("Progressing", "True", "Dark")), None, id="it is under way"),
        pytest.param(end("Rejected", condition("Progressing", "Unknown", "WorkloadMissing")), None, id="nobody can say"),
        pytest.param(end("Rejected"), None, id="an operator that sets no such condition"),
        pytest.param(end("Rejected", OVER, TRUE["Rejected"], guard=True), 1, id="a guarded Deployment's template was rejected"),
        pytest.param(end("Rejected", OVER, TRUE["Rejected"], guard=True, version="v5"), None, id="the template of that version was not seen yet"),
        pytest.param(left("v4"), 6, id="a guarded Deployment's version was undone: its template is taken off"),
        pytest.param(left("v5"), None, id="that of another one, which was not undone, is waited for"),
    ],
)  # fmt: skip
def test_the_exit_code_says_what_happened(code: int | None, expected: int | None) -> None:
    assert code == expected


def test_each_exit_code_is_explained_once() -> None:
    codes = [code for code, _ in rollout.EXIT_CODES]
    assert sorted(codes) == [0, 1, 2, 4, 5, 6, 7, 124] and 3 not in codes


@pytest.mark.parametrize(
    ("image", "code"),
    [
        pytest.param("shop:v1", rollout.PROMOTED, id="the template that is live stands there"),
        pytest.param("shop:v3", rollout.TIMED_OUT, id="another one stands there that opsloop has not seen yet"),
    ],
)
async def test_waiting_on_a_guarded_deployment_is_for_the_template_that_stands(image: str, code: int) -> None:
    told = [OVER, TRUE["Promoted"], TRUE["RolledOut"]]
    promoted = status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED, conditions=told, observed_generation=9)
    body = stored(status=promoted, guard=True)
    del body["spec"]["version"], body["spec"]["images"]
    meta = {"name": "answers", "namespace": NS}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"template": template(image)},
    }
    assert await call(Fake(body, deployment), "rollout", "wait", "answers", "--timeout", "0.1") == code


async def test_waiting_ends_with_its_time_and_says_what_it_waits_for(capsys: Any) -> None:
    waits = stored(status=STEPPING.model_copy(update={"conditions": [HELD, condition("Progressing", "True", "x")]}))
    assert await call(Fake(waits), "rollout", "wait", "answers", "--timeout", "0.1") == 124
    printed = capsys.readouterr()
    assert "v4 is not live after 0.1 s; held: WaitingForApproval" in printed.out
    assert printed.err.count("WaitingForApproval") == 1


# --- completion and context


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pro"], ["promote"]),
        (["get", "inc"], ["incidents"]),
        (["rollout", "w"], ["wait"]),
        (["promote", "--fu"], ["--full"]),
        (["completion", "f"], ["fish"]),
        (["get", "-o", "w"], ["wide"]),
    ],
)
def test_completion(words: list[str], expected: list[str]) -> None:
    assert complete(parser(), words) == expected


def test_completion_of_names_without_a_cluster_is_empty_and_quick(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert complete(parser(), ["abort", "x"]) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_each_shell_has_a_script(shell: str, capsys: Any) -> None:
    assert await call(Fake(), "completion", shell) == 0
    assert "opsloop" in capsys.readouterr().out


def kubeconfig(folder: Path, namespace: str | None = "shop") -> str:
    context: dict[str, Any] = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    body = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "contexts": [{"name": "here", "context": context}, {"name": "there", "context": {**context, "namespace": "far"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}], "users": [{"name": "u", "user": {}}],
    }  # fmt: skip
    path = folder / "config"
    path.write_text(yaml.safe_dump(body))
    return str(path)


def test_the_namespace_is_that_of_the_context(tmp_path: Path) -> None:
    assert context_namespace(kubeconfig(tmp_path), None) == "shop"
    assert context_namespace(kubeconfig(tmp_path), "there") == "far"
    assert context_namespace(kubeconfig(tmp_path, None), None) == "default"
    with pytest.raises(Invalid, match="no context 'nowhere'; there: here, there"):
        context_namespace(kubeconfig(tmp_path), "nowhere")
    with pytest.raises(Invalid, match="kubeconfig"):
        context_namespace(str(tmp_path / "none"), None)


def test_v4_is_what_the_builders_say() -> None:
    assert STEPPING.target is not None and STEPPING.target.digest == V4


class Changing(Fake):
    """A Release that changes at the third look, and a person who leaves at the fifth."""

    looks = 0

    async def get(self, resource: Any, namespace: str, name: str) -> Any:
        self.looks += resource is RELEASES
        if self.looks == 3:
            self.seed(stored(status=BUSY))
        if self.looks == 5:
            raise KeyboardInterrupt
        return await super().get(resource, namespace, name)


async def test_watching_shows_the_tree_again_only_when_it_changed_until_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(status_cli, "POLL", 0.0)
    monkeypatch.setattr(status_cli, "datetime", Still)
    assert await call(Changing(stored()), "status", "answers", "--watch") == 130
    out = capsys.readouterr().out
    assert out.count("answers  Release in shop") == 2 and out.count("12:01:40 UTC") == 2
    assert out.count("to go on: opsloop approve answers") == 1 and "\033" not in out


class Still(datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return NOW
