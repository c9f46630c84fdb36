"""The second incident of the same fault does not happen: the case that the first one left stops it on its dark canary.

v5 is another image with another digest, so that no block by revision or image knows it. What users got is counted where they
are: the shoppers' own counters, the API server's audit log, the paging service.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from e2e.cluster import paths
from e2e.drill.shift import Shift
from e2e.drill.stages import ship, target_is
from e2e.harness import audit, gates
from e2e.harness.client import environment
from e2e.harness.progress import StageFailed
from e2e.stories.checks import pages

CASE, VERSION = "answers-1-regression", "v5"


def stopped_at_the_canary(shift: Shift) -> None:
    """After a whole shift: v5 brings the fault of v2 back, and nobody notices but the case."""
    shift.progress.stage("second", f"the same fault once more, in a new image ({VERSION}), through the Release")
    began, before = time.time(), _seen(shift)
    ship(shift, VERSION)
    shift.progress.wait(f"{VERSION} to be rejected", 120, lambda: target_is(shift, VERSION, "Rejected"))
    target = shift.status()["target"]
    if (target["reason"], target.get("traffic", [])) != ("EvalFailed", []):
        raise StageFailed(f"{VERSION} was not stopped dark by a case: {target}")
    shift.progress.wait(f"{CASE} to say what it caught", 30, lambda: _caught(shift))
    _harmless(shift, began, before)
    _reported(shift)


def _seen(shift: Shift) -> dict[str, Any]:
    """What must be the same afterwards."""
    return {
        "live": shift.status().get("live"),
        "template": shift.live_image(),
        "pages": len(pages(shift)),
        "incidents": sorted((i["metadata"]["name"], (i.get("status") or {}).get("phase")) for i in shift.incidents()),
        "bad answers": shift.counted('sum(shop_answers_total{verdict!="good"})'),
    }


def _harmless(shift: Shift, began: float, before: dict[str, Any]) -> None:
    shift.progress.wait("Prometheus to hold the time of the canary", 20, lambda: (time.time() > began + 5, ""))
    after, served = _seen(shift), shift.served_by(VERSION)
    opened = gates.openings(audit.requests(audit.operator_user(shift.ops), began), shift.namespace)
    if after != before or served or opened:
        raise StageFailed(f"before {before}, after {after}; served by {VERSION}: {served}; gates opened: {opened}")
    shift.progress.say(
        f"   {VERSION} served {served} requests, no gate was opened; {before['bad answers']} bad answers before and after;"
        f" live is {shift.status().get('version')}; no page, no Incident"
    )


def _caught(shift: Shift) -> tuple[object, str]:
    found = ((shift.api.get("evalcases", shift.namespace, CASE) or {}).get("status") or {}).get("caught", [])
    kept = [(one["version"], one["dark"]) for one in found]
    return (VERSION, True) in kept, f"caught {kept}"


def _reported(shift: Shift) -> None:
    """`opsloop report` tells the whole story in figures, from what is stored and from Prometheus."""
    body = json.loads(_report(shift, "-o", "json"))
    answers = next(row for row in body["releases"] if row["release"] == "answers")
    caught = {(one["case"], one["incident"], one["version"], one["dark"]) for one in body["caught"]}
    wrong = [
        what
        for what, holds in (
            ("the case caught v3 and v5", {(CASE, "answers-1", v, True) for v in ("v3", VERSION)} <= caught),
            ("v4 was promoted and v2 pushed twice", (answers["promoted"], answers["pushed"]) == (1, 2)),
            ("both pushes failed", answers["failed"] == 2),
            ("two versions were stopped dark", (answers["stoppedDark"], answers["stoppedServing"]) == (2, 0)),
            ("one Incident with its three times", _once(answers)),
            ("its budget is known", all(budget["spent"] for budget in answers["budgets"])),
        )
        if not holds
    ]
    if wrong:
        raise StageFailed(f"opsloop report does not say that {'; that '.join(wrong)}: {json.dumps(body)}")
    print(_report(shift), flush=True)


def _once(answers: dict[str, Any]) -> bool:
    known = [answers[name]["known"] for name in ("timeToDetect", "timeToMitigate", "timeToResolve", "timeToRestore")]
    return bool(answers["incidents"] == 1 and known == [1, 1, 1, 1])


def _report(shift: Shift, *more: str) -> str:
    command = [str(paths.REPO / ".venv" / "bin" / "opsloop"), "report", "-n", shift.namespace, "--kubeconfig", str(paths.KUBECONFIG), *more]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), timeout=shift.api.pace.seconds(90), check=False
    )
    if done.returncode:
        raise StageFailed(f"opsloop report ended with {done.returncode}: {done.stderr}")
    return done.stdout
