"""`python -m e2e.bench.back WAY…`: from the order to go back until half, and all, of the traffic is on last-good.

v4 is live and turns out bad; the order to go back to v1 is given. WAYS are `kubectl` (`kubectl rollout undo`, no opsloop), `plain`
(opsloop, without keepWarm), `warm` (keepWarm with as many pods as live has), `half` (with half as many) and `route` (as `warm`, behind
an HTTPRoute with Traefik). Clients inside the cluster ask with a new connection each time, 200 times a second, until v4 has not answered
for some seconds. A run takes about 50 s (`kubectl`: 40 s), and a way a minute to begin, in a namespace of its own: five runs of one take
less than six minutes. Figures are added to a file in the cache, and `python -m e2e.bench.back table` prints what is there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import yaml

from e2e.bench import asker, share
from e2e.cluster import golang, images, paths
from e2e.drill.prepare import apply_crds, clear, install_operator, make_empty, wait_available
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object, environment
from e2e.harness.progress import Progress, StageFailed
from e2e.harness.session import REFUSED, Refused, session

NAME, GOOD, BAD = "shop", "v1", "v4"
PODS, START_UP = 4, 5  # live pods, and seconds until one of them is ready
CLIENTS, LONGEST, GONE = 10, 75, 3.0  # seconds for which clients go on asking at most, and after the last answer of v4
BEFORE = 2.0  # seconds for which they ask before the order
WINDOW = 0.5  # seconds in which a share is told
CHANCE = 1.5  # three standard deviations of a share of a half, times the root of the number of answers
WAYS = ("kubectl", "plain", "half", "warm", "route")
RESULTS = (
    paths.CACHE / "bench" / f"back-{PODS}-pods-{START_UP}-s.json"
)  # what was measured otherwise is not mixed with it
GATEWAY = paths.REPO / "e2e" / "gateway" / "gateway.yaml"
Times = tuple[float, float]  # seconds from the order: half of the traffic, all of it


def deployment(version: str) -> Object:
    """Pods of the help desk that are ready after START_UP."""
    pod = share.template(version)
    pod["spec"]["containers"][0]["readinessProbe"] |= {"initialDelaySeconds": START_UP, "periodSeconds": 1}
    pod["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    spec = {"replicas": PODS, "selector": {"matchLabels": share.LABELS}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": spec}


def service(name: str, selector: Object, port: int) -> Object:
    """A Service on port 8080, where the clients ask."""
    spec = {"selector": selector, "ports": [{"name": "http", "port": 8080, "targetPort": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def client_pod() -> Object:
    """Whoever asks."""
    idle = {
        "name": "c",
        "image": f"opsloop/helpdesk:{GOOD}",
        "command": ["sleep", "36000"],
        "imagePullPolicy": "IfNotPresent",
    }
    pod = {"metadata": {"labels": {"app": "asker"}}, "spec": {"containers": [idle], "terminationGracePeriodSeconds": 0}}
    spec = {"selector": {"matchLabels": {"app": "asker"}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "asker"}, "spec": spec}


def route() -> Object:
    """All of the Gateway's requests go to the Service."""
    rules = [{"backendRefs": [{"name": NAME, "port": 8080}]}]
    spec = {"parentRefs": [{"name": "edge"}], "rules": rules}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": NAME}, "spec": spec}


def release(way: str) -> Object:
    """One step, so that what is measured is the way back."""
    strategy: Object = {"canary": {"steps": [{"weight": 100}]}}
    if way != "plain":
        strategy["keepWarm"] = {"for": "10m", "wait": "1m"} | ({} if way == "half" else {"replicas": PODS})
    if way == "route":
        strategy |= {"traffic": "httpRoute", "httpRoute": {"name": NAME}}
    spec = {
        "workloadRef": {"name": NAME},
        "version": GOOD,
        "images": {"c": f"opsloop/helpdesk:{GOOD}"},
        "strategy": strategy,
    }
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": NAME}, "spec": spec}


