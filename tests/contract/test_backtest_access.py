"""`opsloop backtest` and `opsloop doctor`'s way to Prometheus, with credentials: a real Prometheus that wants TLS, a client certificate and
basic auth by its own `--web.config.file`, and the same one behind a proxy that wants a bearer token and a tenant's header, as vmauth and
Mimir's gateway do (Prometheus itself knows neither). Runs where a Prometheus is at hand (tests/contract/model/real.py).
"""

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest
import trustme

from opsloop.entry.cli import commands
from tests.builders.past import HASHES, START, Era, history
from tests.contract.model import real

MINUTES = 180
ERAS = (Era(0, "v1", HASHES[0], 0.0005), Era(90, "v2", HASHES[1], 0.4), Era(130, "v1", HASHES[0], 0.0005))
CA = trustme.CA()
CLIENT = CA.issue_cert("opsloop")
PASSWORD = "sesame 1:2"
HASHED = "$2b$04$/evMwUGkwryag.1QZ1b/BOoa8RAf7Sr2vTWHllFw.OGKhXMerR3c6"  # bcrypt, of PASSWORD
TOKEN, TENANT = "t0ken", "shop"
RELEASE = """
kind: Release
apiVersion: opsloop.dev/v1alpha1
metadata: {name: answers, namespace: shop}
spec:
  workloadRef: {name: answers}
  slo:
    objective: 0.99
    sli: {requests: {counter: http_requests_total, bad: 'code=~"5.."'}}
"""


class Behind(NamedTuple):
    """The addresses of one history: secured, and behind a proxy; and a folder with the credentials."""

    secured: str
    proxied: str
    folder: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    binary = real.binary()
    if binary is None:
        pytest.skip("no Prometheus on this machine")
    folder = tmp_path_factory.mktemp("credentials")
    server_cert = CA.issue_cert("localhost")
    server_cert.cert_chain_pems[0].write_to_path(folder / "server.crt")
    server_cert.private_key_pem.write_to_path(folder / "server.key")
    CA.cert_pem.write_to_path(folder / "ca.crt")
    CLIENT.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    CLIENT.private_key_pem.write_to_path(folder / "tls.key")
    (folder / "password").write_text(f"{PASSWORD}\n")
    (folder / "token").write_text(f"{TOKEN}\n")
    (folder / "release.yaml").write_text(RELEASE)
    web = folder / "web.yml"
    web.write_text(
        json.dumps(
            {
                "tls_server_config": {
                    "cert_file": str(folder / "server.crt"),
                    "key_file": str(folder / "server.key"),
                    "client_auth_type": "RequireAndVerifyClientCert",
                    "client_ca_file": str(folder / "ca.crt"),
                },
                "basic_auth_users": {"grafana": HASHED},
            }
        )
    )
    data = folder / "data"
    with real.running(binary, data=data) as plain:
        plain.write(history(ERAS, MINUTES))
    # the same database again, now secured; and, after that, once more behind the proxy
    with real.running(binary, data=data, web=web) as secured, _copied(binary, data, folder) as proxied:
        yield Behind(f"https://localhost:{secured.port}", proxied, folder)


class _copied:
    """A second Prometheus over a copy of the data, behind a proxy that lets in whoever has the token and names the tenant."""

    def __init__(self, binary: Path, data: Path, folder: Path) -> None:
        self.binary, self.data, self.folder = binary, data, folder

    def __enter__(self) -> str:
        copy = self.folder / "copy"
        shutil.copytree(self.data, copy, ignore=shutil.ignore_patterns("lock", "queries.active"))
        self.running = real.running(self.binary, data=copy)
        port = self.running.__enter__().port

        class Gateway(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    self._say(401, b"missing or wrong token")
                elif self.headers.get("X-Scope-OrgID") != TENANT:
                    self._say(401, b"no org id")
                else:
                    asked = Request(
                        f"http://127.0.0.1:{port}{self.path}",
                        body,
                        {"Content-Type": self.headers["Content-Type"]},
                    )
                    with urlopen(asked, timeout=30) as answer:
                        self._say(200, answer.read())

            def _say(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.proxy = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
        threading.Thread(target=self.proxy.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.proxy.server_port}"

    def __exit__(self, *error: Any) -> None:
        self.proxy.shutdown()
        self.proxy.server_close()
        self.running.__exit__(*error)


def asked(world: Behind, url: str, *more: str) -> int:
    """The exit code; words that begin with @ are files of the folder."""
    until = (START + timedelta(minutes=MINUTES)).isoformat()
    words = [str(world.folder / word[1:]) if word.startswith("@") else word for word in more]
    command = ["backtest", "-f", str(world.folder / "release.yaml"), "--since", "2h", "--until", until, "--step", "5m", "-o", "json", "--prometheus", url]  # fmt: skip
    return commands.main([*command, *words])


BASIC = ("--username", "grafana", "--password-file", "@password")
TLS = ("--ca-file", "@ca.crt", "--cert-file", "@tls.crt", "--key-file", "@tls.key")
BEARER, HEADER = ("--bearer-token-file", "@token"), ("--header", f"X-Scope-OrgID={TENANT}")


@pytest.mark.parametrize("how", ["TLS, a client certificate and basic auth", "a bearer token and a header"])
def test_with_credentials_the_history_is_read(world: Behind, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = (world.secured, *BASIC, *TLS) if how.startswith("TLS") else (world.proxied, *BEARER, *HEADER)
    assert asked(world, *where) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["objectives"][0]["pages"] == 1
    assert [one["version"] for one in found["deploys"]] == ["v2", "v1"]


@pytest.mark.parametrize(
    ("secured", "given", "says"),
    [
        pytest.param(True, TLS, "answered 401: Unauthorized", id="no user"),
        pytest.param(True, (*TLS, "--username", "grafana", "--password-file", "@token"), "answered 401: Unauthorized", id="a wrong password"),
        pytest.param(False, HEADER, "answered 401: missing or wrong token", id="no token"),
        pytest.param(False, (*HEADER, "--bearer-token-file", "@password"), "answered 401: missing or wrong token", id="a wrong token"),
        pytest.param(False, BEARER, "answered 401: no org id", id="no tenant"),
    ],
)  # fmt: skip
def test_without_them_it_says_what_the_server_said_and_no_secret(
    world: Behind, secured: bool, given: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = asked(world, world.secured if secured else world.proxied, *given)
    said = capsys.readouterr()
    assert code == 2 and says in said.err, said
    assert not said.out and PASSWORD not in said.err and TOKEN not in said.err
