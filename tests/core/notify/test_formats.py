"""Every shipped format against what its receiver requires, for each kind of message, however long and odd its words are."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.actions import About, SendPage
from opsloop.core.notify.formats import FORMATS, NAMES, Call, Name, Style, calls
from opsloop.core.notify.render import MOST_BODY, sent
from opsloop.core.notify.words import House
from opsloop.shell.notify.payload import payload
from tests.builders.objects import at
from tests.builders.pages import page_message

SCHEMAS = Path(__file__).parent / "schemas"
LINKS = {
    "grafana": "https://grafana.example/d/slo?var-namespace={{ namespace }}&var-service={{ service }}",
    "console": "https://opsloop.example/{{ namespace }}/{{ incident or release }}",
    "runbook": "https://wiki.example/runbooks/{{ runbook }}",
    "postmortem": "https://opsloop.example/{{ namespace }}/{{ incident }}/postmortem",
}
HOUSE = House("prod-eu", LINKS)
SHIPPED = [name for name in NAMES if name != "template"]


@cache
def schema(name: str) -> Any:
    made = json.loads((SCHEMAS / f"{name}.json").read_text())
    return jsonschema_rs.validator_for(made, validate_formats=True)


def message(action: str = "trigger", number: int = 1, text: str = "burns 14x", title: str = "checkout burns", house: House = HOUSE, details: Mapping[str, str] | None = None, **about: Any) -> dict[str, Any]:  # fmt: skip
    known = {
        "service": "checkout",
        "team": "payments",
        "runbook": "rollback",
        "since": at(0),
        "called": ("sev1",),
        **about,
    }
    page = SendPage("checkout-1", title, "uid-1", page_message(number, action, text=text), details or {"burn": "14x over 5m"}, about=About(**known))  # fmt: skip
    return payload("shop", page, at(9))


def made(name: Name, body: Mapping[str, Any], house: House = HOUSE) -> list[Call]:
    return calls(name, body, house, Style("it", "secret-key"), {})


def check(name: Name, body: Mapping[str, Any], house: House = HOUSE) -> list[Call]:
    every = made(name, body, house)
    for call in every:
        which = name
        if "change" in call.path:
            which = "pagerduty-change"  # type: ignore[assignment]
        elif "identifierType" in call.path:
            which = "opsgenie-acts"  # type: ignore[assignment]
        schema(which).validate(call.body)
        assert len(sent(call.body)) <= MOST_BODY
    return every


@pytest.mark.parametrize("kind", ["Incident", "Release"])
@pytest.mark.parametrize("house", [HOUSE, House()], ids=["with links and a cluster", "with nothing configured"])
@pytest.mark.parametrize(("action", "number"), [("trigger", 1), ("trigger", 2), ("acknowledge", 3), ("resolve", 4)])
@pytest.mark.parametrize("name", SHIPPED)
def test_each_format_has_what_its_receiver_requires(
    name: Name, action: str, number: int, house: House, kind: str
) -> None:
    check(name, message(action, number, kind=kind), house)


ODD = st.text(alphabet=st.sampled_from('aü😀"\\<>&*_[]{}%`\n\x01{{x}}'), max_size=512)


@given(name=st.sampled_from(SHIPPED), text=ODD, title=ODD, value=ODD, action=st.sampled_from(["trigger", "resolve"]))
def test_no_word_breaks_out_of_a_format(name: Name, text: str, title: str, value: str, action: str) -> None:
    check(name, message(action, 2, text, title or "x", details={"burn": value, "cause": value}))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_longest_words_fit(name: Name) -> None:
    words = dict.fromkeys(("burn", "events", "cause", "act", "stopped"), "ü" * 400)
    check(name, message("trigger", 2, "ü" * 512, "ü" * 256, details=words, service="s" * 253, team="t" * 128))


@pytest.mark.parametrize("name", SHIPPED)
def test_cluster_links_namespace_and_incident_are_in_each(name: Name) -> None:
    said = json.dumps([call.body for call in made(name, message("resolve"))])
    for part in ("prod-eu", "shop", "checkout-1", "https://opsloop.example/shop/checkout-1"):
        assert part in said, part


@pytest.mark.parametrize("name", SHIPPED)
def test_every_configured_link_is_in_each(name: Name) -> None:
    said = json.dumps([call.body for call in made(name, message("trigger"))])
    wanted = ["opsloop.example"] if name == "oncall" else ["grafana.example/d/slo?var-namespace=shop", "opsloop.example", "wiki.example/runbooks/rollback"]  # fmt: skip
    for part in wanted:
        assert part in said, part
    assert "/postmortem" not in said, "it is written when the Incident is over"
    assert "/postmortem" in json.dumps([call.body for call in made(name, message("resolve"))])


def test_a_link_to_what_the_message_has_not_is_left_out() -> None:
    (call,) = made("json", message(runbook="", service=""))
    assert call.body["links"].keys() == {"console"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("pagerduty", ["/v2/enqueue trigger uid-1", "/v2/enqueue trigger uid-1", "/v2/enqueue acknowledge uid-1", "/v2/enqueue resolve uid-1"], id="PagerDuty by its dedup_key"),
        pytest.param("opsgenie", ["POST /v2/alerts", "POST /v2/alerts", "PUT /v2/alerts/uid-1/priority?identifierType=alias", "POST /v2/alerts/uid-1/notes?identifierType=alias", "POST /v2/alerts/uid-1/acknowledge?identifierType=alias", "POST /v2/alerts/uid-1/close?identifierType=alias"], id="Opsgenie by its alias"),
        pytest.param("oncall", ["alerting uid-1", "alerting uid-1", "ok uid-1"], id="OnCall by alert_uid and state; it has no acknowledgement"),
        pytest.param("json", ["trigger uid-1", "trigger uid-1", "acknowledge uid-1", "resolve uid-1"], id="plain JSON as it is"),
    ],
)  # fmt: skip
def test_updated_and_resolved_in_its_own_way(name: Name, told: list[str]) -> None:
    lives = [message("trigger", 1), message("trigger", 2), message("acknowledge", 3), message("resolve", 4)]
    every = [call for body in lives for call in made(name, body)]
    said = {
        "pagerduty": [f"{c.path} {c.body.get('event_action')} {c.body.get('dedup_key')}" for c in every],
        "opsgenie": [f"{c.method} {c.path}" for c in every],
        "oncall": [f"{c.body.get('state')} {c.body.get('alert_uid')}" for c in every],
        "json": [f"{c.body.get('action')} {c.body.get('dedup_key')}" for c in every],
    }[name]
    assert said == told


def alerts(body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(severity, incident, endsAt) of each alert."""
    (call,) = made("alertmanager", body)
    return [(a["labels"]["severity"], a["labels"].get("incident", ""), a["endsAt"]) for a in call.body]


