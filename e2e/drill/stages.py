"""The stages of a shift, and the whole of it. Each stage acts on the system and waits on conditions with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from e2e.cluster import paths
from e2e.drill.prepare import prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Object
from e2e.harness.progress import StageFailed
from e2e.harness.recorder import Recorder, Table
from opsloop.api.incident import Incident
from opsloop.core.drill import stages as awaited  # what `opsloop drill` waits for

STORM = 35  # distinct alerts on answers and web that the bad deploy must raise
WATCHED = ("sev1 Mitigating", "sev1 Mitigated", "sev1 Resolved")


@dataclass(frozen=True)
class Kills:
    """Where the operator's pod is killed."""

    storm: bool = False
    rollback: bool = False
    canary: bool = False


NO_KILLS = Kills()


def run(shift: Shift, kills: Kills = NO_KILLS, prepared: Callable[[], None] = lambda: None) -> int:
    """Prepare, all stages, gate; the gate's exit code. Raises StageFailed. `prepared` is called before the first stage."""
    prepare(shift)
    prepared()
    table, recorder = Table(shift.namespace), Recorder("releases", shift.namespace)
    shift.progress.restart()
    try:
        break_it(shift)
        storm(shift, kills)
        detect(shift)
        mitigate(shift, kills)
        push_again(shift)
        learn(shift)
        refuse_v3(shift)
        promote_v4(shift, kills)
    finally:
        table.stop()
        shift.versions = recorder.stop()
    _check_table(table)
    shift.progress.stage("verify", "the gate scores the shift, recomputed where it happened")
    code, text = shift.gate()
    print(text)
    shift.progress.say(f"the shift took {shift.progress.elapsed:.0f} s; gate exit code {code}")
    return code


def _check_table(table: Table) -> None:
    """A person who watched must have seen it go through its phases."""
    phases = table.phases("answers-1")
    missing = [phase for phase in WATCHED if phase not in phases]
    if missing:
        raise StageFailed(f"kubectl get incidents -w did not show {missing}; it showed {phases}")


def break_it(shift: Shift) -> None:
    """v2 straight onto the Deployment, and at the same minute a stuck index refresh that has nothing to do with it."""
    shift.progress.stage("break", "v2 is pushed straight onto the Deployment (kubectl set image), without a canary")
    shift.broke = time.time()
    shift.set_image("v2")
    shift.mark("pushed")
    shift.progress.wait("catalog to pause its index refresh", 20, lambda: _paused(shift))


def _paused(shift: Shift) -> tuple[object, str]:
    answer = shift.api.service(shift.namespace, "catalog:8080", "/admin/pause-refresh?seconds=60", "POST")
    return answer, "no answer to /admin/pause-refresh"


def storm(shift: Shift, kills: Kills) -> None:
    """Alerts arrive in Alertmanager, tickets in the intake; nothing that got a 2xx may be lost."""
    shift.progress.stage("intake", "the storm of alerts, and six users' tickets")
    shift.progress.wait("the first alerts", 60, lambda: _alerts(shift, 5))
    if kills.storm:
        shift.kill_operator("in mid-storm")
    shift.send_tickets(shift.sent())
    shift.mark("tickets")
    shift.progress.say(f"   {len(shift.sent())} tickets were accepted by the intake")
    shift.progress.wait(f"{STORM} distinct alerts in Alertmanager's API", 60, lambda: _alerts(shift, STORM))
    unrelated = shift.distinct("catalog")
    number = shift.distinct("answers", "web")
    shift.progress.say(f"   Alertmanager lists {number} distinct alerts on answers and web, {unrelated} on catalog")


def _alerts(shift: Shift, number: int) -> tuple[object, str]:
    shift.look_at_alerts()
    count = shift.distinct("answers", "web")
    return count >= number, f"{count} distinct alerts, {shift.sli()}"


def detect(shift: Shift) -> None:
    """The burn rate over both windows opens (or raises) one Incident to sev1, and pages once."""
    shift.progress.stage("detect", "the burn rate over two windows makes it one sev1 Incident, and one page")
    shift.progress.wait("a sev1 Incident on answers", 120, lambda: _sev1(shift))
    shift.mark("sev1")
    burn = shift.incident().get("burn", {})
    shift.progress.say(f"   answers-1 is sev1: burn {burn.get('burnLong')}x over {burn.get('long')}, {shift.sli()}")


