"""Last-good kept warm on a real cluster: dark to Services, budgets and selectors; first to serve on the way back; gone with the Release."""

from __future__ import annotations

import time

from e2e.bench.back import BAD, GOOD, NAME, PODS, Bench
from e2e.bench.share import LABELS
from e2e.drill.shift import Shift
from e2e.harness import audit, gates
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.harness.recorder import Recorder
from e2e.stories.shifts import story_shift
from opsloop.names import GATE, WARM

WARM_NAME = f"{NAME}-warm"


def back(api: Client, name: str, seed: int) -> None:
    """v4 is promoted with v1 warm beside it; nothing of live's sees the warm pods; undo; the Release deleted with warm pods there."""
    shift = story_shift(api, name, seed)
    bench = Bench(api, "warm", shift)
    bench.prepare()
    bench.apply(_budget())
    began, recorder = time.time(), Recorder("releases", shift.namespace)
    try:
        bench.go_bad(0)
        _dark(shift)
        _goes_back(shift, bench)
        _as_decided(shift, recorder, began)
        bench.go_bad(1)
        _deleted(shift)
    finally:
        recorder.stop()
    bench.close()


def _budget() -> Object:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": NAME}, "spec": spec}


def _dark(shift: Shift) -> None:
    """Ready, without a label of live's: the budget counts live pods alone, so that a drain passes."""
    pods = _warm(shift)
    ready = [p for p in pods if _condition(p, "ContainersReady") and not _condition(p, GATE)]
    _expect(shift, f"{len(ready)} warm pods are ready and dark", len(ready) == PODS)
    _expect(shift, "none has live's labels", not any(LABELS.items() <= p["metadata"]["labels"].items() for p in pods))
    _expect(shift, "no Service sends them anything", not _names(pods) & _endpoints(shift))

    def counted() -> tuple[object, str]:
        status = (shift.api.get("poddisruptionbudgets", shift.namespace, NAME) or {}).get("status", {})
        return (status.get("expectedPods"), status.get("disruptionsAllowed")) == (PODS, 1), f"{status}"

    shift.progress.wait("the budget to count live pods alone and to allow one eviction", 30, counted)


def _goes_back(shift: Shift, bench: Bench) -> None:
    """The warm pods are in traffic before the Deployment has a pod of v1, and are gone after it has all."""
    ordered = time.monotonic()
    bench.kubectl("annotate", "--overwrite", "release", NAME, f"opsloop.dev/undo={BAD}")
    warm = _names(_warm(shift))
    shift.progress.wait("the warm pods to be in traffic", 20, lambda: (warm <= _endpoints(shift), "not all"), every=0.1)
    taken = time.monotonic() - ordered
    live = shift.api.get("deployments", shift.namespace, NAME) or {"status": {}}
    image = live["spec"]["template"]["spec"]["containers"][0]["image"]
    _expect(shift, f"after {taken:.1f} s, and the Deployment has the template of {GOOD}", image.endswith(f":{GOOD}"))
    bench.rest()
    status = shift.status(NAME)
    kept, record = status["warm"], status["rollback"]
    _expect(shift, f"it took over: {kept['reason']}", (kept["state"], kept["reason"]) == ("Over", "TookOver"))
    _expect(shift, f"{record['warm']} warm pods served at {record.get('warmAt')}", record["warm"] == PODS)


def _as_decided(shift: Shift, recorder: Recorder, began: float) -> None:
    """No gate was opened that no stored status had decided, by the audit log; and nothing was forbidden."""
    requests = audit.requests(audit.operator_user(shift.ops), began)
    decided = gates.decided_by_status(recorder.versions, requests, shift.namespace, NAME)
    warm = gates.decided_by_status(recorder.versions, requests, shift.namespace, NAME, warm=True)
    wrong = gates.undecided_openings(requests, decided, shift.namespace, warm)
    opened = [r for r in gates.openings(requests, shift.namespace) if gates.is_warm(r.name)]
    _expect(shift, f"{len(opened)} warm pods were opened, none undecided: {wrong}", len(opened) == PODS and not wrong)
    _expect(shift, "the operator asked for nothing that it may not do", not audit.forbidden(requests))


def _deleted(shift: Shift) -> None:
    shift.api.kubectl("-n", shift.namespace, "delete", "release", NAME, "--wait=false")

    def gone() -> tuple[object, str]:
        left = [
            d["metadata"]["name"]
            for d in shift.api.items("deployments", shift.namespace)
            if WARM_NAME in d["metadata"]["name"]
        ]
        return not left and not _warm(shift), f"{left}, {len(_warm(shift))} pods"

    shift.progress.wait("the warm pods to go with the Release", 60, gone, every=0.5)


def _warm(shift: Shift) -> list[Object]:
    return shift.api.items("pods", shift.namespace, WARM)


def _names(pods: list[Object]) -> set[str]:
    return {p["metadata"]["name"] for p in pods if "deletionTimestamp" not in p["metadata"]}


def _endpoints(shift: Shift) -> set[str]:
    """Names of the pods to which the Service sends requests."""
    slices = shift.api.items("endpointslices", shift.namespace, f"kubernetes.io/service-name={NAME}")
    every = [e for one in slices for e in one.get("endpoints") or () if (e.get("conditions") or {}).get("ready")]
    return {e["targetRef"]["name"] for e in every}


def _condition(pod: Object, kind: str) -> bool:
    told = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == kind and c["status"] == "True" for c in told)


def _expect(shift: Shift, what: str, holds: bool) -> None:
    if not holds:
        raise StageFailed(f"{what}: no. {shift.status(NAME).get('warm')}")
    shift.progress.say(f"   {what}")