def test_an_alert_of_alertmanager_keeps_its_labels_for_its_whole_life() -> None:
    life = [message("trigger", 1), message("acknowledge", 2), message("trigger", 3, "worse", called=("sev2", "sev1")), message("resolve", 4)]  # fmt: skip
    labels = {json.dumps(made("alertmanager", body)[0].body[-1]["labels"], sort_keys=True) for body in life}
    assert len(labels) == 1, "sev2 and sev1 are both critical there"
    assert json.loads(labels.pop()) == {
        "alertname": "OpsloopIncident", "cluster": "prod-eu", "namespace": "shop", "service": "checkout", "incident": "checkout-1",
        "team": "payments", "severity": "critical",
    }  # fmt: skip


def test_it_is_open_for_four_minutes_from_each_repeat_and_over_with_its_resolve() -> None:
    assert alerts(message("trigger")) == [("critical", "checkout-1", "2026-01-01T12:04:09.000Z")]
    assert alerts(message("resolve")) == [("critical", "checkout-1", "2026-01-01T12:00:00.000Z")]


def test_a_severity_with_another_name_there_is_another_alert_and_ends_the_former() -> None:
    assert alerts(message("trigger", 2, called=("sev3", "sev1"))) == [
        ("warning", "checkout-1", "2026-01-01T12:00:00.000Z"),
        ("critical", "checkout-1", "2026-01-01T12:04:09.000Z"),
    ]


def test_what_goes_on_with_the_alert_of_another_incident_keeps_its_labels() -> None:
    body = message("resolve", opened_by="web-1", opened_for="web", service="checkout")
    (call,) = made("alertmanager", body)
    assert {call.body[0]["labels"][name] for name in ("incident", "service")} == {"web-1", "web"}


def test_a_release_tells_pagerduty_a_change_and_wakes_nobody() -> None:
    (call,) = made("pagerduty", message(kind="Release"))
    assert call.path == "/v2/change/enqueue" and made("opsgenie", message(kind="Release")) == []


def test_every_format_knows_all_severities() -> None:
    for one in FORMATS.values():
        assert one.severities.keys() == {"sev1", "sev2", "sev3", "sev4"}
        assert not one.words or set(one.severities.values()) <= set(one.words)


def labels(body: Mapping[str, Any], **more: str) -> dict[str, str]:
    """Labels of the alert at Alertmanager; `more`: those of the house."""
    (call,) = calls("alertmanager", body, House(), Style("am", labels=more), {})
    found: dict[str, str] = call.body[0]["labels"]
    return found


def test_labels_of_an_alert_stay_whoever_speaks_in_it() -> None:
    first = labels(message(team="", service="web"))
    heir = labels({**message(team="payments", opened_for="web", opened_team="", opened_by="checkout-1")})
    assert first == heir, "the alert of a merged Incident goes on"
    crowd = {team: labels({**message(team=team), "group": "shop/pages-1"}) for team in ("payments", "search")}
    assert crowd["payments"] == crowd["search"], "one alert of a crowd of two teams"


def test_labels_of_the_house_stand_where_opsloop_has_none() -> None:
    assert labels(message(house=House()), cluster="prod-eu")["cluster"] == "prod-eu"


def test_what_a_release_tells_late_is_no_ended_alert() -> None:
    page = SendPage(
        "checkout", "v2 waits", "uid-1", page_message(1, "trigger"), {}, about=About("Release", "checkout", since=at(0))
    )
    late = payload("shop", page, at(3600))
    (call,) = calls("alertmanager", late, House(), Style("am"), {})
    assert call.body[0]["endsAt"] > late["sentAt"]
