"""`opsloop correlate`: recorded storms in, groups and reasons out; bad input is named by file, line and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from opsloop.entry.cli import commands as cli

TOPOLOGY = {"services": {"web": {"namespace": "shop", "dependsOn": ["orders"]}, "orders": {"namespace": "shop", "dependsOn": []}}}  # fmt: skip


def body(*alerts: tuple[str, str, str], status: str = "firing") -> str:
    found = [
        {
            "status": status,
            "labels": {"alertname": name, "service": service, "namespace": "shop", "severity": "critical"},
            "annotations": {},
            "startsAt": f"2026-01-05T09:{minute}Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": f"{name}-{service}",
        }
        for name, service, minute in alerts
    ]
    return json.dumps({"version": "4", "alerts": found})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    lines = [
        body(("RequestErrors", "web", "05:00")),
        body(("RequestErrors", "web", "05:00"), ("RequestErrors", "orders", "05:10"), ("CertExpiry", "web", "01:00")),
    ]
    files = {
        name: tmp_path / name
        for name in ("storm.jsonl", "topology.json", "arrivals.json", "tickets.jsonl", "method.json")
    }
    files["storm.jsonl"].write_text("\n".join(lines) + "\n")
    files["topology.json"].write_text(json.dumps(TOPOLOGY))
    files["arrivals.json"].write_text(json.dumps({"storm": ["2026-01-05T09:05:30Z", "2026-01-05T09:06:00Z"]}))
    files["tickets.jsonl"].write_text(
        '{"id": "T1", "subject": "orders fail", "body": "I can not order, every order fails right now", '
        '"createdAt": "2026-01-05T09:07:00Z"}\n'
    )
    return files


def run(*argv: object) -> int:
    return cli.main(["correlate", *map(str, argv)])


def test_json_has_groups_roots_and_tickets_by_the_stem_of_the_file(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--topology", files["topology.json"], "--arrivals", files["arrivals.json"])
    assert run(*options, "--tickets", files["tickets.jsonl"], "--output", "json", files["storm.jsonl"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert answer == {
        "storm": {
            "groups": {"CertExpiry-web": None, "RequestErrors-orders": "incident-1", "RequestErrors-web": "incident-1"},
            "roots": {"incident-1": "orders"},
            "tickets": {"T1": {"category": "outage", "severity": "sev1", "incident": "incident-1"}},
        }
    }


def test_the_table_says_why_and_what_was_at_fault_first(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--topology", files["topology.json"], files["storm.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "storm: 3 alerts, 1 incidents, 1 alerts belong to none"
    assert (
        lines[1].startswith("  incident-1  orders (at first web)  since 2026-01-05 09:00:")
        and "root for 4.90" in lines[1]
    )
    assert any("RequestErrors  web  fail here 0.55" in line for line in lines)
    assert lines[-1] == "    CertExpiry  web  hygiene"


def test_without_a_topology_the_same_alert_in_one_namespace_at_one_time_is_one_group(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--output", "json", files["storm.jsonl"]) == 0
    storm = json.loads(capsys.readouterr().out)["storm"]
    assert storm["roots"] == {"incident-1": "shop"}
    assert storm["groups"]["RequestErrors-web"] == storm["groups"]["RequestErrors-orders"] == "incident-1"


def test_a_setting_with_other_words_is_used(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files["method.json"].write_text(json.dumps({"words": {"hygiene": ["errors"]}}))
    monkeypatch.setenv("OPSLOOP_CORRELATION", str(files["method.json"]))
    assert run("--output", "json", files["storm.jsonl"]) == 0
    groups = json.loads(capsys.readouterr().out)["storm"]["groups"]
    assert groups["RequestErrors-web"] is None


def test_labels_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storm = tmp_path / "s.jsonl"
    storm.write_text(body(("Errors\u001b[2J\u202e", "web", "05:00")))
    assert run(storm) == 0
    printed = capsys.readouterr().out
    assert "\u001b" not in printed and "\u202e" not in printed and "Errors�[2J�" in printed


@pytest.mark.parametrize(
    ("name", "content", "option", "message"),
    [
        pytest.param("storm.jsonl", "{", None, "storm.jsonl:1: body: not JSON", id="a line that is no JSON"),
        pytest.param(
            "storm.jsonl",
            body() + '\n{"version": "3"}',
            None,
            'storm.jsonl:2: version: "3" is not',
            id="another version",
        ),
        pytest.param(
            "storm.jsonl",
            body(("A", "web", "99:00")),
            None,
            'storm.jsonl:1: alerts[0].startsAt: "2026-01-05T09:99:00Z" is not an RFC 3339 time',
            id="a time that is none",
        ),
        pytest.param("topology.json", "[]", "--topology", "topology.json: services: not an object", id="no services"),
        pytest.param(
            "topology.json",
            '{"services": {"web": {"dependsOn": "orders"}}}',
            "--topology",
            "topology.json: services.web.dependsOn: not a list of service names",
            id="dependsOn is one name",
        ),
        pytest.param(
            "arrivals.json",
            '{"storm": ["2026-01-05T09:05:30Z"]}',
            "--arrivals",
            "storm: 1 times for the 2 bodies of",
            id="too few arrivals",
        ),
        pytest.param(
            "arrivals.json", '{"storm": ["noon"]}', "--arrivals", 'storm[0]: "noon" is not an RFC 3339', id="no time"
        ),
        pytest.param(
            "tickets.jsonl", '{"id": "x"}', "--tickets", "tickets.jsonl:1: subject: empty", id="an empty ticket"
        ),
        pytest.param(
            "tickets.jsonl",
            '{"id": "x", "body": "down", "storm": 7}',
            "--tickets",
            "tickets.jsonl:1: storm: missing; name the file",
            id="a storm that is no name",
        ),
    ],
)
def test_bad_input_is_one_line_that_names_file_line_and_field(
    name: str,
    content: str,
    option: str | None,
    message: str,
    files: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files[name].write_text(content)
    assert run(*((option, files[name]) if option else ()), files["storm.jsonl"]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none.jsonl") == 2
    assert "none.jsonl: No such file or directory" in capsys.readouterr().err


def test_two_storms_of_one_name_are_refused(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files["storm.jsonl"], files["storm.jsonl"]) == 2
    assert "two files have the same name" in capsys.readouterr().err