def _sev1(shift: Shift) -> tuple[object, str]:
    shift.look_at_alerts()
    found = [Incident.model_validate(item) for item in shift.incidents()]
    seen = awaited.detected(found, "answers", datetime.fromtimestamp(shift.broke, UTC))
    return seen.reached, f"{seen.text}, {shift.sli()}"


def mitigate(shift: Shift, kills: Kills) -> None:
    """The Runbook's play rolls back to v1; the same SLI proves that it helped."""
    shift.progress.stage("mitigate", "the Runbook rolls back to last-good; the same SLI must recover")
    if kills.rollback:
        shift.progress.wait("the rollback to be under way", 60, lambda: _rolling_back(shift), every=0.2)
        shift.kill_operator("in mid-rollback")
    shift.progress.wait("v1 to be live again", 120, lambda: _rolled_back(shift, 1))
    shift.mark("rolled-back")
    shift.progress.say("   v1 is live and available again, v2 is blocked")
    shift.progress.wait("Incident answers-1 to be Resolved", 120, lambda: _phase(shift, "Resolved"))
    shift.mark("resolved")
    shift.progress.say(f"   answers-1 is Resolved ({shift.sli()})")


def _rolling_back(shift: Shift) -> tuple[object, str]:
    record = shift.status().get("rollback") or {}
    return record.get("state") in ("Recorded", "Written", "Done"), f"rollback {record.get('state', 'not decided')}"


def _rolled_back(shift: Shift, attempt: int) -> tuple[object, str]:
    record = shift.status().get("rollback") or {}
    done = record.get("state") == "Done" and record.get("attempt", 0) >= attempt and shift.live_image().endswith(":v1")
    play = (shift.incident().get("plays") or [{}])[-1]
    state = f"{record.get('state', 'none')} (attempt {record.get('attempt')})"
    return (
        done,
        f"live {shift.live_image()}, rollback {state}, play {play.get('type')} {play.get('state')}, {shift.sli()}",
    )


def _phase(shift: Shift, phase: str) -> tuple[object, str]:
    status = shift.incident()
    return status.get("phase") == phase, f"phase {status.get('phase')}, {shift.sli()}"


def push_again(shift: Shift) -> None:
    """The blocked version by hand once more: rolled back at once, without waiting for a burn."""
    shift.progress.stage("again", "v2 is pushed by hand once more: a blocked revision is rolled back at once")
    shift.set_image("v2")
    pushed = time.time()
    shift.progress.wait("the template to be v1 again", 30, lambda: _live_is(shift, "v1"), every=0.2)
    shift.marks["again-seconds"] = time.time() - pushed
    shift.progress.wait("v1 to be available again", 60, lambda: _rolled_back(shift, 2))
    shift.progress.say(f"   v1 was put back {shift.marks['again-seconds']:.1f} s after the push")
    shift.progress.wait("answers-1 to be Resolved again", 120, lambda: _phase(shift, "Resolved"))


def _live_is(shift: Shift, version: str) -> tuple[object, str]:
    image = shift.live_image()
    return image.endswith(f":{version}"), f"live {image}"


def learn(shift: Shift) -> None:
    """A blameless postmortem, and a regression EvalCase proven on the bad and the good revision."""
    shift.progress.stage("learn", "a postmortem, and an EvalCase from the ticket's example, proven in quarantined pods")
    shift.progress.wait("EvalCase answers-1-regression to be proven", 120, lambda: _proven(shift))
    case = shift.api.get("evalcases", shift.namespace, "answers-1-regression") or {}
    shift.progress.say(f"   it fails on v2 ({case['status']['bad']['message'][:80]}) and passes on v1")
    shift.progress.wait("the postmortem", 30, lambda: _written(shift))
    text = postmortem(shift)
    folder = paths.CACHE / "shifts" / shift.namespace
    folder.mkdir(parents=True, exist_ok=True)
    (Path(folder) / "postmortem.md").write_text(text)
    shift.progress.say(f"   postmortem of {len(text.splitlines())} lines (kubectl get cm answers-1-postmortem)")
    if "without a canary" not in text:
        raise StageFailed("the postmortem does not say that v2 was shipped without a canary")


