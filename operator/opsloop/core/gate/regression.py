"""Row 6, regression case catches the bad release: the case is asked again, now, of pods of both revisions."""

from opsloop.api.evalcase import EvalCase, ProofPair
from opsloop.api.incident import Incident
from opsloop.core.gate.evidence import CaseRun, Missing, ShiftEvidence
from opsloop.core.gate.recovery import named, refused_digests
from opsloop.core.gate.report import Findings


def judge(evidence: ShiftEvidence, incident: Incident, found: Findings) -> str:
    """The case is of this Incident, its bad revision is the one that was live, and it tells the two apart."""
    case = evidence.case
    if isinstance(case, Missing):
        found.gap(case.why)
        return ""
    if not found.require(case is not None, f"no EvalCase was captured from {incident.metadata.name}") or case is None:
        return ""
    proof = _pair(case, incident, found)
    if proof is None:
        return ""
    _was_live(evidence, proof, found)
    refused = refused_digests(evidence, incident)
    bad, good = (named(evidence, incident, digest) for digest in (proof.bad, proof.good))
    found.require(proof.bad in refused, f"revision {bad} of the case is not the one that this Incident blames")
    found.require(proof.good not in refused, f"revision {good}, which should pass, is refused itself")
    _replayed(evidence, proof, found)
    return f"{case.metadata.name}, asked again now, fails on {bad} and passes on {good}"


def _pair(case: EvalCase, incident: Incident, found: Findings) -> ProofPair | None:
    name, origin = case.metadata.name, case.spec.origin
    ours = origin.kind == "regression" and origin.incident == incident.metadata.name
    found.require(ours, f"{name} is not a regression case of {incident.metadata.name}")
    if found.require(case.spec.proof is not None, f"{name} names no revisions that prove it"):
        return case.spec.proof
    return None


def _was_live(evidence: ShiftEvidence, proof: ProofPair, found: Findings) -> None:
    if isinstance(evidence.workload, Missing):
        found.gap(evidence.workload.why)
        return
    sets = [rs.name for rs in evidence.workload.replica_sets if rs.digest == proof.bad]
    found.fact("bad revision was live as", ", ".join(sets) or "?", "ReplicaSets, digest recomputed")
    if not sets:
        found.gap(f"no ReplicaSet shows that {proof.bad} ever was live")


def _replayed(evidence: ShiftEvidence, proof: ProofPair, found: Findings) -> None:
    if isinstance(evidence.replay, Missing):
        found.gap(evidence.replay.why)
        return
    for role, digest, run in (("bad", proof.bad, evidence.replay.bad), ("good", proof.good, evidence.replay.good)):
        if isinstance(run, Missing):
            found.gap(f"{role} revision {digest}: {run.why}")
            continue
        _one(role, digest, run, found)


def _one(role: str, digest: str, run: CaseRun, found: Findings) -> None:
    found.fact(
        f"on the {role} revision", "passed" if run.passed else f"failed: {run.message}", f"quarantined pod of {digest}"
    )
    found.require(run.digest == digest, f"the {role} pod ran {run.digest}, not {digest}")
    if role == "bad":
        found.require(not run.passed, f"it passes on the bad revision {digest}, so it catches nothing")
    else:
        found.require(run.passed, f"it fails on the good revision {digest} as well: {run.message}")
