"""`opsloop capture`: a recorded request becomes an Incident's case, and what is missing is said by its field."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from opsloop.api.evalcase import EvalCase
from opsloop.entry.cli import commands as cli
from opsloop.errors import Forbidden
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import EVALCASES, INCIDENTS, RELEASES, Object
from tests.builders import yamls
from tests.builders.gate_shift import INCIDENT, NS
from tests.fakes.gate_world import ShopCluster, after_the_shift

BAD = '10.1.2.3 - - [10/Oct/2026:13:55:36 +0000] "GET /cart?id=7&token=abc HTTP/1.1" 503 12 "-" "curl/8.5"'
FINE = '10.1.2.3 - - [10/Oct/2026:13:55:36 +0000] "GET /cart?id=8 HTTP/1.1" 200 12 "-" "curl/8.5"'
POST = '10.1.2.3 - - [10/Oct/2026:13:55:36 +0000] "POST /orders HTTP/1.1" 500 12'


@pytest.fixture
def shop() -> ShopCluster:
    return after_the_shift()


def run(cluster: ShopCluster, *argv: str) -> int:
    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
        yield cluster

    return cli.main(["capture", "-n", NS, INCIDENT, *argv], connect)


def case(shop: ShopCluster, name: str = f"{INCIDENT}-regression-capture") -> EvalCase:
    return EvalCase.model_validate(shop.find(EVALCASES, NS, name))


def test_a_line_becomes_a_case_and_says_what_was_made_of_it(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop, BAD) == 0
    spec, out = case(shop).spec, capsys.readouterr().out
    assert (spec.request.method, spec.request.path) == ("GET", "/cart?id=7&token=redacted")
    assert (spec.expect.status, spec.must_pass, spec.origin.by) == (200, True, "capture")
    assert spec.proof is not None and spec.proof.bad != spec.proof.good
    for said in (
        "read as: access log line, GET /cart",
        "left out: query parameter token",
        "expects status 200 (it got 503)",
        "is created",
    ):
        assert said in out
    assert "abc" not in str(shop.find(EVALCASES, NS, case(shop).metadata.name))


def test_the_expectation_may_be_said(shop: ShopCluster) -> None:
    assert (
        run(shop, FINE, "--json", "$.total=42", "--contains", "boots", "--field", "item", "--name", "cart-total") == 0
    )
    expect = case(shop, "cart-total").spec.expect
    assert (expect.status, expect.contains, expect.field) == (200, "boots", "item")
    assert [(c.path, c.equals) for c in expect.json_] == [("$.total", "42")]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        pytest.param([FINE], "Say what would have been right", id="it was answered with 200: what was wrong is not in the log"),
        pytest.param(["hello"], "this is no access log line", id="no log line"),
        pytest.param([POST], "--body: the access log line holds no body of this POST", id="a body that no log holds"),
        pytest.param([BAD, "--json", "total=3"], "--json total=3: write a JSONPath", id="no JSONPath"),
        pytest.param([BAD, "--json", "$.[=3"], "expect.json[0].path", id="a JSONPath that is none"),
        pytest.param([BAD, "--status", "999"], "status", id="no such status"),
        pytest.param([BAD, "--field", "item"], "--field says where to look", id="a field without what must be there"),
        pytest.param([BAD, "--file", "x.log"], "not both", id="line and file"),
        pytest.param(["--file", "/nowhere.log"], "--file /nowhere.log: No such file", id="no such file"),
        pytest.param([f"{FINE}\n{FINE}"], "none of 2 requests has a status of 500 or more", id="many lines, none bad"),
        pytest.param(['{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},"scopeSpans":[{"spans":[{"spanId":"1","kind":2,"attributes":[{"key":"http.method","value":{"stringValue":"GET"}},{"key":"http.target","value":{"stringValue":"/"}}]}]}]}]}'], "the spans are of web, none of answers", id="another service's trace"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str], argv: list[str], says: str
) -> None:
    assert run(shop, *argv) == 2
    assert says in capsys.readouterr().err
    assert shop.find(EVALCASES, NS, f"{INCIDENT}-regression-capture") is None


def test_of_a_whole_log_the_most_frequent_bad_request_is_taken(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    log.write_text("\n".join([FINE, "starting", BAD, POST, BAD]))
    assert run(shop, "--file", str(log)) == 0
    out = capsys.readouterr().out
    assert "passed over, line 2: " in out
    assert "of 4 requests 3 are bad; the most frequent, 2 times: GET /cart?id=7&token=redacted → 503" in out


def test_it_reads_a_pipe(shop: ShopCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(BAD))
    assert run(shop) == 0 and case(shop).spec.request.path.startswith("/cart")


def test_as_yaml_it_prints_the_case_and_creates_nothing(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, BAD, "-o", "yaml") == 0
    printed = yamls.load(capsys.readouterr().out)
    assert EvalCase.model_validate(printed).spec.origin.by == "capture"
    assert shop.find(EVALCASES, NS, printed["metadata"]["name"]) is None


def test_a_second_one_needs_a_name(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, BAD) == 0
    assert run(shop, BAD) == 2
    assert "give this one a --name" in capsys.readouterr().err


def _changed(shop: ShopCluster, resource: Any, name: str, **spec_or_status: Any) -> None:
    stored = shop.find(resource, NS, name)
    assert stored is not None
    for part, changes in spec_or_status.items():
        stored[part] = {k: v for k, v in {**stored[part], **changes}.items() if v is not None}
    shop.seed(stored)


def test_before_a_rollback_there_is_nothing_to_prove_it_on(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    _changed(shop, INCIDENTS, INCIDENT, status={"rollback": None})
    assert run(shop, BAD) == 2
    assert "names no bad and no good revision yet" in capsys.readouterr().err


def test_without_spec_evals_the_port_has_to_be_said(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    _changed(shop, RELEASES, "answers", spec={"evals": None})
    assert run(shop, BAD) == 2
    assert "--port" in capsys.readouterr().err
    assert run(shop, BAD, "--port", "9898") == 0 and case(shop).spec.request.port == 9898


def test_who_may_not_create_cases_is_told_what_to_do(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any, **__: Any) -> Object:
        raise Forbidden("evalcases is forbidden")

    monkeypatch.setattr(shop, "create", refused)
    assert run(shop, BAD) == 2
    assert "print it with -o yaml" in capsys.readouterr().err
