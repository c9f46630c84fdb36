"""How a source is asked, against a local server: TLS with a CA and client certificates, credentials of files that are
rotated, and what the person who reads the error sees of it."""

import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from opsloop.adapters.http_access import HttpAccess
from opsloop.adapters.prometheus import Prometheus
from opsloop.errors import Forbidden, Unavailable

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
WHOLE = {"status": "success", "data": {"resultType": "vector", "result": []}}
CA, OTHER_CA = trustme.CA(), trustme.CA()
SERVER, CLIENT, STRANGER = CA.issue_cert("localhost"), CA.issue_cert("opsloop"), OTHER_CA.issue_cert("opsloop")


class Server:
    """It answers who asks with `authorization`, and repeats in its refusal what it was told."""

    def __init__(self) -> None:
        self.authorization: str | None = None
        self.headers: list[dict[str, str]] = []

    async def reply(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        said = request.headers.get("Authorization")
        if self.authorization is not None and said != self.authorization:
            return web.Response(status=401, text=f"401 Unauthorized: {said} is not known")
        return web.json_response(WHOLE)


async def serving(one: Server, context: ssl.SSLContext | None = None) -> TestServer:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.reply)
    server = TestServer(app, host="localhost", scheme="https" if context else "http")
    await server.start_server(ssl=context)
    return server


@pytest.fixture
async def plain() -> AsyncIterator[tuple[Server, str]]:
    one = Server()
    server = await serving(one)
    yield one, str(server.make_url("/"))
    await server.close()


@pytest.fixture
async def secured() -> AsyncIterator[str]:
    """A server that wants a client's certificate of its own CA."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    SERVER.configure_cert(context)
    CA.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = await serving(Server(), context)
    yield f"https://localhost:{server.port}"
    await server.close()


def access(**fields: Any) -> HttpAccess:
    return HttpAccess.model_validate_json(json.dumps(fields))


def client(folder: Path, certificate: trustme.LeafCert = CLIENT, ca: trustme.CA = CA) -> dict[str, Any]:
    """Files of a client as a mounted Secret has them."""
    paths = {"caFile": folder / "ca.crt", "certFile": folder / "tls.crt", "keyFile": folder / "tls.key"}
    ca.cert_pem.write_to_path(paths["caFile"])
    certificate.cert_chain_pems[0].write_to_path(paths["certFile"])
    certificate.private_key_pem.write_to_path(paths["keyFile"])
    return {field: str(path) for field, path in paths.items()}


async def ask(url: str, *every: HttpAccess) -> None:
    async with aiohttp.ClientSession() as session:
        for one in every:
            await Prometheus.over_http(session, url, one, "Prometheus source mimir").instant("up", AT)


async def test_a_client_with_the_right_ca_and_certificate_is_answered(secured: str, tmp_path: Path) -> None:
    await ask(secured, access(tls=client(tmp_path)))


async def test_the_name_of_the_certificate_may_be_another_than_that_of_the_address(
    secured: str, tmp_path: Path
) -> None:
    by_address = secured.replace("localhost", "127.0.0.1")
    with pytest.raises(Unavailable, match="mismatch"):
        await ask(by_address, access(tls=client(tmp_path)))
    await ask(by_address, access(tls={**client(tmp_path), "serverName": "localhost"}))
    await ask(by_address, access(tls={**client(tmp_path), "insecureSkipVerify": True}))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({"certFile", "keyFile"}, "certificate verify failed", id="the server's CA is not known"),
        pytest.param({"caFile"}, "certificate required|reset|closed|EOF|ALERT", id="the server wants a client's certificate"),
    ],
)  # fmt: skip
async def test_what_tls_refuses_is_said(secured: str, tmp_path: Path, files: set[str], says: str) -> None:
    tls = {field: path for field, path in client(tmp_path).items() if field in files}
    with pytest.raises(Unavailable, match=f"(?i)Prometheus source mimir cannot be reached: .*({says})"):
        await ask(secured, access(tls=tls))


async def test_a_certificate_that_was_rotated_is_used_without_a_restart(secured: str, tmp_path: Path) -> None:
    """First a stranger's, then half of the rotation, then the right one: one connection of opsloop throughout."""
    files = client(tmp_path, STRANGER)
    async with aiohttp.ClientSession() as session:
        prometheus = Prometheus.over_http(session, secured, access(tls=files))
        with pytest.raises(Unavailable, match="cannot be reached"):
            await prometheus.instant("up", AT)
        CLIENT.cert_chain_pems[0].write_to_path(files["certFile"])
        with pytest.raises(Unavailable, match=r"is not asked: tls.certFile and tls.keyFile: .*key values mismatch"):
            await prometheus.instant("up", AT)
        CLIENT.private_key_pem.write_to_path(files["keyFile"])
        assert await prometheus.instant("up", AT) == []