def _proven(shift: Shift) -> tuple[object, str]:
    case = shift.api.get("evalcases", shift.namespace, "answers-1-regression")
    status = (case or {}).get("status") or {}
    return status.get("proven") == "True", f"proven {status.get('proven', 'no case')}, {status.get('reason', '')}"


def _written(shift: Shift) -> tuple[object, str]:
    return postmortem(shift), "no ConfigMap answers-1-postmortem yet"


def postmortem(shift: Shift) -> str:
    """The stored Markdown."""
    configmap = shift.api.get("configmaps", shift.namespace, "answers-1-postmortem")
    return str(configmap["data"]["postmortem.md"]) if configmap else ""


def ship(shift: Shift, version: str) -> None:
    """kubectl apply of the Release at this version."""
    release: Object = next(o for o in shift.objects("releases.yaml") if o["metadata"]["name"] == "answers")
    release["spec"]["version"] = version
    release["spec"]["images"] = {"answers": f"opsloop/helpdesk:{version}"}
    shift.apply([release])


def refuse_v3(shift: Shift) -> None:
    """The fix that re-breaks: rejected on its dark canary, nobody was served by it, live stays put."""
    shift.progress.stage("ship v3", "kubectl apply of the Release at v3, a fix that still has the bug")
    live = shift.status().get("live")
    ship(shift, "v3")
    shift.progress.wait("v3 to be rejected", 120, lambda: target_is(shift, "v3", "Rejected"))
    target = shift.status()["target"]
    served = shift.served_by("v3")
    shift.progress.say(f"   v3 is rejected: {target['reason']}, {target['message'][:100]}")
    shift.progress.say(f"   shopper requests served by v3: {served}; live is still {shift.status().get('version')}")
    if target["reason"] != "EvalFailed" or served or shift.status().get("live") != live:
        raise StageFailed(f"v3: reason {target['reason']}, served {served}, live {shift.status().get('live')}")


def target_is(shift: Shift, version: str, state: str) -> tuple[object, str]:
    """Whether the Release's target is this version in this state; says each weight that it takes."""
    status = shift.status()
    target = status.get("target") or {}
    weight = (status.get("weight") or {}).get("wanted", 0)
    if target.get("version") == version and weight and weight not in shift.weights:
        shift.weights.append(weight)
        shift.progress.say(f"   {version} takes weight {weight} ({shift.sli()})")
    held = next((c["message"] for c in status.get("conditions", []) if c["type"] == "Held"), "")
    reached = target.get("version") == version and target.get("state") == state
    return reached, f"{target.get('version')} {target.get('state')} weight {weight}: {target.get('message') or held}"


def promote_v4(shift: Shift, kills: Kills) -> None:
    """The true fix: dark, then 20, 50, 100 against live, promoted."""
    shift.progress.stage("ship v4", "kubectl apply of the Release at v4: weight 20, 50, 100 against live")
    ship(shift, "v4")
    if kills.canary:
        shift.progress.wait("v4 to take weight", 90, lambda: target_is(shift, "v4", "Stepping"), every=0.3)
        shift.kill_operator("in mid-canary")
    shift.progress.wait("v4 to be promoted", 180, lambda: target_is(shift, "v4", "Promoted"), every=0.5)
    shift.progress.say(f"   v4 is live ({shift.sli()}); weights seen: {shift.weights}")
    shift.progress.wait("LoopClosed", 30, lambda: _closed(shift))
    shift.mark("closed")
    shift.progress.say("   Incident answers-1: LoopClosed is True")


def _closed(shift: Shift) -> tuple[object, str]:
    stored = shift.api.get("incidents", shift.namespace, "answers-1")
    seen = awaited.closed(Incident.model_validate(stored))
    return seen.reached, seen.text


def look_around(shift: Shift) -> str:
    """The three commands that a person would type next."""
    base = f"kubectl --kubeconfig {paths.KUBECONFIG} -n {shift.namespace}"
    return "\n".join(
        [
            f"  {base} get rel,inc,rb,ec",
            f"  .venv/bin/opsloop postmortem -n {shift.namespace} --kubeconfig {paths.KUBECONFIG} answers-1",
            f"  {base} describe inc answers-1",
        ]
    )
