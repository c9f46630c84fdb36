"""`opsloop drill` on a Deployment that nobody here wrote: refused, stopped half-way, and whole to a gate that passes."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import yaml

from e2e.cluster import paths
from e2e.drill.prepare import clear, prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object, environment
from e2e.harness.progress import StageFailed
from e2e.stories.podinfo import BAD, BAD_AGAIN, GOOD, NAME, adopt, live_image, open_shop
from e2e.stories.shifts import story_shift
from opsloop.core.gate import SHORT

EVALS = {"spec": {"evals": {"port": 9898, "quarantine": "auto"}}}
CASE = {"request": {"path": "/"}, "expect": {"status": 200}, "repeats": 60, "minShare": 0.9}
REFUSED, STOPPED = 2, 130
WHOLE_SECONDS = 480.0


def drilled(api: Client, name: str, seed: int) -> None:
    """podinfo answers a third of its requests wrongly; the drill knows of it only what a user tells it."""
    shift = story_shift(api, name, seed)
    open_shop(shift)
    adopt(shift)
    shift.api.kubectl("-n", shift.namespace, "patch", "release", NAME, "--type=merge", "-p", json.dumps(EVALS))
    _is_refused(shift)
    _is_stopped(shift)
    _is_whole(shift)
    _page_is_proven_by_answers(shift)
    clear(shift)


def shop_drilled(api: Client, name: str, seed: int) -> None:
    """The same command in the demo's shop, with its storm and its tickets: seven rows of seven, none waived."""
    shift = story_shift(api, name, seed)
    prepare(shift)
    folder = paths.CACHE / "shifts" / shift.namespace
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sent.json").write_text(json.dumps(shift.sent()))
    create = ("create", "token", "helpdesk-tickets", "--audience", "opsloop")
    (folder / "token").write_text(shift.api.kubectl("-n", shift.namespace, *create))
    program = [str(Path(paths.REPO) / ".venv" / "bin" / "opsloop"), "drill", "-n", shift.namespace, "answers"]
    images = ["--bad-image", "opsloop/helpdesk:v2", "--fix-image", "opsloop/helpdesk:v4"]
    with shift.api.port_forward(shift.ops, "svc/opsloop-intake", 8080) as base:
        intake = ["--intake", base, "--intake-token", str(folder / "token"), "--tickets", str(folder / "sent.json")]
        told = ["--min-alerts", "35", "--yes", "--kubeconfig", str(paths.KUBECONFIG)]
        _play(shift, [*program, *images, *intake, *told])
    clear(shift)


def _command(shift: Shift, bad: str, *more: str) -> list[str]:
    case = paths.CACHE / "shifts" / shift.namespace / "case.yaml"
    case.parent.mkdir(parents=True, exist_ok=True)
    case.write_text(yaml.safe_dump(CASE))
    program = [str(Path(paths.REPO) / ".venv" / "bin" / "opsloop"), "drill", "-n", shift.namespace, NAME]
    told = [
        "--bad-image",
        bad,
        "--fix-image",
        GOOD,
        "--case",
        str(case),
        "--min-alerts",
        "0",
        "--waive",
        "ticket",
        "--yes",
    ]
    return [*program, *told, "--kubeconfig", str(paths.KUBECONFIG), *more]


def _is_refused(shift: Shift) -> None:
    """Without a Runbook: one sentence that says what would be right, and nothing is written."""
    book = shift.api.get("runbooks", shift.namespace, "bad-release") or {}
    shift.api.kubectl("-n", shift.namespace, "delete", "runbook", "bad-release")
    before = live_image(shift)
    done = subprocess.run(
        _command(shift, BAD), capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    if done.returncode != REFUSED or "there is no Runbook" not in done.stderr or live_image(shift) != before:
        raise StageFailed(f"without a Runbook the drill ended with {done.returncode}: {done.stdout}{done.stderr}")
    shift.progress.say(f"refused: {done.stderr.strip()}")
    meta = {"name": "bad-release", "namespace": shift.namespace}
    shift.apply([{"apiVersion": book["apiVersion"], "kind": "Runbook", "metadata": meta, "spec": book["spec"]}])

    def look() -> tuple[object, str]:
        status = (shift.api.get("runbooks", shift.namespace, "bad-release") or {}).get("status") or {}
        ready: Object = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
        return ready.get("status") == "True", str(ready.get("message"))

    shift.progress.wait("the Runbook to be ready", 30, look)


def _is_stopped(shift: Shift) -> None:
    """SIGTERM right after the break: live is what it was, and the process says so before it ends."""
    before = live_image(shift)
    process = subprocess.Popen(
        _command(shift, BAD_AGAIN), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    )
    assert process.stdout is not None
    said: list[str] = []
    for text in process.stdout:
        said.append(text)
        if text.startswith("break:"):
            shift.progress.wait(
                "the bad image", 20, lambda: (live_image(shift) == BAD_AGAIN, live_image(shift)), every=0.2
            )
            process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=60)
    if code != STOPPED or live_image(shift) != before:
        raise StageFailed(f"stopped, the drill ended with {code} and live is {live_image(shift)}: {''.join(said)}")
    shift.progress.say(f"stopped: {said[-1].strip()}")
    shift.progress.wait("no open Incident", 180, lambda: _quiet(shift))


def _quiet(shift: Shift) -> tuple[object, str]:
    """What a person waits for before the next drill: it says itself whether it can begin."""
    command = [*_command(shift, BAD), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)
    return done.returncode == 0, done.stderr.strip()


def _is_whole(shift: Shift) -> None:
    _play(shift, _command(shift, BAD))
    if live_image(shift) != GOOD:
        raise StageFailed(f"after the drill live is {live_image(shift)}, not the fix")


def _play(shift: Shift, command: list[str]) -> None:
    """Raises StageFailed where the gate at its end does not pass."""
    limit = shift.api.pace.seconds(WHOLE_SECONDS)
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=limit, check=False)
    for text in (done.stdout + done.stderr).splitlines():
        shift.progress.say(f"   {text}")
    if done.returncode:
        raise StageFailed(f"the drill ended with {done.returncode}")


def _page_is_proven_by_answers(shift: Shift) -> None:
    """The receiver's own record is out of reach: what it answered to the notifier proves the page, with the notifier's counter."""
    shift.api.kubectl("-n", shift.namespace, "delete", "service", "receiver")
    program = [str(Path(paths.REPO) / ".venv" / "bin" / "opsloop"), "gate", "-n", shift.namespace, "--json"]
    told = ["--min-alerts", "0", "--waive", "ticket", "--kubeconfig", str(paths.KUBECONFIG)]
    done = subprocess.run(
        [*program, *told], capture_output=True, text=True, env=environment(), timeout=120, check=False
    )
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    page = rows[SHORT["page"]]
    sources = [fact["source"] for fact in page["evidence"] if fact["name"] == "pages for it"]
    if done.returncode or not any("status.page.receivers, opsloop_pages_total" in source for source in sources):
        raise StageFailed(f"the gate ended with {done.returncode}; the page is {page}")
    shift.progress.say(f"the page is proven by {sources[0]}")
