"""Command line: a table with a verdict line, four exit codes, and one line on stderr per error."""

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from opsloop import names
from opsloop.core.gate.report import Fact, GateReport, Row
from opsloop.entry.cli import commands as cli
from opsloop.entry.cli import gate as cli_gate
from opsloop.entry.cli import show as cli_show
from opsloop.entry.cli import table as cli_table
from opsloop.errors import Invalid
from opsloop.shell.evidence import gather
from opsloop.shell.evidence.intake import filings
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import CONFIGMAPS, EVALCASES, INCIDENTS
from tests.builders.gate_shift import INCIDENT, NS, at, stamp
from tests.fakes.gate_world import ShopCluster, after_the_shift


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> ShopCluster:
    cluster = after_the_shift()
    monkeypatch.setattr(cli_gate, "SystemClock", lambda: cluster.clock)
    return cluster


def run(cluster: ShopCluster, *argv: str) -> int:
    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
        yield cluster

    return cli.main(argv, connect)


def test_a_good_shift_is_exit_0_with_seven_marked_rows_and_a_verdict(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop, "gate", "-n", NS, "--rejected", "v3") == 0
    printed = capsys.readouterr()
    marked = [line for line in printed.out.splitlines() if line.startswith("✓")]
    assert len(marked) == 7
    assert printed.out.splitlines()[-1] == "gate passed: 7 of 7 rows (answers-1 in shop)"
    assert printed.err == ""


