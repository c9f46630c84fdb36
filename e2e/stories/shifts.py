"""The stories themselves. Each raises StageFailed with what it saw; returning is passing."""

from __future__ import annotations

from e2e.drill import stages
from e2e.drill.prepare import clear, install_operator, prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client
from e2e.harness.progress import Progress, StageFailed
from e2e.stories import checks, sabotage, second


def story_shift(api: Client, name: str, seed: int) -> Shift:
    """The shift of a story: its namespaces are NAME and NAME-ops."""
    return Shift(api, Progress(api.pace, f"{name:<12} "), name, f"{name}-ops", seed)


def whole_shift(api: Client, name: str, seed: int) -> None:
    """A bad release from intake to a closed loop, and its second time, which its case stops; then that is emptied, and the gate must notice."""
    shift = story_shift(api, name, seed)
    code = stages.run(shift)
    if code:
        raise StageFailed(f"the gate ended with {code}")
    checks.acts_once(shift, rollbacks=2, promotions=1)
    checks.times(shift)
    checks.storm_is_on_one_incident(shift)
    second.stopped_at_the_canary(shift)
    sabotage.empty_the_cases(shift)
    # The ticket's example is asked by the ticket's case, unless opsloop has made another one meanwhile
    emptied = {"case": "it catches nothing"}
    sabotage.must_fail(shift, emptied, either={"ticket"}, healed=lambda: sabotage.empty_the_cases(shift))
    _forget(shift)
    clear(shift)


def _forget(shift: Shift) -> None:
    """With a short retention the Incident goes, with its ledger and postmortem; what was learnt of it stays."""
    _one_thread_after_reopening(shift)
    before = shift.status()
    blocked = {r["digest"] for r in before["revisions"] if r.get("blocked")}
    install_operator(shift, incidentRetention="10s")
    shift.progress.wait("answers-1 to be deleted", 60, lambda: (not shift.incident(), "it is there"))
    own = [f"answers-1-{part}" for part in ("ledger", "postmortem")]

    def left() -> tuple[object, str]:
        found = [name for name in own if shift.api.get("configmaps", shift.namespace, name)]
        return not found, f"left: {found}"

    shift.progress.wait("its ledger and postmortem to go with it", 60, left)
    case = shift.api.get("evalcases", shift.namespace, "answers-1-regression")
    kept = {r["digest"] for r in shift.status()["revisions"] if r.get("blocked")}
    if not case or not blocked or kept != blocked:
        raise StageFailed(f"with answers-1 went what was learnt: case {bool(case)}, blocked {blocked} → {kept}")
    shift.progress.say(
        f"after its retention answers-1 is gone; its EvalCase and {len(kept)} blocked revisions are there"
    )


def _one_thread_after_reopening(shift: Shift) -> None:
    """The second push reopened answers-1: the same thread at the pager, triggered and resolved again."""
    taken = [one["page"] for one in checks.pages(shift) if one["page"].get("incident") == "answers-1"]
    actions = list({page["message_id"]: page["action"] for page in taken}.values())
    if not any(e["type"] == "Reopened" for e in shift.incident().get("timeline", [])):
        raise StageFailed("answers-1 was not reopened by the second push")
    if len({page["dedup_key"] for page in taken}) != 1 or actions.count("resolve") < 2 or actions[-1] != "resolve":
        raise StageFailed(f"answers-1 was reopened; its thread at the pager: {actions}")
    shift.progress.say(f"one thread at the pager over the reopening: {', '.join(actions)}")


def killed_shift(api: Client, name: str, seed: int) -> None:
    """The same story while the operator is killed in mid-storm, mid-rollback and mid-canary; the end is the same."""
    shift = story_shift(api, name, seed)
    code = stages.run(shift, stages.Kills(storm=True, rollback=True, canary=True))
    if code:
        raise StageFailed(f"the gate ended with {code}")
    checks.acts_once(shift, rollbacks=2, promotions=1)
    checks.storm_is_on_one_incident(shift)
    clear(shift)


def no_runbook(api: Client, name: str, seed: int) -> None:
    """The Runbook is gone: a person is paged, nothing is rolled back, and the gate says that it is not resolved."""
    shift = story_shift(api, name, seed)
    prepare(shift)
    shift.api.kubectl("-n", shift.namespace, "delete", "runbook", "bad-release")
    shift.progress.say("sabotage: the Runbook was deleted")
    stages.break_it(shift)
    stages.storm(shift, stages.NO_KILLS)
    stages.detect(shift)
    shift.progress.wait("the Incident to be escalated", 30, lambda: _escalated(shift))
    cannot = {
        "resolved": "NoRunbook",
        "recovered": "never mitigated",
        "case": "no EvalCase",
        "fix": "nothing was promoted",
    }
    # of this seed's tickets the triage links two that are about something else, while the harm lasts so long
    sabotage.must_fail(shift, cannot, either={"ticket"})
    if not shift.live_image().endswith(":v2"):
        raise StageFailed(f"without a Runbook nothing may be rolled back, but live is {shift.live_image()}")
    shift.set_image("v1")
    shift.progress.wait("a person's own rollback to resolve it", 120, lambda: _resolved(shift))
    clear(shift)


def _escalated(shift: Shift) -> tuple[object, str]:
    plays = [f"{p['type']} {p['state']} {p.get('reason')}" for p in shift.incident().get("plays", [])]
    return any(p.startswith("escalate") for p in plays), f"plays {plays}"


def _resolved(shift: Shift) -> tuple[object, str]:
    phase = shift.incident().get("phase")
    return phase == "Resolved", f"phase {phase}, {shift.sli()}"


def idle_forgery(api: Client, name: str, seed: int) -> None:
    """Statuses that claim a whole shift, on a shop where nothing happened: not a pass."""
    shift = story_shift(api, name, seed)
    prepare(shift)
    checks.forge(shift)
    code, text = shift.gate("--incident", checks.FORGED)
    passed = [line for line in text.splitlines() if line.startswith("✓")]
    if code == 0 or passed:
        raise StageFailed(f"forged statuses passed (exit {code}):\n{text}")
    shift.progress.say(f"forged statuses on an idle cluster: gate exit code {code}, no row passed")
    clear(shift)


def quieten(api: Client, name: str) -> None:
    """A story that failed stays for looking, but its load must not slow the others."""
    api.kubectl(
        "-n", name, "scale", "deployment", "shoppers", "visitors", "web", "catalog", "--replicas=0", check=False
    )
