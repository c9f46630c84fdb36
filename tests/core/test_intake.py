"""Bodies that the intake accepts and refuses, and the format of inbox entries."""

import contextlib
import copy
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.alerts.labels import namespace_of, service_of
from opsloop.core.codec import ENTRY, MAX_OBJECT, decode_entry, encode_entries
from opsloop.core.intake import (
    MAX_ALERTS,
    Received,
    fingerprint_of,
    parse_alerts,
    parse_json,
    read_alerts,
    receive,
)
from opsloop.core.json_parts import Part, split
from opsloop.core.reported import InboxEntry
from opsloop.core.tickets.arriving import parse_ticket, read_ticket
from opsloop.errors import Invalid
from tests.builders.correlation import NOW, alert, ticket

ALERT: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "ServiceWrongAnswers", "service": "answers", "severity": "critical"},
    "annotations": {"summary": "answers gives wrong answers"},
    "startsAt": "2026-01-05T08:59:57.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus:9090/graph",
    "fingerprint": "6d9bfad6be4996e7",
}
BODY: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="ServiceWrongAnswers"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "opsloop",
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "alerts": [ALERT],
}


def body(path: str = "", value: Any = None) -> dict[str, Any]:
    """BODY with one field set; a value of `...` removes it."""
    changed = copy.deepcopy(BODY)
    target: Any = changed
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")] if path else [""]
    for part in parents:
        target = target[part]
    if value is ...:
        del target[last]
    elif path:
        target[last] = value
    return changed


def test_a_body_as_alertmanager_sends_it_is_accepted() -> None:
    (found,) = parse_alerts(body(), NOW)
    assert (found.fingerprint, found.status, found.ends_at, found.received_at) == (
        "6d9bfad6be4996e7",
        "firing",
        None,
        NOW,
    )
    assert found.starts_at == datetime(2026, 1, 5, 8, 59, 57, 123456, UTC)
    assert found.labels == ALERT["labels"] and found.annotations == ALERT["annotations"]


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        pytest.param(("future", {"a": 1}), "status", "firing", id="an unknown field is no mistake"),
        pytest.param(("alerts.0.future", 1), "status", "firing", id="nor in an alert"),
        pytest.param(("groupKey", ...), "status", "firing", id="a person's curl may leave out the group"),
        pytest.param(("alerts.0.annotations", ...), "annotations", {}, id="an alert needs no annotations"),
        pytest.param(("alerts.0.fingerprint", ...), "fingerprint", fingerprint_of(ALERT["labels"]), id="a missing fingerprint is computed"),
        pytest.param(("alerts.0.fingerprint", ""), "fingerprint", fingerprint_of(ALERT["labels"]), id="an empty one as well"),
        pytest.param(("alerts.0.startsAt", "2026-01-05T10:00:00+01:00"), "starts_at", NOW, id="an offset is read"),
        pytest.param(("alerts.0.endsAt", "2026-01-05T09:00:00Z"), "ends_at", None, id="the end of a firing alert is only a time-out"),
        pytest.param(("alerts.0.annotations.summary", "x" * 5000), "annotations", {"summary": "x" * 1024}, id="long prose is cut"),
        pytest.param(("groupKey", 4), "status", "firing", id="fields that nothing uses are not judged"),
        pytest.param(("alerts.0.generatorURL", 4), "status", "firing", id="nor in an alert"),
        pytest.param(("alerts.0.endsAt", "9999-12-31T23:59:59-23:59"), "ends_at", None, id="nor the end of a firing alert"),
        pytest.param(("alerts.0.annotations", "x"), "annotations", {}, id="annotations that are none are left out"),
        pytest.param(("alerts.0.annotations", {"a": 1, "b": "x"}), "annotations", {"b": "x"}, id="as is one that is no text"),
        pytest.param(("alerts.0.annotations.summary", "a\x1b[2Jb\r\nc\u202e"), "annotations", {"summary": "a�[2Jb\nc�"}, id="prose keeps its lines and nothing that acts on a terminal"),
        pytest.param(("alerts.0.labels", {"alertname": "x" * 2049}), "labels", {"alertname": "x" * 2048}, id="a long label is cut"),
        pytest.param(("alerts.0.labels", {"alertname": "A", "": "x", "n" * 257: "x"}), "labels", {"alertname": "A"}, id="a label without a name is left out"),
        pytest.param(("alerts.0.labels", {"alertname": "A\ud800\x00b"}), "labels", {"alertname": "A�b"}, id="what cannot be encoded is marked"),
        pytest.param(("alerts.0.fingerprint", "f" * 65), "fingerprint", fingerprint_of(ALERT["labels"]), id="a fingerprint that is none is computed"),
        pytest.param(("alerts.0.status", ...), "status", "firing", id="without a status it fires until its end"),
        pytest.param(("version", "1"), "status", "firing", id="Grafana's version"),
    ],
)  # fmt: skip
def test_tolerated(change: tuple[str, Any], field: str, expected: Any) -> None:
    assert getattr(parse_alerts(body(*change), NOW)[0], field) == expected


