"""`opsloop drill`: what it asks before, what it refuses, and that a no writes nothing."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from opsloop.core.drill.order import Order
from opsloop.entry.cli import commands as cli
from opsloop.entry.cli import drill as cli_drill
from opsloop.entry.cli import gate as cli_gate
from opsloop.shell.drill.putting_back import NotPutBack
from opsloop.shell.drill.run import BrokeOff, Drill
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import RELEASES, Object
from tests.builders.gate_shift import INCIDENT, NS, V1, V2, V4, revision, stamp, template
from tests.fakes.gate_world import ShopCluster, after_the_shift

BREAK = ["drill", "-n", NS, "answers", "--bad-image", "helpdesk:v5", "--fix-image", "helpdesk:v6"]


class Shop(ShopCluster):
    """After a shift, ready for the next one. `denied`: (verb, resource) that the caller may not; `tried` are dry runs."""

    denied: frozenset[tuple[str, str]] = frozenset()
    refuses = ""  # what the API server says to a dry run

    async def raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[int, bytes]:
        if path.endswith("/selfsubjectaccessreviews"):
            asked = json.loads(body)["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in self.denied
            return 201, json.dumps({"status": {"allowed": allowed}}).encode()
        if (query or {}).get("dryRun") == "All":
            if self.refuses:
                return 422, json.dumps({"kind": "Status", "message": self.refuses}).encode()
            patched = {"spec": {"template": template("v4")}}
            patched["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "FAULT", "value": "on"}]
            return 200, json.dumps(patched).encode()
        return await super().raw(method, path, query, headers, body, timeout)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = after_the_shift()
    made.__class__ = Shop
    monkeypatch.setattr(cli_gate, "SystemClock", lambda: made.clock)
    stored = made.find(RELEASES, NS, "answers")
    assert stored is not None
    stored["spec"]["images"], stored["spec"]["version"] = {"answers": "helpdesk:v4"}, "v4"
    live = {**revision(V4, 4, "v4"), "provenAt": stamp(250)}
    stored["status"] |= {"live": V4, "revisions": [revision(V1, 1, "v1"), revision(V2, 2, "v2", "RolledBack"), live]}
    made.seed(stored)
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "ready", "lastTransitionTime": stamp(0)}
    book: Object = {
        "apiVersion": "opsloop.dev/v1alpha1",
        "kind": "Runbook",
        "metadata": {"name": "bad-release", "namespace": NS},
        "spec": {"steps": [{"type": "rollback", "timeout": "2m"}], "serviceAccountName": "runbook"},
        "status": {"conditions": [ready]},
    }
    made.seed(book)
    assert isinstance(made, Shop)
    return made


def run(cluster: Shop, *argv: str) -> int:
    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
        yield cluster

    return cli.main(argv, connect)


def written(shop: Shop) -> list[str]:
    return [f"{w.verb} {w.resource.plural}" for w in shop.writes]


def test_a_dry_run_says_the_plan_and_writes_nothing(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, *BREAK, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "it writes Deployment answers, without a canary: /spec/containers/0/image: helpdesk:v4 → helpdesk:v5" in out
    assert "spec.version v4 → v6, spec.images answers=helpdesk:v6" in out
    assert written(shop) == []


def test_without_a_terminal_it_must_be_said(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, *BREAK) == 2
    assert "say --yes" in capsys.readouterr().err
    assert written(shop) == []


@pytest.mark.parametrize(("typed", "code"), [("answers", 0), ("yes", 2), ("", 2)])
def test_on_a_terminal_the_name_is_typed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, code: int
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(cli_drill, "ask", lambda text: typed)
    monkeypatch.setattr(cli_drill, "_run", _ran(0, INCIDENT))
    assert run(shop, *BREAK) == code
    assert ("gate passed" in capsys.readouterr().out) == (code == 0)


def _ran(code: int, incident: str) -> Any:
    async def ran(*_: Any) -> tuple[int, str]:
        return code, incident

    return ran


def test_the_exit_code_is_the_gate_s(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_drill, "_run", _ran(0, INCIDENT))
    shop.pages = []
    assert run(shop, *BREAK, "--yes") == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"gate failed: page sev1 ({INCIDENT} in shop)"
    assert run(shop, *BREAK, "--yes", "--waive", "page", "-o", "json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["verdict"] == "passed"
    assert "opsloop drill will break answers" in printed.err


@pytest.mark.parametrize(
    ("raised", "code"), [(BrokeOff("detect: not within 10m"), 4), (NotPutBack("do it by hand, now"), 5)], ids=["4", "5"]
)
def test_a_drill_that_breaks_off_is_neither_a_pass_nor_a_failed_gate(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], raised: Exception, code: int
) -> None:
    async def broken(_: Any) -> str:
        raise raised

    monkeypatch.setattr("opsloop.entry.cli.drill.Drill.run", broken)
    assert run(shop, *BREAK, "--yes") == code
    assert str(raised) in capsys.readouterr().err


def _signalled(leaving: bool) -> Any:
    async def run(self: Drill) -> str:
        self.leaving = leaving
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(0.2 if leaving else 30)
        finally:
            self.say("live is good")
        raise BrokeOff("detect: not within 10m")

    return run


@pytest.mark.parametrize(
    ("leaving", "code", "says"), [(False, 130, ""), (True, 4, "live is being put back; wait for it")]
)
def test_a_signal_stops_the_drill_but_not_its_putting_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], leaving: bool, code: int, says: str
) -> None:
    monkeypatch.setattr("opsloop.entry.cli.drill.Drill.run", _signalled(leaving))
    before = signal.getsignal(signal.SIGTERM)
    assert run(shop, *BREAK, "--yes") == code
    printed = capsys.readouterr()
    assert "live is good" in printed.out and says in printed.out
    assert signal.getsignal(signal.SIGTERM) == before


REFUSED: list[Any] = [
    pytest.param(["--bad-image", "web=x:1"], "no container web, but answers", id="a container that is not there"),
    pytest.param(["--bad-image", "helpdesk:v2"], f"opsloop unblock answers {V2}", id="a version that is blocked"),
    pytest.param(["--fix-image", "answers=helpdesk:v4"], "that is no fix", id="the live image as a fix"),
    pytest.param(["--fix-version", "v4"], "--fix-version", id="the live version as a fix"),
    pytest.param(["--bad-patch", "/no/such/file"], "/no/such/file: No such file", id="a patch that is not there"),
]


@pytest.mark.parametrize(("more", "says"), REFUSED)
def test_is_refused(shop: Shop, capsys: pytest.CaptureFixture[str], more: list[str], says: str) -> None:
    assert run(shop, *BREAK, "--yes", *more) == 2
    assert says in capsys.readouterr().err
    assert written(shop) == []


def test_what_breaks_it_must_be_named(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "drill", "-n", NS, "answers", "--fix-image", "helpdesk:v6", "--yes") == 2
    assert "--bad-image [CONTAINER=]IMAGE or --bad-patch FILE" in capsys.readouterr().err


def test_rights_are_asked_for_before(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.denied = frozenset({("patch", "deployments"), ("get", "pods")})
    assert run(shop, *BREAK, "--yes") == 2
    said = capsys.readouterr().err
    assert "you may not patch deployments.apps answers in namespace shop" in said
    assert "you may not get pods/proxy in namespace shop" in said


def test_a_patch_is_tried_by_the_api_server_and_shown_in_the_plan(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = tmp_path / "bad.yaml"
    patch.write_text("spec: {containers: [{name: answers, env: [{name: FAULT, value: 'on'}]}]}")
    bad = ["drill", "-n", NS, "answers", "--bad-patch", str(patch), "--fix-image", "helpdesk:v6", "--dry-run"]
    assert run(shop, *bad) == 0
    assert "/spec/containers/0/env" in capsys.readouterr().out
    shop.refuses = 'Deployment "answers" is invalid: spec.template.spec.containers[0].env'
    assert run(shop, *bad) == 2
    assert "--bad-patch: Deployment" in capsys.readouterr().err
    assert written(shop) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("request: {path: /}", "expect missing"),
        ("- 1", "not a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_case_is_read_before_anything_is_broken(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    case = tmp_path / "case.yaml"
    case.write_text(content)
    assert run(shop, *BREAK, "--yes", "--case", str(case)) == 2
    assert says in capsys.readouterr().err


def test_a_case_gets_the_release_s_port_and_is_tried_by_the_api_server(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = tmp_path / "case.yaml"
    case.write_text("kind: EvalCase\nspec: {release: web, request: {path: /}, expect: {status: 200}, repeats: 9}")
    seen: list[Order] = []

    async def ran(one: Drill) -> tuple[int, str]:
        seen.append(one.order)
        return 4, ""

    monkeypatch.setattr(cli_drill, "_run", ran)
    assert run(shop, *BREAK, "--yes", "--case", str(case)) == 4
    assert seen[0].case == {"request": {"port": 8080, "path": "/"}, "expect": {"status": 200}, "repeats": 9}
    shop.refuses = "spec.expect: at least one expectation"
    assert run(shop, *BREAK, "--yes", "--case", str(case)) == 2
    assert "--case: spec.expect: at least one" in capsys.readouterr().err


def test_tickets_are_sent_as_the_intake_takes_them(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tickets, token = tmp_path / "sent.json", tmp_path / "token"
    tickets.write_text(json.dumps([{"id": "HD-1", "subject": "wrong", "body": "it is", "expect_link": True}]))
    token.write_text("s3cr3t\n")
    seen: list[Drill] = []

    async def ran(one: Drill) -> tuple[int, str]:
        seen.append(one)
        return 4, ""

    monkeypatch.setattr(cli_drill, "_run", ran)
    intake = ["--intake", "http://127.0.0.1:9", "--intake-token", str(token)]
    assert run(shop, *BREAK, "--yes", *intake, "--tickets", str(tickets)) == 4
    assert seen[0].order.tickets == ({"id": "HD-1", "subject": "wrong", "body": "it is"},)
    assert "sends 1 tickets to the intake" in capsys.readouterr().out
    assert run(shop, *BREAK, "--yes", *intake) == 2
    assert "belong together" in capsys.readouterr().err
    token.write_text("two tokens")
    assert run(shop, *BREAK, "--yes", *intake, "--tickets", str(tickets)) == 2
    assert "one token and nothing else" in capsys.readouterr().err


def test_a_stop_in_the_namespace_is_named(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    meta = {"name": "emergency", "namespace": NS}
    shop.seed({"apiVersion": "opsloop.dev/v1alpha1", "kind": "Stop", "metadata": meta, "spec": {"reason": "we move"}})
    assert run(shop, *BREAK, "--yes") == 2
    assert "Stop shop/emergency: we move" in capsys.readouterr().err


def test_a_release_that_is_not_there_names_what_is(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "drill", "-n", NS, "answer", "--bad-image", "x:1", "--fix-image", "x:2") == 2
    assert "did you mean answers?" in capsys.readouterr().err
