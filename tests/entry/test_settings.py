from datetime import timedelta
from pathlib import Path

import pytest

from opsloop.api.incident import REOPEN_GRACE
from opsloop.core.correlation.method import Method
from opsloop.core.slo.query_budget import QueryBudget
from opsloop.entry.cli.commands import main
from opsloop.entry.settings import Settings, load, load_house, load_method
from opsloop.errors import Invalid


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = load({})
    assert settings == Settings(pod_name=settings.pod_name)
    assert settings.pod_name, "the host name"
    assert (settings.tick, settings.prometheus_resolution) == (timedelta(seconds=5), timedelta(seconds=15))
    assert (settings.intake_port, settings.metrics_port, settings.workers) == (8080, 8081, 4)
    assert (settings.token_audience, settings.lease_name) == ("opsloop", "opsloop")
    assert settings.reopen_grace == timedelta(minutes=30) == REOPEN_GRACE
    assert settings.namespaces == ()


def test_every_variable_is_read() -> None:
    settings = load(
        {
            "OPSLOOP_NAMESPACES": "shop, billing,",
            "OPSLOOP_POD_NAMESPACE": "ops",
            "OPSLOOP_POD_NAME": "opsloop-0",
            "OPSLOOP_POD_UID": "1-2",
            "OPSLOOP_PROMETHEUS_URL": "http://prometheus:9090/",
            "OPSLOOP_PROMETHEUS_RESOLUTION": "1s",
            "OPSLOOP_PROMETHEUS_DELAY": "2m",
            "OPSLOOP_PROMETHEUS_FILE": "/p",
            "OPSLOOP_QUERY_BUDGET": "600,shop=1200",
            "OPSLOOP_TICK": "500ms",
            "OPSLOOP_PAGER_URL": "https://pager/x",
            "OPSLOOP_PAGER_TOKEN_FILE": "/t",
            "OPSLOOP_INTAKE_PORT": "1",
            "OPSLOOP_METRICS_PORT": "2",
            "OPSLOOP_TOKEN_AUDIENCE": "a",
            "OPSLOOP_CONSOLE_PORT": "8082",
            "OPSLOOP_CONSOLE_AUDIENCE": "c",
            "OPSLOOP_WORKERS": "3",
            "OPSLOOP_LEASE_NAME": "lease",
            "OPSLOOP_REOPEN_GRACE": "0s",
        }
    )
    assert settings == Settings(
        namespaces=("shop", "billing"),
        pod_namespace="ops",
        pod_name="opsloop-0",
        pod_uid="1-2",
        prometheus_url="http://prometheus:9090",
        prometheus_resolution=timedelta(seconds=1),
        prometheus_delay=timedelta(minutes=2),
        prometheus_file="/p",
        query_budget=QueryBudget(600, {"shop": 1200}),
        tick=timedelta(milliseconds=500),
        pager_url="https://pager/x",
        pager_token_file="/t",
        intake_port=1,
        metrics_port=2,
        token_audience="a",
        console_port=8082,
        console_audience="c",
        workers=3,
        lease_name="lease",
        reopen_grace=timedelta(0),
    )


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert load({"OPSLOOP_TICK": "", "OPSLOOP_NAMESPACES": "", "OPSLOOP_PAGER_URL": ""}).tick == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        pytest.param("TICK", "5", "'5' is not a duration; write for example", id="a duration without a unit"),
        pytest.param("TICK", "0s", "must be longer than 0s", id="a tick of nothing"),
        pytest.param("WORKERS", "0", "'0' is not a whole number from 1 to 64", id="no workers"),
        pytest.param("WORKERS", "many", "'many' is not a whole number", id="a number in words"),
        pytest.param("INTAKE_PORT", "99999", "from 0 to 65535", id="a port that does not exist"),
        pytest.param("CONSOLE_PORT", "on", "'on' is not a whole number from 0 to 65535", id="a port in words"),
        pytest.param("PROMETHEUS_URL", "prometheus:9090", "write for example http://", id="a URL without a scheme"),
        pytest.param("QUERY_BUDGET", "many", "'many' is no budget; write for example 600", id="a budget in words"),
        pytest.param("QUERY_BUDGET", "600,Shop=1", "'Shop=1' is no budget", id="a budget of a namespace that is none"),
        pytest.param("PROMETHEUS_URL", "http://u:p@prom:9090", "user name or a password", id="a URL with a password"),
        pytest.param("PROMETHEUS_URL", "u:p@prom:9090", "user name or a password", id="and without a scheme"),
        pytest.param("PROMETHEUS_URL", "http://prom:9090/?tenant=1", "before . and #", id="a URL with a query"),
        pytest.param(
            "NAMESPACES", "shop;billing", "write for example shop,billing", id="a list with the wrong separator"
        ),
        pytest.param("LEASE_NAME", "My Lease", "lower case", id="a name that Kubernetes refuses"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_and_a_right_one(name: str, value: str, message: str) -> None:
    with pytest.raises(Invalid, match=f"OPSLOOP_{name}: .*{message}"):
        load({f"OPSLOOP_{name}": value})


def test_all_wrong_variables_are_named_together() -> None:
    with pytest.raises(Invalid, match=r"OPSLOOP_TICK: .*; OPSLOOP_WORKERS: "):
        load({"OPSLOOP_TICK": "x", "OPSLOOP_WORKERS": "x"})


def test_no_setting_is_a_flag_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The help of `opsloop operator` says so, and a flag is refused."""
    with pytest.raises(SystemExit) as end:
        main(["operator", "--tick", "1s"])
    assert end.value.code == 2 and "--tick" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("{", "body: not JSON"),
        ("[]", "tickets: [] is not a JSON object"),
        ('{"desk": {}}', "desk: there is no such field; did you mean desks?"),
        ('{"colour": {}}', "colour: there is no such field; there are desks, routes, knownAs, categories"),
        ('{"routes": {"complaint": "x"}}', "routes.complaint: there is no such category; there are outage,"),
        ('{"routes": {"billing": ""}}', 'routes.billing: "" is not a text of 1 to 64 characters'),
        ('{"knownAs": {"cart": "trolley"}}', 'knownAs.cart: "trolley" is not a list of words'),
        ('{"categories": {"Refund": {}}}', "categories.Refund: not a name; use 1 to 32 lower case letters"),
        ('{"categories": {"refund": {}}}', "categories.refund.like: missing; name the one that it is like: outage,"),
        ('{"categories": {"refund": {"like": "money"}}}', 'categories.refund.like: "money" is no category of opsloop'),
        ('{"categories": {"refund": {"lik": "billing"}}}', "categories.refund.lik: there is no such field; did you mean"),
        ('{"categories": {"refund": {"owner": 1}}}', "categories.refund.owner: there is no such field; there are like,"),
        ('{"categories": {"refund": {"like": "billing", "severities": ["high"]}}}', "categories.refund.severities: "),
        ('{"categories": {"refund": {"like": "billing", "words": "back"}}}', 'categories.refund.words: "back" is not a'),
        ('{"knownAs": {"cart": [7]}}', "knownAs.cart: 7 is not a text of 1 to 64 characters"),
        ('{"desks": {"help": {"subject": "title"}}}', 'desks.help.subject: "title" is not a JSONPath such as $.issue.title'),
    ],
)  # fmt: skip
def test_a_wrong_file_of_tickets_is_refused_with_what_is_wrong_in_it(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "tickets.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Invalid) as error:
        load_house(load({"OPSLOOP_TICKETS_FILE": str(path)}))
    assert str(error.value).startswith(f"OPSLOOP_TICKETS_FILE: {path}: {message}")


def test_without_a_file_there_are_the_ready_made_desks() -> None:
    assert set(load_house(Settings()).desks) == {"github", "jira", "mail", "zendesk"}


def test_routes_and_names_of_the_house_are_read(tmp_path: Path) -> None:
    (path := tmp_path / "tickets.json").write_text(
        '{"routes": {"billing": "accounts"}, "knownAs": {"cart": ["trolley"]}}'
    )
    words = load_house(Settings(tickets_file=str(path))).words
    assert (words.routes, words.known_as) == ({"billing": "accounts"}, {"cart": ("trolley",)})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file", id="there is no such file"),
        pytest.param("{", "not JSON", id="it is no JSON"),
        pytest.param('{"lag": {}}', "'lag' is not known; there are lags, prices, reach, split, spreads, words", id="a misspelt table"),
        pytest.param('{"lags": {"eror": 1}}', "lags: 'eror' is not known; there are after_for, burn,", id="a misspelt class"),
        pytest.param('{"prices": {"hop": "1"}}', "prices.hop: '1' is not a number from 0", id="a price that is none"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_grouping_is_refused_with_what_is_wrong_in_it(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "correlation.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Invalid) as error:
        load_method(load({"OPSLOOP_CORRELATION": str(path)}).correlation)
    assert str(error.value).startswith(f"OPSLOOP_CORRELATION {path}: {message}")


def test_the_operator_takes_over_what_the_file_changes_of_grouping(tmp_path: Path) -> None:
    (path := tmp_path / "correlation.json").write_text('{"words": {"hygiene": ["licence*"]}, "lags": {"error": 120}}')
    method = load_method(load({"OPSLOOP_CORRELATION": str(path)}).correlation)
    assert (method.words["hygiene"], method.lags.error) == (("licence*",), 120.0)
    assert load_method("") == Method() and method.words["burn"] == Method().words["burn"]