async def test_a_token_that_was_rotated_is_used_without_a_restart(plain: tuple[Server, str], tmp_path: Path) -> None:
    """Rotated as the kubelet does: another directory behind a link."""
    one, url = plain
    for number, token in enumerate(("old", "new")):
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "token").write_text(f"{token}\n")
    (data := tmp_path / "data").symlink_to("v0")
    async with aiohttp.ClientSession() as session:
        prometheus = Prometheus.over_http(session, url, access(bearerTokenFile=str(data / "token")))
        one.authorization = "Bearer old"
        await prometheus.instant("up", AT)
        one.authorization = "Bearer new"
        with pytest.raises(Forbidden, match="Prometheus answered 401: 401 Unauthorized"):
            await prometheus.instant("up", AT)
        data.unlink()
        data.symlink_to("v1")
        await prometheus.instant("up", AT)


async def test_basic_auth_is_sent_with_user_and_password_of_files(plain: tuple[Server, str], tmp_path: Path) -> None:
    one, url = plain
    (user := tmp_path / "username").write_text("grafana")
    (password := tmp_path / "password").write_text("sesame 1:2\n")
    one.authorization = aiohttp.encode_basic_auth("grafana", "sesame 1:2")
    await ask(
        url,
        access(basicAuth={"usernameFile": str(user), "passwordFile": str(password)}),
        access(basicAuth={"username": "grafana", "passwordFile": str(password)}),
    )


async def test_headers_go_with_queries_and_with_the_request_for_rules(plain: tuple[Server, str]) -> None:
    one, url = plain
    async with aiohttp.ClientSession() as session:
        prometheus = Prometheus.over_http(session, url, access(headers={"X-Scope-OrgID": "shop|billing"}))
        await prometheus.instant("up", AT)
        with pytest.raises(Unavailable, match="another shape"):  # of an answer about rules
            await prometheus.rules()
    assert [each["X-Scope-OrgID"] for each in one.headers] == ["shop|billing"] * 2


@pytest.mark.parametrize("field", ["bearerTokenFile", "password"])
async def test_a_refusal_that_repeats_the_credential_is_told_without_it(
    plain: tuple[Server, str], tmp_path: Path, field: str
) -> None:
    one, url = plain
    one.authorization = "another"
    (path := tmp_path / "secret").write_text("hunter2")
    basic = {"username": "u", "passwordFile": str(path)}
    with pytest.raises(Forbidden) as caught:
        await ask(url, access(basicAuth=basic) if field == "password" else access(bearerTokenFile=str(path)))
    kind = "Basic" if field == "password" else "Bearer"
    assert str(caught.value) == f"Prometheus source mimir answered 401: 401 Unauthorized: {kind} *** is not known"


@pytest.mark.parametrize(
    ("field", "content", "says"),
    [
        pytest.param("bearerTokenFile", None, r"bearerTokenFile: .*/secret: No such file", id="a Secret that is not mounted"),
        pytest.param("bearerTokenFile", b"\n", r"bearerTokenFile: .*/secret: empty", id="an empty token"),
        pytest.param("bearerTokenFile", b"one\ntwo", r"bearerTokenFile: .*/secret: more than one line", id="a token of two lines"),
        pytest.param("bearerTokenFile", b"\xff\xfe", r"bearerTokenFile: .*/secret: not a text in UTF-8", id="a token that is no text"),
        pytest.param("tls.caFile", b"no PEM", r"tls.caFile: .*/secret: no certificate or crl found", id="a CA that is no certificate"),
        pytest.param("tls.caFile", b"", r"tls.caFile: .*/secret: no certificate or crl found", id="an empty CA"),
    ],
)  # fmt: skip
async def test_a_file_that_cannot_be_used_is_named_and_its_content_is_not(
    tmp_path: Path, field: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    one = access(tls={"caFile": str(path)}) if field == "tls.caFile" else access(bearerTokenFile=str(path))
    with pytest.raises(Unavailable, match=f"Prometheus source mimir is not asked: {says}") as caught:
        await ask("https://localhost:1", one)
    assert content is None or not content.strip() or repr(content)[2:-1] not in str(caught.value)
