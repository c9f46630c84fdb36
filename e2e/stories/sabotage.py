"""Sabotage of the system, by kubectl and never of the gate's input: each makes exactly its own rows of the gate fail.

Six of the seven are here. That the Runbook is deleted is a story of its own (`shifts.no_runbook`), because nothing comes after it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from typing import Any

from e2e.drill import stages
from e2e.drill.prepare import clear, prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import Progress, StageFailed
from opsloop.core.gate import SHORT

FAILED, INCONCLUSIVE = 1, 3  # exit codes of the gate
EMPTY = "/healthz"  # every version answers it


def sabotage(api: Client, name: str, seed: int) -> None:
    """Rules removed, pager down, a wrong token, a fix that re-breaks; then a case emptied; then Prometheus lost."""
    shift = Shift(api, Progress(api.pace, f"{name:<12} "), name, f"{name}-ops", seed)
    prepare(shift, lambda: remove_rules(shift))
    _scale(shift, "receiver", 0)
    shift.progress.say("sabotage: the pager is down")
    stages.break_it(shift)
    lost, *others = sorted(shift.sent(), key=lambda ticket: ticket["expect_link"])
    shift.send_tickets(others)
    _refused(shift, lost)
    stages.detect(shift)
    stages.mitigate(shift, stages.NO_KILLS)
    stages.learn(shift)
    stages.refuse_v3(shift)  # the fix that breaks it again
    broken = {
        "storm": "Prometheus has no alerting rule",
        "page": "no receiver took its page",
        "ticket": f"lost: {lost['id']}; the intake refused requests with tickets: 1 with 401",
        "fix": "v3 is Rejected (EvalFailed",
    }
    must_fail(shift, broken)
    before = empty_the_cases(shift)
    must_fail(shift, {**broken, "case": "it catches nothing"}, healed=lambda: empty_the_cases(shift))
    for case, spec in before.items():
        _ask(shift, case, spec["request"], spec["expect"])
    _scale(shift, "prometheus", 0)
    shift.progress.say("sabotage: Prometheus is lost, the case is as it was")
    lost_with_it = dict.fromkeys(("storm", "resolved", "recovered"), "prometheus")
    others_broken = {"page": broken["page"], "ticket": f"lost: {lost['id']}", "fix": broken["fix"]}
    must_fail(
        shift, {}, lost_with_it, waived=others_broken
    )  # nothing else speaks against it, and it is no pass: exit 3
    clear(shift)


def must_fail(
    shift: Shift,
    failed: Mapping[str, str],
    unknown: Mapping[str, str] | None = None,
    either: Collection[str] = (),
    waived: Mapping[str, str] | None = None,
    healed: Callable[[], object] = dict,
) -> None:
    """Runs the gate: exactly these rows failed, these others are inconclusive, all others passed. Each sentence holds the text.

    Of the rows in `either` nothing is asked. Those in `waived` are left out on a person's word, and would have failed. `healed`
    breaks anew what opsloop has mended while the gate ran, and tells of it: then the gate runs again.
    """
    expected = {SHORT[row]: ("failed", text) for row, text in failed.items()}
    expected |= {SHORT[row]: ("inconclusive", text) for row, text in (unknown or {}).items()}
    expected |= {SHORT[row]: ("waived", text) for row, text in (waived or {}).items()}
    options = [option for row in waived or () for option in ("--waive", row)]
    answers: list[tuple[int, Any]] = []

    def judged() -> tuple[object, str]:
        """A row may say that it looked too soon, for instance that the SLI has been back for too short a time."""
        code, text = shift.gate("--json", *options)
        answers.append((code, json.loads(text)))
        early = [row for row in answers[-1][1]["rows"] if row["verdict"] == "inconclusive"]
        early = [row for row in early if row["name"] not in {SHORT[each] for each in unknown or {}}]
        if mended := healed():
            return False, f"opsloop had mended {mended}"
        return not early, "; ".join(f"{row['name']}: {row['sentence']}" for row in early)

    shift.progress.wait("the gate to have a verdict on every row", 90, judged)
    code, report = answers[-1]
    wrong = [
        f"{row['name']} is {row['verdict']}: {row['sentence']}"
        for row in report["rows"]
        for verdict, text in [expected.get(row["name"], ("passed", ""))]
        if row["name"] not in {SHORT[each] for each in either}
        and (row["verdict"] != verdict or text not in row["sentence"])
    ]
    if code != (FAILED if failed else INCONCLUSIVE) or wrong:
        raise StageFailed(f"the gate ended with {code}; expected {expected}, but {'; '.join(wrong)}")
    for row in report["rows"]:
        if row["verdict"] != "passed":
            shift.progress.say(f"   gate: {row['verdict']} {row['name']}: {row['sentence'][:200]}")
    shift.progress.say(f"the gate ended with {code} and found just that, {len(expected)} of 7 rows")


def remove_rules(shift: Shift) -> None:
    """The ConfigMap of the alert rules is emptied before Prometheus reads it; a pod that has read it is replaced."""
    patch = [{"op": "replace", "path": "/data", "value": {}}]
    what = ("configmap", "alert-rules", "--type=json", "-p", json.dumps(patch))
    shift.api.kubectl("-n", shift.namespace, "patch", *what)
    shift.api.kubectl("-n", shift.namespace, "delete", "pod", "-l", "app=prometheus", "--wait=false")
    shift.progress.say("sabotage: the alert rules are removed")


def _refused(shift: Shift, ticket: Object) -> None:
    """Another desk sends this ticket with a token that is not for the intake. Raises StageFailed where it is taken."""
    create = ("create", "token", "helpdesk-tickets", "--audience", "somebody-else")
    token = shift.api.kubectl("-n", shift.namespace, *create).strip()

    def look() -> tuple[object, str]:
        with shift.api.port_forward(shift.ops, "svc/opsloop-intake", 8080) as base:
            request = urllib.request.Request(f"{base}/v1/namespaces/{shift.namespace}/tickets", method="POST")
            request.data = json.dumps({k: v for k, v in ticket.items() if k != "expect_link"}).encode()
            request.add_header("Authorization", f"Bearer {token}")
            request.add_header("Content-Type", "application/json")
            try:
                with urllib.request.urlopen(request, timeout=shift.api.pace.seconds(10)) as answer:
                    raise StageFailed(f"a ticket with a wrong token was answered {answer.status}")
            except urllib.error.HTTPError as error:
                return error.code == 401, f"{error.code}"
            except OSError as error:
                return False, str(error)

    shift.progress.wait("the intake to refuse a wrong token", 30, look)
    shift.progress.say(f"sabotage: {ticket['id']} was sent with a wrong token")


def empty_the_cases(shift: Shift) -> dict[str, Object]:
    """The Incident's cases still exist, but ask what v2 answers as well. Returns the specs of those that were changed, by name.

    An Incident that is left without a proven case makes one by its next way, of what the service recorded: that one too.
    """
    cases = shift.api.items("evalcases", shift.namespace, "opsloop.dev/incident=answers-1")
    before = {c["metadata"]["name"]: c["spec"] for c in cases if c["spec"]["request"]["path"] != EMPTY}
    for name, spec in before.items():
        _ask(shift, name, {**spec["request"], "path": EMPTY}, {"status": 200})
        shift.progress.say(f"sabotage: the EvalCase {name} was emptied")
    return before


def _ask(shift: Shift, case: str, request: Object, expect: Object) -> None:
    patch = [
        {"op": "replace", "path": f"/spec/{part}", "value": v} for part, v in (("request", request), ("expect", expect))
    ]
    shift.api.kubectl("-n", shift.namespace, "patch", "evalcase", case, "--type=json", "-p", json.dumps(patch))


def _scale(shift: Shift, deployment: str, replicas: int) -> None:
    shift.api.kubectl("-n", shift.namespace, "scale", "deployment", deployment, f"--replicas={replicas}")
    selector = ("--selector", f"app={deployment}")
    shift.api.kubectl("-n", shift.namespace, "wait", "pod", *selector, "--for=delete", "--timeout=60s", seconds=70)