def test_a_failed_row_is_exit_1_and_named_in_the_last_line(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.pages = []
    assert run(shop, "gate", "-n", NS) == 1
    out = capsys.readouterr().out
    assert "✗ page sev1" in out
    assert out.splitlines()[-1] == "gate failed: page sev1 (answers-1 in shop)"


def test_missing_evidence_is_exit_3(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    shop.away = {"receiver"}
    assert run(shop, "gate", "-n", NS) == 3
    out = capsys.readouterr().out
    assert "? page sev1" in out
    assert out.splitlines()[-1] == "gate inconclusive: page sev1 (answers-1 in shop)"


def test_junit_has_a_case_for_each_row_and_what_is_inconclusive_is_an_error(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop, "gate", "-n", NS, "--output", "junit") == 0
    whole = ElementTree.fromstring(capsys.readouterr().out)
    cases = whole.findall("./testsuite/testcase")
    assert len(cases) == 7 and whole.attrib == {"tests": "7", "failures": "0", "errors": "0"}
    assert "opsloop" in whole.find("testsuite").attrib["name"]  # type: ignore[union-attr]
    shop.away, shop.pages = {"prometheus"}, []
    assert run(shop, "gate", "-n", NS, "-o", "junit") == 1
    broken = ElementTree.fromstring(capsys.readouterr().out)
    assert [case.attrib["name"] for case in broken.findall(".//testcase[failure]")] == ["page sev1"]
    assert len(broken.findall(".//testcase[error]")) == int(broken.attrib["errors"]) > 0
    assert not broken.findall(".//skipped")


def test_a_waived_row_is_skipped_in_junit_and_named_in_the_verdict(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.pages = []
    assert run(shop, "gate", "-n", NS, "--waive", "page") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "gate passed: 6 of 7 rows; waived: page sev1 (answers-1 in shop)"
    assert run(shop, "gate", "-n", NS, "--waive", "page", "-o", "junit") == 0
    suite = ElementTree.fromstring(capsys.readouterr().out).find("testsuite")
    assert suite is not None and suite.attrib["skipped"] == "1"
    assert [case.attrib["name"] for case in suite.findall("testcase[skipped]")] == ["page sev1"]


def test_json_has_the_rows_with_their_evidence(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "gate", "-n", NS, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["exitCode"], report["incident"], len(report["rows"])) == (
        "passed",
        0,
        INCIDENT,
        7,
    )
    assert all(set(row) == {"name", "verdict", "sentence", "evidence"} for row in report["rows"])
    assert all(set(fact) == {"name", "value", "source"} for row in report["rows"] for fact in row["evidence"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param([], "COMMAND", id="no command"),
        pytest.param(["gate", "-n", NS, "--min-alerts", "-1"], "at least 0", id="fewer alerts than none"),
        pytest.param(["gate", "-n", NS, "--tick", "0"], "--tick", id="no time between ticks"),
        pytest.param(["gate", "-n", NS, "--tick", "soon"], "--tick", id="a tick that is no number"),
        pytest.param(["weather"], "invalid choice", id="a command that does not exist"),
        pytest.param(["operator", "--tick", "1s"], "--tick", id="a setting as a flag: settings are variables"),
    ],
)
def test_wrong_usage_is_exit_2(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(shop, *argv)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["gate", "-n", NS, "--incident", "answers-9"], "'answers-9'", id="an incident that is not there"),
        pytest.param(["gate", "-n", NS, "--prometheus", "prometheus"], "'prometheus' is not a service", id="no port"),
        pytest.param(["gate", "-n", NS, "--tickets", "/nowhere.json"], "/nowhere.json", id="a file that is not there"),
        pytest.param(["postmortem", "-n", NS, "answers-9"], "no Incident 'answers-9'", id="postmortem of no incident"),
        pytest.param(["postmortem", "-n", NS, INCIDENT], "no postmortem yet", id="a postmortem that is not written"),
        pytest.param(["timeline", "-n", NS, "answers-9"], "no Incident 'answers-9'", id="timeline of no incident"),
    ],
)
def test_an_error_for_a_person_is_one_line_and_exit_2(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert run(shop, *argv) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("opsloop: ") and message in printed.err
    assert printed.err.count("\n") == 1


def test_a_kubeconfig_that_is_not_there_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["gate", "-n", NS, "--kubeconfig", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert "kubeconfig" in error and error.count("\n") == 1


def test_an_api_server_that_does_not_answer_is_inconclusive(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Port 9 of this machine has no listener."""
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    assert cli.main(["gate", "-n", NS, "--kubeconfig", str(path)]) == 3
    assert capsys.readouterr().out.splitlines()[-1].startswith("gate inconclusive: storm reduced, page sev1")


def tickets_file(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "tickets.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_every_sent_ticket_must_be_linked_or_queued(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sent = [{"id": "HD-1", "expect_link": True}, {"id": "HD-2", "expect_link": False}, {"id": "HD-3"}]
    assert run(shop, "gate", "-n", NS, "--tickets", tickets_file(tmp_path, sent)) == 0
    assert run(shop, "gate", "-n", NS, "--tickets", tickets_file(tmp_path, {"tickets": [*sent, {"id": "HD-4"}]})) == 1
    assert "lost: HD-4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "not JSON", id="not JSON"),
        pytest.param({"ticket": []}, "not a list of tickets", id="an object without tickets"),
        pytest.param(["HD-1"], "not a list of tickets", id="a list of words"),
        pytest.param([{"body": "help"}], "neither id nor subject", id="a ticket with neither id nor subject"),
        pytest.param([{"id": "a", "expect_link": "yes"}], "not true or false", id="an expectation in words"),
    ],
)
def test_an_invalid_tickets_file_is_refused_with_its_fault(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        cli_gate.sent_tickets(tickets_file(tmp_path, content))


def test_options_of_the_gate_reach_its_rows(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "gate", "-n", NS, "--min-alerts", "41") == 1
    assert "40 distinct alerts fired" in capsys.readouterr().out
    shop.counted["v9"] = 3.0
    selector = 'shop_answers_total{version=~"{{version}}"}'
    assert run(shop, "gate", "-n", NS, "--rejected", "v9", "--served-metric", selector) == 1
    assert "rejected v9 served 3 requests" in capsys.readouterr().out


async def test_a_json_body_is_decoded_for_the_kubernetes_client() -> None:
    """The client encodes a body that is declared as JSON, so it must be given the object and not its text."""
    json_headers = {"Content-Type": "application/json"}
    assert cli_gate.encodable(json_headers, b'{"q": 1}') == (json_headers, {"q": 1})
    assert cli_gate.encodable(json_headers, b"") == (json_headers, None)
    assert cli_gate.encodable({"Content-Type": "text/csv"}, b"a,b") == ({"Content-Type": "text/csv"}, b"a,b")
    assert cli_gate.encodable(json_headers, b"not json") == ({"Content-Type": "text/plain"}, b"not json")


async def _with_timeline(shop: ShopCluster) -> None:
    incident = await shop.get(INCIDENTS, NS, INCIDENT)
    fact = {"name": "burn", "value": "20x", "source": "Prometheus"}
    incident["status"]["timeline"] = [
        {"key": "b", "at": stamp(75.25), "type": "Mitigated", "actor": "opsloop", "message": "back"},
        {"key": "a", "at": stamp(15), "type": "Detected", "actor": "opsloop", "message": "burns", "evidence": [fact]},
    ]
    shop.seed(incident)


async def test_timeline_is_relative_to_the_onset_and_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = after_the_shift()
    await _with_timeline(cluster)
    assert await cli_show.timeline(argparse.Namespace(namespace=NS, incident=INCIDENT), cluster) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "answers-1: answers burns its budget (sev1, Resolved)"
    assert lines[2].split() == ["+0:15.0", "Detected", "burns", "(opsloop)"]
    assert lines[3].strip() == "burn: 20x  [Prometheus]"
    assert lines[4].split()[0] == "+1:15.2"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "+0:00.0"), (65.24, "+1:05.2"), (-5, "-0:05.0"), (3723.96, "+1:02:04.0"), (59.96, "+1:00.0")],
)
def test_relative_times(seconds: float, text: str) -> None:
    assert cli_show.since(at(0), at(seconds)) == text


def test_tickets_lists_linked_ones_and_the_queue(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "tickets", "-n", NS) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("HD-1  linked to answers-1 (90%)  wrong-answer → answers-team")
    assert lines[1] == "HD-2  in the queue  billing → billing-team  subject of HD-2"
    assert lines[-1] == "1 linked, 2 in the queue"


async def test_an_object_that_does_not_match_its_schema_is_missing_evidence(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    case = await shop.get(EVALCASES, NS, "answers-1-regression")
    case["spec"]["request"] = {"path": "no-slash", "port": 8080}
    shop.seed(case)
    found = await gather(cli_gate.sources_of(cli.parser().parse_args(["gate", "-n", NS]), shop))
    assert "spec.request.path" in getattr(found.case, "why", "")


DECLARED = tomllib.loads((cli.SOURCE_TREE / "pyproject.toml").read_text())["project"]["version"]


def _not_installed(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


def test_version_is_that_of_the_installed_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metadata, "version", {"opsloop": "9.8.7"}.__getitem__)
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "opsloop 9.8.7\n"


def test_version_in_a_source_tree_is_the_declared_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(metadata, "version", _not_installed)
    assert cli.version() == f"{DECLARED} (source tree)"
    assert cli.version(tmp_path) == "unknown (source tree)"


def test_the_package_runs_as_a_module() -> None:
    """Without an installation: only the source tree is on the path."""
    environment = {"PYTHONPATH": str(cli.SOURCE_TREE / "operator"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "opsloop", "--version"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"opsloop {DECLARED}")
    refused = subprocess.run(command[:-1], env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "COMMAND" in refused.stderr


def test_rows_wrap_and_align_at_eighty_columns() -> None:
    rows = (
        Row("storm reduced", "passed", "word " * 40, (Fact("n", "1", "a " * 60), Fact("longer", "2", ""))),
        Row("fix promoted", "inconclusive", "", ()),
    )
    lines = cli_table.table(GateReport(INCIDENT, rows), NS, width=80, colour=False).splitlines()
    assert all(len(line) <= 80 for line in lines[:-1])
    assert lines[0].startswith("✓ storm reduced  word")
    assert lines[1].startswith(" " * 17 + "word")
    assert any(line.startswith("    longer  2") for line in lines)
    assert lines[-1] == "gate inconclusive: fix promoted (answers-1 in shop)"


def test_colour_marks_only_the_mark() -> None:
    rows = (Row("fix promoted", "failed", "no", ()),)
    assert cli_table.table(GateReport("", rows), NS, 80, True).startswith("\033[31;1m✗\033[0m fix promoted  no")


async def test_a_ledger_is_found_by_its_object_name_if_the_label_is_cut() -> None:
    cluster = after_the_shift()
    stored = await cluster.get(CONFIGMAPS, NS, names.ledger_name(INCIDENT))
    stored["metadata"]["labels"] = {names.LEDGER: "answ"}
    cluster.seed(stored)
    assert set((await filings(cluster, NS)).ledgers) == {INCIDENT, "catalog-1"}


def test_the_emergency_stop_is_set_told_and_taken_away(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # said twice it is no error
        assert run(shop, "stop", "-n", NS, "alice: the site is on fire") == 0
        assert f"Stop {NS}/emergency: alice: the site is on fire" in capsys.readouterr().out
    shop.seed({"kind": "Stop", "metadata": {"name": "another", "namespace": NS}, "spec": {"reason": "bob"}})
    assert run(shop, "resume", "-n", NS) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"Stop {NS}/another is deleted",
        f"Stop {NS}/emergency is deleted",
    ]
    assert run(shop, "resume", "-n", NS) == 0
    assert "there is no Stop" in capsys.readouterr().out


class Callers(ShopCluster):
    """Knows who calls; somebody else writes the Incident before each of the first `rivals` patches."""

    rivals = 0
    caller: str | None = "alice@example.com"

    async def raw(self, method: str, path: str, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        if path.endswith("/selfsubjectreviews"):
            status = {"userInfo": {"username": self.caller}} if self.caller else {}
            return 201, json.dumps({"status": status}).encode()
        return await super().raw(method, path, *args, **kwargs)

    async def json_patch(
        self, resource: Any, namespace: str, name: str, ops: Any, dry_run: bool = False, strict: bool = False
    ) -> Any:
        if self.rivals:
            self.rivals -= 1
            stored = self.find(INCIDENTS, namespace, name)
            assert stored is not None
            stored["spec"].setdefault("notes", []).append({"text": "me first"})
            self.seed(stored)
        return await super().json_patch(resource, namespace, name, ops, dry_run)


@pytest.fixture
def callers() -> Callers:
    made = Callers()
    made.seed({"kind": "Incident", "metadata": {"name": INCIDENT, "namespace": NS}, "spec": {"service": "answers"}})
    return made


def stored_incident(cluster: Callers) -> Any:
    found = cluster.find(INCIDENTS, NS, INCIDENT)
    assert found is not None
    return found


def test_ack_is_a_new_command_each_time_and_says_who(callers: Callers, capsys: pytest.CaptureFixture[str]) -> None:
    values = []
    for _ in range(2):
        assert run(callers, "ack", "-n", NS, INCIDENT) == 0
        values.append(stored_incident(callers)["metadata"]["annotations"][names.ACKNOWLEDGE])
    assert all(value.startswith("20") and value.endswith("Z by alice@example.com") for value in values)
    assert f"{INCIDENT} is acknowledged by alice@example.com" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "assignee"),
    [
        pytest.param([], "alice@example.com", id="to the caller"),
        pytest.param(["team-search"], "team-search", id="to somebody else"),
        pytest.param(["--nobody"], "", id="to nobody"),
    ],
)
def test_assign(callers: Callers, argv: list[str], assignee: str) -> None:
    assert run(callers, "assign", "-n", NS, INCIDENT, *argv) == 0
    assert stored_incident(callers)["spec"]["assignee"] == assignee


def test_a_note_is_added_to_those_that_others_write_meanwhile(callers: Callers) -> None:
    callers.rivals = 2
    assert run(callers, "note", "-n", NS, INCIDENT, "the cache was cold", "--author", "team-search") == 0
    *others, mine = stored_incident(callers)["spec"]["notes"]
    assert [note["text"] for note in others] == ["me first", "me first"]
    assert (mine["text"], mine["author"]) == ("the cache was cold", "team-search") and mine["at"]


def test_a_waiver_is_written_in_the_callers_own_name(callers: Callers) -> None:
    assert run(callers, "waive", "-n", NS, INCIDENT, "the leak  shows after a day only") == 0
    said = stored_incident(callers)["metadata"]["annotations"]["opsloop.dev/waive-regression"]
    assert said == "alice@example.com: the leak shows after a day only"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(
            ["waive", "-n", NS, INCIDENT, "no"],
            "say in 10 at least why no case is possible",
            id="a waiver without a reason",
        ),
        pytest.param(["assign", "-n", NS, "nope"], "there is no Incident 'nope'", id="an Incident that is not there"),
        pytest.param(["assign", "-n", NS, INCIDENT, "bob", "--nobody"], "not both", id="somebody and nobody"),
        pytest.param(["assign", "-n", NS, INCIDENT, "b" * 129], "a name may have 128", id="a name that is too long"),
    ],
)
def test_what_people_cannot_say(
    callers: Callers, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(callers, *argv) == 2
    assert message in capsys.readouterr().err


def test_a_caller_whom_the_api_server_does_not_name(callers: Callers, capsys: pytest.CaptureFixture[str]) -> None:
    callers.caller = None
    assert run(callers, "note", "-n", NS, INCIDENT, "x") == 2
    assert "does not say who you are" in capsys.readouterr().err


def test_an_incident_that_somebody_writes_all_the_time(callers: Callers, capsys: pytest.CaptureFixture[str]) -> None:
    callers.rivals = 9
    assert run(callers, "note", "-n", NS, INCIDENT, "x") == 2
    assert "failed" in capsys.readouterr().err


async def test_nothing_that_a_sender_wrote_acts_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = after_the_shift()
    incident = cluster.find(INCIDENTS, NS, INCIDENT)
    assert incident is not None
    incident["spec"]["title"] = incident["status"]["title"] = "Wrong\x1b[2Janswers\u202e"
    cluster.seed(incident)
    assert await cli_show.timeline(argparse.Namespace(namespace=NS, incident=INCIDENT), cluster) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "\u202e" not in printed and "Wrong\ufffd[2Janswers\ufffd" in printed
    sentence = "as \x1b[2Jsaid"
    report = GateReport("answers-1", (Row("row", "failed", sentence, (Fact("name", "value\x9b", "source\x07"),)),))
    shown = cli_table.table(report, NS, colour=False)
    assert not {"\x1b", "\x9b", "\x07"} & set(shown)


def test_a_reason_that_a_tenant_wrote_does_not_act_on_the_terminal_of_who_stops(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop, "stop", "-n", NS, "seen\x1b[2J\u202e of it") == 0
    printed = capsys.readouterr().out
    assert not {"\x1b", "\u202e"} & set(printed) and "seen\ufffd[2J\ufffd of it" in printed


def test_the_gate_s_json_holds_no_character_that_acts_on_a_terminal() -> None:
    report = GateReport("answers-1", (Row("row", "failed", "as \x9b said\u202e", (Fact("name", "ü", "source"),)),))
    written = cli_table.as_json(report, NS)
    assert written.isascii() and json.loads(written)["rows"][0]["sentence"] == "as \x9b said\u202e"
