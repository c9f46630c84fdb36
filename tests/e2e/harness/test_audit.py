"""What is concluded from the API server's audit log, on lines as Kubernetes 1.34 wrote them."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from e2e.harness import audit

OPERATOR = audit.operator_user("ops")
NOON = 1795435200.0  # 2026-11-23T12:00:00Z


def line(
    second: float, uri: str = "/api/v1/namespaces/shop/pods/p/status?fieldManager=opsloop-open", **more: Any
) -> str:
    stamp = f"2026-11-23T12:{int(second) // 60:02d}:{second % 60:09.6f}Z"
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": f"id-{second}",
        "stage": "ResponseComplete",
        "requestURI": uri,
        "verb": "patch",
        "user": {"username": OPERATOR},
        "userAgent": "opsloop",
        "objectRef": {
            "resource": "pods",
            "subresource": "status",
            "namespace": "shop",
            "name": "p",
            "apiVersion": "v1",
        },
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": stamp,
        "stageTimestamp": stamp,
    }
    return json.dumps({**event, **more}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def test_a_request_is_read_with_its_field_manager_and_target(log: Path) -> None:
    log.write_text(line(1.25, stageTimestamp="2026-11-23T12:00:01.500000Z"))
    (request,) = audit.requests(OPERATOR, log=log)
    assert (request.time, request.done) == (NOON + 1.25, NOON + 1.5)
    assert (request.verb, request.target, request.namespace, request.name, request.code) == (
        "patch",
        "pods/status",
        "shop",
        "p",
        200,
    )
    assert (request.field_manager, request.user_agent, request.ok) == ("opsloop-open", "opsloop", True)


def test_what_is_not_an_object_and_has_no_code_is_read_too(log: Path) -> None:
    plain = json.loads(line(1, "/version", verb="get"))
    del plain["objectRef"], plain["responseStatus"]
    log.write_text(json.dumps(plain) + "\n")
    (request,) = audit.requests(OPERATOR, log=log)
    assert (request.target, request.code, request.ok, request.field_manager) == ("(not an object)", 0, False, "")


def test_others_are_left_out_also_where_they_only_name_the_user(log: Path) -> None:
    other = line(1, f"/api/v1/namespaces/ops/serviceaccounts?x={OPERATOR}", user={"username": "admin"})
    log.write_text(other + line(2, user={"username": OPERATOR + "-other"}) + line(3))
    assert [r.time - NOON for r in audit.requests(OPERATOR, log=log)] == [3]
    assert len(audit.requests(log=log)) == 3


def test_only_what_was_received_between_the_two_instants_counts(log: Path) -> None:
    log.write_text("".join(line(second) for second in (1, 2, 3, 4)))
    assert [r.time - NOON for r in audit.requests(OPERATOR, NOON + 2, NOON + 3, log)] == [2, 3]


def test_the_order_is_that_of_arrival_and_not_of_the_answers(log: Path) -> None:
    log.write_text(line(2) + line(1))
    assert [r.time - NOON for r in audit.requests(OPERATOR, log=log)] == [1, 2]


def test_a_watch_is_one_request_though_it_has_a_line_when_it_began_and_one_when_it_ended(log: Path) -> None:
    watch = {"verb": "watch", "auditID": "w"}
    log.write_text(line(1, stage="ResponseStarted", **watch) + line(2) + line(1, **watch))
    assert [r.verb for r in audit.requests(OPERATOR, log=log)] == ["watch", "patch"]


def test_a_half_written_last_line_waits_for_the_next_reading(log: Path) -> None:
    log.write_text(line(1) + line(2)[:-40])
    assert len(audit.requests(OPERATOR, log=log)) == 1
    log.write_text(line(1) + line(2))
    assert len(audit.requests(OPERATOR, log=log)) == 2


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(line(1)[:60] + line(2), id="a line cut by a crash, with the next one glued to it"),
        pytest.param('{"user": {"username": "' + OPERATOR + '"}}\n', id="JSON that is not an audit event"),
        pytest.param(f'"{OPERATOR}"\n', id="JSON that is not an object"),
    ],
)
def test_a_broken_line_elsewhere_is_missing_evidence_and_never_skipped(log: Path, broken: str) -> None:
    log.write_text(line(1) + broken + line(3))
    with pytest.raises(audit.BrokenLog, match=r"audit\.log"):
        audit.requests(OPERATOR, log=log)


def test_a_request_that_was_answered_with_401_is_nobodys_and_breaks_no_log(log: Path) -> None:
    log.write_text(line(1) + line(2, user={}, responseStatus={"code": 401}) + line(3))
    assert [r.user for r in audit.requests(log=log)] == [OPERATOR, "", OPERATOR]
    assert len(audit.requests(OPERATOR, log=log)) == 2


def test_no_log_is_no_evidence(log: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make cluster"):
        audit.requests(OPERATOR, log=log)


def test_what_was_rotated_is_read_first_and_compressed_files_as_well(log: Path) -> None:
    (log.parent / "audit-2026-11-23T12-00-02.000.log").write_text(line(2))
    with gzip.open(log.parent / "audit-2026-11-23T12-00-01.000.log.gz", "wb") as stream:
        stream.write(line(1).encode())
    log.write_text(line(3))
    assert [r.time - NOON for r in audit.requests(OPERATOR, log=log)] == [1, 2, 3]


def test_a_rotated_file_that_was_closed_long_before_is_not_even_opened(log: Path) -> None:
    old = log.parent / "audit-2026-11-23T11-00-00.000.log"
    old.write_text("broken\n")
    os.utime(old, (NOON - 3600, NOON - 3600))
    log.write_text(line(3))
    assert len(audit.requests(OPERATOR, NOON, log=log)) == 1


@pytest.mark.parametrize("since", [0, 61, 300, 1499, 1500, 2000, 3599])
def test_a_long_log_is_searched_for_the_first_instant_and_nothing_is_missed(
    log: Path, monkeypatch: pytest.MonkeyPatch, since: int
) -> None:
    monkeypatch.setattr(audit, "PROBE_BYTES", 1000)
    log.write_text("".join(line(second) for second in range(3600)))
    requests = audit.requests(OPERATOR, NOON + since, log=log)
    assert [r.time - NOON for r in requests] == list(range(since, 3600))


def test_a_broken_line_met_by_the_search_is_missing_evidence(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PROBE_BYTES", 1000)
    log.write_text(line(1) + (f'"{OPERATOR}"' + "\n") * 200 + line(3600 - 1))
    with pytest.raises(audit.BrokenLog):
        audit.requests(OPERATOR, NOON + 3000, log=log)


def test_the_last_line_of_a_rotated_file_is_whole_or_broken(log: Path) -> None:
    (log.parent / "audit-2026-11-23T12-00-02.000.log").write_text(line(2)[:-40] + OPERATOR)
    log.write_text(line(3))
    with pytest.raises(audit.BrokenLog):
        audit.requests(OPERATOR, log=log)


def test_the_table_counts_by_verb_and_target_the_most_frequent_first(log: Path) -> None:
    lease: dict[str, Any] = {
        "verb": "update",
        "objectRef": {"resource": "leases", "namespace": "ops", "name": "opsloop"},
    }
    log.write_text(line(1) + line(2, **lease) + line(3, **lease))
    counts = audit.table(audit.requests(OPERATOR, log=log))
    assert list(counts.items()) == [(("update", "leases"), 2), (("patch", "pods/status"), 1)]
    assert audit.lines(counts) == ["update leases          2", "patch pods/status      1"]


def test_rollbacks_are_patches_of_the_deployment_itself_that_took_effect(log: Path) -> None:
    def deployment(name: str = "answers", sub: str = "", namespace: str = "shop") -> dict[str, str]:
        return {"resource": "deployments", "subresource": sub, "namespace": namespace, "name": name}

    log.write_text(
        line(1, objectRef=deployment())
        + line(2, objectRef=deployment("answers-canary"))
        + line(3, objectRef=deployment(sub="scale"))
        + line(4, objectRef=deployment(namespace="other"))
        + line(5, objectRef=deployment(), responseStatus={"code": 409})
        + line(
            5.5,
            "/apis/apps/v1/namespaces/shop/deployments/answers?fieldManager=opsloop&dryRun=All",
            objectRef=deployment(),
        )
        + line(6, objectRef=deployment(), verb="get")
    )
    assert [r.time - NOON for r in audit.rollbacks(audit.requests(OPERATOR, log=log), "shop", "answers")] == [1]


def test_what_was_refused_for_want_of_a_right_is_found(log: Path) -> None:
    log.write_text(line(1) + line(2, responseStatus={"code": 403}) + line(3, responseStatus={"code": 404}))
    assert [r.time - NOON for r in audit.forbidden(audit.requests(OPERATOR, log=log))] == [2]
