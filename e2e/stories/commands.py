"""Every command on a Release, as a person gives it: by the installed plugin's code, against the operator in the cluster.

A Deployment of the demo's service, a Release without an SLO, versions v1 and v4 of its image. What each command printed is in the
log, at 80 and at 200 columns where it is a picture.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

import yaml

from e2e.cluster import paths
from e2e.drill import prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object, environment
from e2e.harness.progress import StageFailed
from e2e.stories import down
from e2e.stories.shifts import story_shift

HOUR: list[Object] = [
    {"weight": 20, "hold": "1h"},
    {"weight": 50, "hold": "1h", "approve": True},
    {"weight": 100, "approve": True},
]
QUICK: list[Object] = [{"weight": 50}, {"weight": 100}]
NAME = "catalog"


def commands(api: Client, name: str, seed: int) -> None:
    """promote, approve, abort, retry, promote --full, rollout wait, undo, restart, pause, resume, stop; and what they show."""
    shift = story_shift(api, name, seed)
    person = Person(shift)
    _open(shift)
    person.says("Releases are listed", ["get"], "catalog", "Healthy")
    person.says("and by -A and wide", ["get", "-A", "-o", "wide"], shift.namespace, "WORKLOAD")
    person.says("kubectl finds the plugin", ["status", NAME], "live", "v1", kubectl=True)
    _ship(shift, "v4", HOUR)
    person.until("v4 serves at weight 20", ["status", NAME], "weight 20, actual")
    for width in ("80", "200"):
        person.says(f"the tree at {width} columns", ["status", NAME, "--width", width], "in traffic")
    person.says("a promotion skips hold and approval", ["promote", NAME], "v4 goes to weight 50")
    person.until("v4 serves at weight 50", ["status", NAME], "weight 50, actual")
    person.says("a pause", ["pause", NAME], "stays at weight 50")
    person.fails("a paused canary is not promoted", ["promote", NAME], 2, "opsloop resume catalog")
    person.says("going on", ["resume", NAME], "goes on from weight 50")
    person.says("an abort", ["abort", NAME], "was aborted by a person")
    person.fails("waiting for it tells the end", ["rollout", "wait", NAME, "--timeout", "60s"], 5, "Aborted")
    shift.api.kubectl("-n", shift.namespace, "wait", f"rel/{NAME}", "--for=condition=Rejected", "--timeout=10s")
    person.says("a retry", ["retry", NAME], "v4: Dark")
    person.until("v4 serves again", ["status", NAME], "weight 20, actual")
    person.says("an approval ahead of its step", ["approve", NAME, "100"], "weight 100 was approved")
    person.says("straight to live", ["promote", NAME, "--full"], "v4 goes live")
    person.says("the end of the rollout", ["rollout", "wait", NAME, "--timeout", "120s"], "v4 is live")
    shift.api.kubectl("-n", shift.namespace, "wait", f"rel/{NAME}", "--for=condition=Promoted", "--timeout=10s")
    before = _pods(shift)
    person.says("a restart", ["restart", NAME], "start anew")
    shift.progress.wait("all pods to be new", 90, lambda: (_pods(shift).isdisjoint(before), "old ones are left"))
    person.says("an undo", ["undo", NAME], "v4 is replaced by v1")
    person.until("v1 is live", ["get", "rel", NAME], "v1")
    shift.progress.wait("the undo to be rolled out", 90, lambda: _undone(shift))
    person.fails("its end is told", ["rollout", "wait", NAME, "--timeout", "30s"], 6, "Undone")
    person.says("a stop", ["stop", "the story"], "does not act")
    person.fails("nothing is restarted while it stands", ["restart", NAME], 2, "Stopped")
    person.says("and its end", ["resume"], "is deleted")
    person.fails("a name with a mistake", ["status", "catalgo"], 2, "did you mean catalog?")
    _lint(shift, person)
    _ship(shift, "v3", HOUR)
    person.until("v3 serves at weight 20", ["status", NAME], "weight 20, actual")
    person.says("the doctor finds nothing to mend", ["doctor", NAME], "nothing to mend")
    down.while_down(shift, NAME, "opsloop/helpdesk:v4", "opsloop/helpdesk:v1")
    shift.progress.say(f"{person.given} commands were given, and each was answered")
    prepare.clear(shift)


class Person:
    """Somebody with the command line and a kubeconfig whose context names the namespace."""

    def __init__(self, shift: Shift) -> None:
        self.shift, self.given = shift, 0
        self._kubeconfig = paths.LOGS / f"{shift.namespace}.kubeconfig"
        config = yaml.safe_load(paths.KUBECONFIG.read_text())
        for context in config["contexts"]:
            context["context"]["namespace"] = shift.namespace
        self._kubeconfig.write_text(yaml.safe_dump(config))
        self._kubeconfig.chmod(0o600)
        self.log = paths.LOGS / f"{shift.namespace}.log"
        self.log.write_text("")

    def run(self, words: list[str], kubectl: bool = False) -> tuple[int, str]:
        """Exit code and all that was printed."""
        scripts = paths.REPO / ".venv" / "bin"
        path = f"{scripts}:{os.environ.get('PATH', '')}"
        python = {"PYTHONPATH": str(paths.REPO / "operator"), "COLUMNS": "120"}
        variables = {**environment(), **python, "PATH": path, "KUBECONFIG": str(self._kubeconfig)}
        command = [str(paths.KUBECTL), "opsloop"] if kubectl else [str(scripts / "python"), "-m", "opsloop"]
        limit = self.shift.api.pace.seconds(150)
        done = subprocess.run(
            [*command, *words], env=variables, capture_output=True, text=True, timeout=limit, check=False
        )
        printed = done.stdout + done.stderr
        with self.log.open("a") as log:
            log.write(f"$ opsloop {' '.join(words)}\n{printed}[{done.returncode}]\n\n")
        self.given += 1
        return done.returncode, printed

    def says(self, what: str, words: list[str], *parts: str, kubectl: bool = False) -> None:
        """The command ends well and prints these parts. Raises StageFailed."""
        code, printed = self.run(words, kubectl)
        if code or any(part not in printed for part in parts):
            raise StageFailed(f"{what}: `opsloop {' '.join(words)}` ended with {code}: {printed}")
        self.shift.progress.say(f"{what}: {printed.strip().splitlines()[-1][:100]}")

    def fails(self, what: str, words: list[str], code: int, part: str) -> None:
        """The command ends with this code and says why."""
        found, printed = self.run(words)
        if found != code or part not in " ".join(printed.split()):
            raise StageFailed(f"{what}: `opsloop {' '.join(words)}` ended with {found}, not {code}: {printed}")
        self.shift.progress.say(f"{what}: exit {code}")

    def until(self, what: str, words: list[str], part: str) -> None:
        """Until the command prints this."""

        def look() -> tuple[object, str]:
            printed = self.run(words)[1]
            return part in printed, printed[-400:]

        self.shift.progress.wait(what, 120, look)


def _open(shift: Shift) -> None:
    prepare.make_empty(shift)
    prepare.apply_crds(shift.api)
    shop = [
        one
        for one in yaml.safe_load_all(prepare.manifests(shift))
        if one and one["metadata"]["name"] == NAME and one["kind"] in ("Deployment", "Service")
    ]
    shift.api.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(shop))
    shift.apply([_release("v1", HOUR)])
    prepare.install_operator(shift)
    prepare.wait_available(shift.api, shift.progress, shift.namespace, NAME, 90)
    shift.progress.wait("the Release to be Ready", 60, lambda: (_is(shift, "Ready"), str(shift.status(NAME))))


def _release(version: str, steps: list[Object]) -> Object:
    spec: dict[str, Any] = {
        "workloadRef": {"name": NAME},
        "version": version,
        "images": {NAME: f"opsloop/helpdesk:{version}"},
        "strategy": {"canary": {"steps": steps}},
    }
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": NAME}, "spec": spec}


def _ship(shift: Shift, version: str, steps: list[Object]) -> None:
    shift.apply([_release(version, steps)])


def _is(shift: Shift, name: str) -> bool:
    told = {c["type"]: c["status"] for c in shift.status(NAME).get("conditions", [])}
    return told.get(name) == "True"


def _pods(shift: Shift) -> set[str]:
    return {
        pod["metadata"]["name"]
        for pod in shift.api.items("pods", shift.namespace, f"app={NAME}")
        if "deletionTimestamp" not in pod["metadata"]
    }


def _undone(shift: Shift) -> tuple[object, str]:
    record = shift.status(NAME).get("rollback") or {}
    return record.get("state") == "Done", str(record)


def _lint(shift: Shift, person: Person) -> None:
    """What only the API server knows: a CEL rule, and a Deployment that is not there."""
    good, bad = (paths.LOGS / f"{shift.namespace}-{word}.yaml" for word in ("good", "bad"))
    good.write_text(yaml.safe_dump(_release("v1", QUICK)))
    wrong = _release("v1", [{"weight": 50}, {"weight": 20}])
    wrong["spec"]["workloadRef"]["name"] = "catalogue"
    wrong["metadata"]["name"] = "another"
    bad.write_text(yaml.safe_dump(wrong))
    person.says("lint of a good file", ["lint", str(good)], "nothing to correct")
    person.fails("lint of a bad one", ["lint", str(bad)], 1, "did you mean catalog?")