def test_a_resolved_alert_has_its_end() -> None:
    changed = body("alerts.0.status", "resolved")
    changed["alerts"][0]["endsAt"] = "2026-01-05T09:00:00Z"
    assert parse_alerts(changed, NOW)[0].ends_at == NOW


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(("version", "3"), 'version: "3" is not supported; Alertmanager sends "4"', id="another version"),
        pytest.param(("version", ...), "version: null is not supported", id="no version"),
        pytest.param(("alerts", ...), "alerts: null is not a list of alerts", id="no alerts"),
        pytest.param(("alerts", {}), "alerts: {} is not a list of alerts", id="alerts as an object"),
        pytest.param(("alerts", [7]), "alerts[0]: 7 is not a JSON object", id="an alert that is a number"),
        pytest.param(("alerts.0.status", "burning"), 'alerts[0].status: "burning" is neither "firing" nor "resolved"', id="another status"),
        pytest.param(("alerts.0.startsAt", "9999-12-31T23:59:59Z"), 'alerts[0].startsAt: "9999-12-31T23:59:59Z" is not an RFC 3339 time such as 2026-01-05T09:00:00Z, of the years 1900 to 9000', id="a day at the end of time"),
        pytest.param(("alerts.0.startsAt", "0002-01-01T00:00:00Z"), 'alerts[0].startsAt: "0002-01-01T00:00:00Z" is not', id="a day at its beginning"),
        pytest.param(("alerts.0.startsAt", "yesterday"), 'alerts[0].startsAt: "yesterday" is not an RFC 3339 time such as', id="a day in words"),
        pytest.param(("alerts.0.startsAt", "2026-02-30T00:00:00Z"), 'alerts[0].startsAt: "2026-02-30T00:00:00Z" is not', id="a day that is not"),
        pytest.param(("alerts.0.startsAt", "2026-01-05T09:00:00"), "alerts[0].startsAt:", id="a time without a zone"),
        pytest.param(("alerts.0.startsAt", "0001-01-01T00:00:00Z"), "alerts[0].startsAt: the zero time", id="a start that is not set"),
        pytest.param(("alerts.0.startsAt", 1767603600), "alerts[0].startsAt: 1767603600 is not", id="a time stamp"),
        pytest.param(("alerts.0.startsAt", ...), "alerts[0].startsAt: null is not", id="no start"),
        pytest.param(("alerts.0.labels", {}), "alerts[0].labels: empty", id="no labels"),
        pytest.param(("alerts.0.labels", ["a"]), 'alerts[0].labels: ["a"] is not a JSON object', id="labels as a list"),
        pytest.param(("alerts.0.labels.service", 5), "alerts[0].labels.service: 5 is not a string", id="a label that is a number"),
    ],
)  # fmt: skip
def test_a_malformed_body_is_refused_by_the_path_of_its_field(change: tuple[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as error:
        parse_alerts(body(*change), NOW)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("other", [None, "x", 5, True, float("nan")])
def test_a_body_that_is_no_object_is_refused(other: Any) -> None:
    for parse in (parse_alerts, parse_ticket):
        with pytest.raises(Invalid, match=r"body: .* is not a JSON object"):
            parse(other, NOW)


def read(value: Any) -> Received:
    return read_alerts(json.dumps(value).encode(), NOW)


def case(name: str) -> bytes:
    return (Path(__file__).parent.parent / "shell" / "intake" / "cases" / name).read_bytes()


def test_one_alert_that_breaks_a_rule_is_set_aside_and_the_others_are_taken() -> None:
    bad: list[Any] = [
        7,
        {**ALERT, "startsAt": "yesterday"},
        {**ALERT, "labels": {"service": 5}},
        {**ALERT, "status": "on"},
    ]
    found = read(body("alerts", [ALERT, *bad, ALERT]))
    assert len(found.alerts) == 2 and [r.index for r in found.set_aside] == [1, 2, 3, 4]
    assert found.set_aside[0].reason == "alerts[1]: 7 is not a JSON object"
    assert found.set_aside[1].reason.startswith('alerts[2].startsAt: "yesterday" is not an RFC 3339 time')
    assert found.set_aside[2].reason == "alerts[3].labels.service: 5 is not a string"


def test_a_body_of_which_nothing_can_be_taken_is_refused_by_its_first_reason() -> None:
    with pytest.raises(Invalid, match=r"alerts\[0\]: 7 is not a JSON object"):
        read(body("alerts", [7, 8]))


def test_an_alert_that_is_too_long_is_set_aside() -> None:
    found = read(body("alerts", [ALERT, {**ALERT, "annotations": {"text": "x" * 300_000}}]))
    assert len(found.alerts) == 1 and "bytes are too many; at most 262144" in found.set_aside[0].reason


def test_of_many_labels_those_stay_that_say_what_the_alert_is_about() -> None:
    (alert,) = read(body("alerts.0.labels", {**{f"a{n}": "x" for n in range(80)}, **ALERT["labels"]})).alerts
    assert len(alert.labels) == 64 and alert.labels.items() >= ALERT["labels"].items()


def test_what_is_cut_is_said() -> None:
    found = read(body("alerts.0.annotations.description", "x" * 5000))
    assert found.cut[0].index == 0 and "annotations.description: 5000 characters" in found.cut[0].reason


def test_grafana_s_own_alerts_are_taken() -> None:
    (alert,) = read_alerts(case("grafana-managed.json"), NOW).alerts
    assert (alert.labels["service"], alert.fingerprint) == ("answers", "57c6d9296de2ad39")
    assert alert.starts_at == datetime(2026, 1, 5, 7, 59, 0, 926076, UTC)


def test_a_long_annotation_refuses_nobody() -> None:
    found = read_alerts(case("huge-annotation-batch.json"), NOW)
    assert [a.labels["alertname"] for a in found.alerts] == ["HighErrorRate", "TooManyPods"] and not found.set_aside
    assert len(found.alerts[1].annotations["description"]) == 1024 and found.cut[0].index == 1


def test_dotted_and_prefixed_labels_name_the_service() -> None:
    found = read_alerts(case("10-labels.json"), NOW).alerts
    assert [service_of(a.labels) for a in found] == ["answers", "answers", ""]
    assert [namespace_of(a.labels) for a in found] == ["shop", "shop", ""]


@pytest.mark.parametrize(
    ("ends_at", "status"),
    [
        pytest.param("2026-01-05T09:04:00Z", "firing", id="the end of a firing one lies ahead"),
        pytest.param("2026-01-05T08:59:59Z", "resolved", id="an end that has passed"),
        pytest.param(None, "firing", id="no end"),
        pytest.param("0001-01-01T00:00:00Z", "firing", id="an end that is not set"),
    ],
)
def test_the_bare_list_that_prometheus_and_vmalert_send(ends_at: str | None, status: str) -> None:
    item = {
        "labels": ALERT["labels"],
        "annotations": {},
        "startsAt": ALERT["startsAt"],
        "endsAt": ends_at,
        "generatorURL": "x",
    }
    (alert,) = read([item]).alerts
    assert alert.status == status


@pytest.mark.parametrize(("given", "counted"), [(3, 3), (-1, 0), ("3", 0), (True, 0), (None, 0), (10**30, 10**9)])
def test_alerts_that_the_sender_left_out_are_counted(given: Any, counted: int) -> None:
    assert read(body("truncatedAlerts", given)).truncated == counted


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_a_body_in_parts_is_the_body(value: Any) -> None:
    raw = json.dumps(value, indent=1).encode()
    parts = split(raw)
    found = {k: p.parse() for k, p in parts.items()} if isinstance(parts, dict) else parts.parse()
    assert found == value
    if isinstance(parts, Part) and parts.is_list():
        assert [item.parse() for item in parts.items()] == value


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\ 1tn', max_size=60).map(str.encode))
def test_any_bytes_are_parsed_or_invalid(raw: bytes) -> None:
    with contextlib.suppress(Invalid):
        read_alerts(raw, NOW)
    with contextlib.suppress(Invalid):
        read_ticket(raw, NOW)


def test_too_many_alerts_are_refused() -> None:
    with pytest.raises(Invalid, match="alerts: 10001 are too many"):
        parse_alerts(body("alerts", [ALERT] * (MAX_ALERTS + 1)), NOW)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid, match="body: not JSON"):
        parse_json(raw)


def test_stored_content_is_decoded_unchanged() -> None:
    alerts = (alert("A", "b"), alert("A", "c", "resolved"))
    tickets = (ticket("HD-1"), ticket("x"))
    assert [decode_entry(d) for d in encode_entries(alerts, tickets)] == [InboxEntry(alerts, tickets)]


def test_a_large_batch_is_split_into_objects_below_the_limit() -> None:
    noise = random.Random(1)
    alerts = [alert("A", "b", fp=f"{n}", pod="".join(noise.choices("0123456789abcdef", k=1000))) for n in range(3000)]
    parts = encode_entries(alerts, [ticket("x")])
    assert len(parts) > 1 and all(len(json.dumps(part)) < MAX_OBJECT + 100 for part in parts)
    entries = [decode_entry(part) for part in parts]
    assert [a for e in entries for a in e.alerts] == alerts and len([t for e in entries for t in e.tickets]) == 1


@pytest.mark.parametrize("data", [{}, {ENTRY: "!"}, {ENTRY: "aGVsbG8="}, {ENTRY: ""}])
def test_foreign_data_is_invalid(data: dict[str, str]) -> None:
    with pytest.raises(Invalid, match=f"binaryData.{ENTRY}"):
        decode_entry(data)


def test_what_opsloop_told_alertmanager_does_not_come_back_as_an_alert() -> None:
    own = [{"labels": {"alertname": name, "service": "web", "severity": "critical"}, "startsAt": "2026-01-05T09:00:00Z"} for name in ("OpsloopIncident", "OpsloopRelease")]  # fmt: skip
    found = receive(
        [*own, {"labels": {"alertname": "HighErrorRate", "service": "web"}, "startsAt": "2026-01-05T09:00:00Z"}], NOW
    )
    assert [a.labels["alertname"] for a in found.alerts] == ["HighErrorRate"] and not found.set_aside
    assert receive(own, NOW).alerts == ()
