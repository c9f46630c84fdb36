"""The file of sources, and what the operator makes of it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opsloop.adapters.prometheus import NoPrometheus
from opsloop.entry.settings import Settings, load
from opsloop.entry.sources import connect_sources, load_sources
from opsloop.errors import Invalid


def settings(tmp_path: Path, content: Any, **more: Any) -> Settings:
    (path := tmp_path / "sources.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return Settings(prometheus_file=str(path), **more)


def test_without_a_file_there_is_the_default_at_the_url() -> None:
    (one,) = load_sources(Settings(prometheus_url="http://prom:9090")).items()
    assert one[0] == "default" and one[1].url == "http://prom:9090" and one[1].resolution is None


def test_the_default_has_the_url_of_the_settings_and_others_have_their_own(tmp_path: Path) -> None:
    file = {
        "sources": {
            "mimir": {"url": "https://mimir/prometheus/", "resolution": "1m", "delay": "0s"},
            "default": {"bearerTokenFile": "/t"},
        }
    }
    sources = load_sources(settings(tmp_path, file, prometheus_url="http://prom:9090"))
    default, mimir = sources["default"], sources["mimir"]
    assert (default.url, default.bearer_token_file, default.delay) == ("http://prom:9090", "/t", None)
    assert (mimir.url, mimir.resolution, mimir.delay) == (
        "https://mimir/prometheus",
        timedelta(minutes=1),
        timedelta(0),
    )


async def test_a_default_without_a_url_knows_nothing_and_others_are_asked(tmp_path: Path) -> None:
    sources = load_sources(settings(tmp_path, {"sources": {"mimir": {"url": "http://127.0.0.1:1"}}}))
    async with aiohttp.ClientSession() as session:
        connected = connect_sources(sources, session)
        assert isinstance(connected["default"].telemetry, NoPrometheus) and list(connected) == ["default", "mimir"]
        assert not isinstance(connected["mimir"].telemetry, NoPrometheus)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON: "),
        ({"source": {}}, "source: there is no such field"),
        ({"sources": {"Mimir": {"url": "http://m"}}}, "sources: 'Mimir' is not a name; use at most 63 lower case letters"),
        ({"sources": {"mimir": {}}}, "sources: mimir.url: missing; write for example http://"),
        ({"sources": {"mimir": {"url": "mimir:80"}}}, "sources.mimir.url: 'mimir:80' is not a URL; write for example http://"),
        ({"sources": {"m": {"url": "http://u:hunter2@m"}}}, "sources.m.url: holds a user name or a password"),
        ({"sources": {"m": {"url": "http://m", "resolution": "15"}}}, "sources.m.resolution: '15' is not a duration; write for example 30s"),
        ({"sources": {"m": {"url": "http://m", "resolution": "0s"}}}, "sources.m.resolution: must be longer than 0s"),
        ({"sources": {"m": {"url": "http://m", "bearerToken": "hunter2"}}}, "sources.m.bearerToken: there is no such field"),
        ({"sources": {"m": {"url": "http://m", "bearerTokenFile": "/t", "basicAuth": {"username": "u", "passwordFile": "/p"}}}}, "sources.m: give one of bearerTokenFile and basicAuth"),
        ({"sources": {"m": {"url": "http://m", "basicAuth": {"passwordFile": "/p"}}}}, "sources.m.basicAuth: give exactly one of username and usernameFile"),
        ({"sources": {"m": {"url": "http://m", "tls": {"certFile": "/c"}}}}, "sources.m.tls: certFile and keyFile belong together"),
        ({"sources": {"m": {"url": "http://m", "headers": {"Authorization": "Bearer hunter2"}}}}, "sources.m.headers: Authorization is a credential; write bearerTokenFile"),
        ({"sources": {"m": {"url": "http://m", "headers": {"X-Scope-OrgID": "hunter2\r\nX: y"}}}}, "sources.m.headers: the value of X-Scope-OrgID must be a text of printable ASCII"),
        ({"sources": {"m": {"url": "http://m", "headers": {"X Scope": "y"}}}}, "sources.m.headers: 'X Scope' cannot be set; write for example X-Scope-OrgID"),
        ({"sources": {"m": {"url": "http://m", "headers": {"Host": "y"}}}}, "sources.m.headers: 'Host' cannot be set"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_the_field_and_without_a_credential(
    tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(Invalid) as error:
        load_sources(settings(tmp_path, content))
    assert str(error.value).startswith(f"OPSLOOP_PROMETHEUS_FILE: {tmp_path}/sources.json: {message}")
    assert "hunter2" not in str(error.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(Invalid, match="OPSLOOP_PROMETHEUS_FILE: /nowhere: No such file"):
        load_sources(load({"OPSLOOP_PROMETHEUS_FILE": "/nowhere"}))
