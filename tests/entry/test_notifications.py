"""The file of receivers, routes and links: what is read of it, and how a wrong one is told."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from opsloop.core.notify.routing import Subject
from opsloop.entry.cli.commands import main
from opsloop.entry.notifications import Notifications, load_notifications
from opsloop.entry.settings import Settings
from opsloop.errors import Invalid


class _Answers(BaseHTTPRequestHandler):
    """Takes what is sent to /up, and refuses everything else."""

    def do_POST(self) -> None:
        action = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["action"]
        up = self.path == "/up"
        self.send_response(202 if up else 401)
        self.end_headers()
        self.wfile.write(f"taken {action}".encode() if up else b"who are you")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


AM = {"format": "alertmanager", "url": "http://alertmanager.monitoring:9093"}
PD = {"format": "pagerduty", "keyFile": "/var/run/secrets/pd/key"}


def read(tmp_path: Path, content: Any, **settings: Any) -> Notifications:
    file = tmp_path / "notifications.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_notifications(Settings(notifications_file=str(file), **settings))


def test_everything_together(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        {
            "cluster": "prod", "links": {"grafana": "https://g/?ns={{ namespace }}", "console": ""},
            "receivers": {"oncall": PD, "am": AM},
            "routes": [{"receivers": ["am"], "namespaces": ["shop"], "continue": True}, {"receivers": ["am"], "kind": "Release"}],
            "default": ["oncall"],
        },
    )  # fmt: skip
    assert made.routing.receivers_of(Subject("shop", severity="sev1")) == ("am",)
    assert made.routing.receivers_of(Subject("elsewhere", severity="sev1")) == ("oncall",)
    assert made.routing.receivers_of(Subject("shop", "Release")) == ("am",)
    assert made.routing.resent == {"am"} and made.house.links == {"grafana": "https://g/?ns={{ namespace }}"}


def test_the_one_pager_of_the_url_is_the_default(tmp_path: Path) -> None:
    plain = load_notifications(Settings(pager_url="http://receiver:8080/page", pager_token_file="/token"))
    assert plain.receivers["pager"].format == "json" and plain.receivers["pager"].bearer_token_file == "/token"
    assert plain.routing.default == ("pager",)
    more = read(tmp_path, {"receivers": {"am": AM}, "routes": [{"receivers": ["pager", "am"], "namespaces": ["shop"]}]}, pager_url="http://receiver:8080/page")  # fmt: skip
    assert more.routing.receivers_of(Subject("shop")) == ("pager", "am")
    assert more.routing.receivers_of(Subject("elsewhere")) == ("pager",)


def test_without_anything_pages_have_nowhere_to_go_and_that_is_no_error_at_start() -> None:
    assert load_notifications(Settings()).receivers == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("{", "not JSON", id="not JSON"),
        pytest.param({"recievers": {}}, "recievers: there is no such field", id="a field that is none"),
        pytest.param({"receivers": {"am": AM}}, r"default: missing; name the receivers of what no route fits, for example \[am\]", id="nobody for the rest"),
        pytest.param({"receivers": {"am": AM}, "default": ["an"]}, "default: 'an' is no receiver; there are am, pager", id="a default that is none"),
        pytest.param({"receivers": {"am": AM}, "default": ["am"], "routes": [{"receivers": ["x"]}]}, "routes.0.receivers: 'x' is no receiver", id="a route to nobody"),
        pytest.param({"receivers": {"am": AM}, "default": ["am"], "routes": [{"receivers": []}]}, "routes.0.receivers: .*at least 1", id="a route without receivers"),
        pytest.param({"receivers": {"Am": AM}, "default": ["am"]}, "'Am' cannot be a name", id="a name that is none"),
        pytest.param({"receivers": {"pager": AM}, "default": ["pager"]}, "and not pager", id="the name of the URL's receiver"),
        pytest.param({"links": {"wiki": "https://w"}}, "'wiki' is no link; there are grafana, console, runbook, postmortem", id="a link that is none"),
        pytest.param({"links": {"grafana": "https://g/{{ nmespace }}"}, "receivers": {"am": AM}, "default": ["am"]}, "links.grafana: 'nmespace' is undefined", id="a link with a name that is none"),
        pytest.param({"links": {"grafana": "g/{{ namespace }}"}, "receivers": {"am": AM}, "default": ["am"]}, "links.grafana: what it makes is not a URL", id="a link that is no URL"),
        pytest.param({"receivers": {"own": {"format": "template", "url": "http://a", "template": "{{ titel }}"}}, "default": ["own"]}, "own: template: 'titel' is undefined", id="a template with a name that is none, at start and not in the night"),
        pytest.param({"receivers": {"pd": {**PD, "keyFile": ""}}, "default": ["pd"]}, "receivers.pd: keyFile: missing", id="a receiver's own fault, with its name"),
    ],
)  # fmt: skip
def test_a_wrong_file_names_variable_file_and_field(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(Invalid, match=rf"OPSLOOP_NOTIFICATIONS_FILE: .*notifications.json: .*{said}"):
        read(tmp_path, content)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="No such file"):
        load_notifications(Settings(notifications_file=str(tmp_path / "none")))


def test_no_value_is_repeated_in_an_error(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        read(tmp_path, {"receivers": {"chat": {"format": "slack", "url": "https://hooks.slack.com/T0/B0/s3cr3t"}}})
    assert "s3cr3t" not in str(caught.value)


def test_routes_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "n.json"
    file.write_text(json.dumps({"receivers": {"am": AM, "oncall": PD}, "routes": [{"receivers": ["am"], "severities": ["sev2"]}], "default": ["oncall"]}))  # fmt: skip
    for severity, name in (("sev1", "oncall"), ("sev2", "am")):
        assert main(["notify", "routes", "-n", "shop", "--severity", severity, "--file", str(file)]) == 0
        assert capsys.readouterr().out.split()[0] == name


def test_a_test_prints_what_each_answered_and_fails_where_one_did_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answering: str
) -> None:
    file = tmp_path / "n.json"
    receivers = {
        "up": {"format": "json", "url": f"{answering}/up"},
        "down": {"format": "json", "url": f"{answering}/down"},
    }
    file.write_text(json.dumps({"receivers": receivers, "default": ["up"]}))
    assert main(["notify", "test", "--file", str(file)]) == 1
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["FAILED", "down", "json", "trigger", "down:", "401", "who", "are", "you"],
        ["ok", "up", "json", "trigger", "202", "taken", "trigger"],
        ["ok", "up", "json", "resolve", "202", "taken", "resolve"],
    ]  # fmt: skip
    assert main(["notify", "test", "--file", str(file), "--receiver", "up"]) == 0
    capsys.readouterr()
    assert main(["notify", "test", "--file", str(file), "--receiver", "other"]) == 2
    assert "--receiver other: no such receiver; there are down, up" in capsys.readouterr().err