class Bench:
    """One way in its namespace."""

    def __init__(self, client: Client, way: str, shift: Shift | None = None) -> None:
        """`shift`: whose namespaces are used; else those of the bench."""
        namespace = f"bench-back-{way}"
        self.way = way
        self.shift = shift or Shift(client, Progress(client.pace, f"{way:<8} "), namespace, f"{namespace}-ops", 1)
        self.host = "edge" if way == "route" else NAME

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """In the namespace."""
        return self.shift.api.kubectl("-n", self.shift.namespace, *arguments, text=text, seconds=200)

    def apply(self, *objects: Object) -> None:
        """By kubectl."""
        self.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(objects))

    def prepare(self) -> None:
        """v1 is live, with or without opsloop."""
        shift = self.shift
        make_empty(shift)
        apply_crds(shift.api)
        self.apply(deployment(GOOD), service(NAME, share.LABELS, 8080), client_pod())
        if self.way == "route":
            self._gateway()
        for name in (NAME, "asker"):
            wait_available(shift.api, shift.progress, shift.namespace, name, 120)
        if self.way == "kubectl":
            return
        install_operator(shift)
        self.apply(release(self.way))
        shift.progress.wait("v1 to be adopted", 60, lambda: (shift.status(NAME).get("live"), "nothing is live"))

    def _gateway(self) -> None:
        shift = self.shift
        shift.api.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(golang.gateway_crds()))
        shift.api.kubectl(
            "wait", "--for=condition=Established", "crd/httproutes.gateway.networking.k8s.io", "--timeout=30s"
        )
        text = GATEWAY.read_text().replace("CLASS", shift.namespace)
        parts = list(yaml.safe_load_all(text.replace("TRAEFIK", f"traefik:{images.TRAEFIK_VERSION}")))
        unwanted = [("Service", "edge"), ("Deployment", "client")]
        kept = [p for p in parts if (p["kind"], p["metadata"]["name"]) not in unwanted]
        self.apply(*kept, service("edge", {"app": "traefik"}, 8000), route())
        wait_available(shift.api, shift.progress, shift.namespace, "traefik", 120)

    def go_bad(self, number: int) -> None:
        """v4 is live on all pods, and what is kept warm is ready."""
        if self.way == "kubectl":
            self.kubectl("set", "image", f"deployment/{NAME}", f"c=opsloop/helpdesk:{BAD}")
            self.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s")
            return
        spec = {"version": BAD, "images": {"c": f"opsloop/helpdesk:{BAD}"}}
        meta = {"annotations": {"opsloop.dev/retry": f"{number}", "opsloop.dev/undo": None}}
        self.kubectl("patch", "release", NAME, "--type=merge", "-p", json.dumps({"metadata": meta, "spec": spec}))
        self.shift.progress.wait("v4 to be live", 180, self._is_bad, every=0.5)

    def _is_bad(self) -> tuple[object, str]:
        status = self.shift.status(NAME)
        target, warm = status.get("target") or {}, status.get("warm") or {}
        seen = f"{target.get('version')} {target.get('state')} {target.get('reason')}, warm {warm.get('state')} {warm.get('message')}"
        live = (target.get("version"), target.get("state"), target.get("retry")) == (BAD, "Promoted", self._retry())
        return live and (self.way == "plain" or warm.get("state") == "Warm"), seen

    def _retry(self) -> str:
        return str(
            json.loads(self.kubectl("get", "release", NAME, "-o", "json"))["metadata"]["annotations"][
                "opsloop.dev/retry"
            ]
        )

    def go_back(self) -> Times:
        """Clients ask all the while; the order is given after 3 s."""
        program = (paths.REPO / "e2e" / "bench" / "asker.py").read_bytes()
        command = [
            str(paths.KUBECTL),
            "-n",
            self.shift.namespace,
            "exec",
            "-i",
            "deployment/asker",
            "--",
            "python3",
            "-u",
            "-",
        ]
        arguments = ["hold", self.host, str(CLIENTS), str(LONGEST), "new", BAD, str(GONE)]
        with subprocess.Popen(
            [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
        ) as asking:
            assert asking.stdin is not None and asking.stdout is not None
            asking.stdin.write(program)
            asking.stdin.close()
            if asking.stdout.readline() != b"started\n":
                raise StageFailed("the clients did not start")
            time.sleep(BEFORE)  # what the bad version gives them, to compare with
            ordered = time.time()
            if self.way == "kubectl":
                self.kubectl("rollout", "undo", f"deployment/{NAME}")
            else:
                self.kubectl("annotate", "--overwrite", "release", NAME, f"opsloop.dev/undo={BAD}")
            said = asking.stdout.read()
        try:
            answers: list[asker.Answer] = [(at, n, version) for at, n, version in json.loads(said)]
        except ValueError as error:
            raise StageFailed(f"the clients ended without figures; they said {said[-300:]!r}") from error
        return told(answers, ordered)

    def rest(self) -> None:
        """Until the way back is over."""
        if self.way == "kubectl":
            self.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s")
            return

        def over() -> tuple[object, str]:
            record = self.shift.status(NAME).get("rollback") or {}
            kept = self.shift.api.get("deployments", self.shift.namespace, f"{NAME}-warm")
            return record.get("state") == "Done" and kept is None, f"rollback {record.get('state')}"

        self.shift.progress.wait("the way back to be over", 120, over, every=0.5)

    def close(self) -> None:
        """What the namespaces do not take with them."""
        if self.way == "route":
            for kind in ("clusterrole", "clusterrolebinding", "gatewayclass"):
                self.shift.api.kubectl("delete", kind, self.shift.namespace, "--ignore-not-found", check=False)
        clear(self.shift)


def told(answers: Sequence[asker.Answer], ordered: float) -> Times:
    """Seconds from the order: the start of the first window from which on at least half of the answers are v1's, and the last
    answer of v4. Where half of the pods are v1's a window has a little more or less by chance: only what is surely less counts as
    less. Raises StageFailed where v4 still answers at the end."""
    after = [(at - ordered, version) for at, _, version in answers if at >= ordered]
    if not after:
        raise StageFailed("nobody asked after the order")
    last = max((at for at, version in after if version == BAD), default=0.0)
    if last > max(at for at, _ in after) - 2:
        raise StageFailed(f"{BAD} still answers {last:.0f} s after the order")
    half, start = 0.0, 0.0
    while start < last:
        found = [version for at, version in after if start <= at < start + WINDOW]
        if found and found.count(GOOD) / len(found) < 0.5 - CHANCE / math.sqrt(len(found)):
            half = start + WINDOW
        start += WINDOW / 5
    return round(half, 2), round(last, 2)


def run(client: Client, way: str, repeat: int) -> None:
    """So many runs of one way; each is stored at once."""
    bench = Bench(client, way)
    try:
        bench.prepare()
        for number in range(repeat):
            bench.go_bad(number)
            times = bench.go_back()
            bench.shift.progress.say(f"half {times[0]:.1f} s, all {times[1]:.1f} s")
            keep(way, times)
            bench.rest()
    finally:
        bench.close()


def stored() -> dict[str, list[Times]]:
    """Way → its runs so far."""
    found: dict[str, list[Times]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found


def keep(way: str, times: Times) -> None:
    """Adds a run to what is stored."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Any]] = stored()
    found.setdefault(way, []).append(times)
    RESULTS.write_text(json.dumps(found))


def table() -> None:
    """What is stored, as min / median / max."""
    if not stored():
        print("nothing was measured yet")
        return
    rows = []
    for way, runs in sorted(stored().items(), key=lambda item: WAYS.index(item[0])):
        spreads = [" / ".join(f"{f([r[i] for r in runs]):.1f}" for f in (min, statistics.median, max)) for i in (0, 1)]
        rows.append({"way": way, "runs": len(runs), "half on v1, s": spreads[0], "all on v1, s": spreads[1]})
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    share.show(f"From the order, min / median / max; {PODS} pods, ready after {START_UP} s, {load}", rows)


def main() -> int:
    """0 when all ways were measured; 1 where one failed, after the table of what there is; 2 where the run cannot begin here."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.back", description=__doc__)
    parser.add_argument("ways", nargs="+", choices=[*WAYS, "table"])
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    ways = [way for way in options.ways if way != "table"]
    try:
        if ways:
            makes = {name for way in ways for name in (f"bench-back-{way}", f"bench-back-{way}-ops")}
            with session(makes) as pace, Client(pace) as client:
                for way in ways:
                    run(client, way, options.repeat)
    except Refused as refusal:
        print(f"back: {refusal}", file=sys.stderr)
        return REFUSED
    except (StageFailed, RuntimeError) as failure:
        print(f"FAILED {failure}", file=sys.stderr)
        table()
        return 1
    table()
    return 0


if __name__ == "__main__":
    sys.exit(main())
