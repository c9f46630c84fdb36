"""Row 6, regression case catches the bad release: the case is asked again, now, of pods of both revisions."""

from opsloop.api.evalcase import EvalCase, ProofPair
from opsloop.api.incident import Incident
from opsloop.core.gate.evidence import CaseRun, Missing, ShiftEvidence
from opsloop.core.gate.report import Findings
from opsloop.core.gate.scope import refused_digests, version_and_digest


def judge(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> str:
    """The case is of this Incident, its bad revision is the one that was live, and it tells the two apart."""
    case = evidence.case
    if isinstance(case, Missing):
        findings.gap(case.why)
        return ""
    if (
        not findings.require(case is not None, f"no EvalCase was captured from {incident.metadata.name}")
        or case is None
    ):
        return ""
    proof = _check_case(case, incident, findings)
    if proof is None:
        return ""
    _check_was_live(evidence, proof, findings)
    refused = refused_digests(evidence, incident)
    bad, good = (version_and_digest(evidence, incident, digest) for digest in (proof.bad, proof.good))
    findings.require(proof.bad in refused, f"revision {bad} of the case is not the one that this Incident blames")
    findings.require(proof.good not in refused, f"revision {good}, which should pass, is refused itself")
    _check_replay(evidence, proof, findings)
    return f"{case.metadata.name}, asked again now, fails on {bad} and passes on {good}"


def _check_case(case: EvalCase, incident: Incident, findings: Findings) -> ProofPair | None:
    name, origin = case.metadata.name, case.spec.origin
    ours = origin.kind == "regression" and origin.incident == incident.metadata.name
    findings.require(ours, f"{name} is not a regression case of {incident.metadata.name}")
    if findings.require(case.spec.proof is not None, f"{name} names no revisions that prove it"):
        return case.spec.proof
    return None


def _check_was_live(evidence: ShiftEvidence, proof: ProofPair, findings: Findings) -> None:
    if isinstance(evidence.workload, Missing):
        findings.gap(evidence.workload.why)
        return
    sets = [rs.name for rs in evidence.workload.replica_sets if rs.digest == proof.bad]
    findings.fact("bad revision was live as", ", ".join(sets) or "?", "ReplicaSets, digest recomputed")
    if not sets:
        findings.gap(f"no ReplicaSet shows that {proof.bad} ever was live")


def _check_replay(evidence: ShiftEvidence, proof: ProofPair, findings: Findings) -> None:
    if isinstance(evidence.replay, Missing):
        findings.gap(evidence.replay.why)
        return
    for role, digest, run in (("bad", proof.bad, evidence.replay.bad), ("good", proof.good, evidence.replay.good)):
        if isinstance(run, Missing):
            findings.gap(f"{role} revision {digest}: {run.why}")
            continue
        _check_run(role, digest, run, findings)


def _check_run(role: str, digest: str, run: CaseRun, findings: Findings) -> None:
    findings.fact(
        f"on the {role} revision", "passed" if run.passed else f"failed: {run.message}", f"quarantined pod of {digest}"
    )
    findings.require(run.digest == digest, f"the {role} pod ran {run.digest}, not {digest}")
    if role == "bad":
        findings.require(not run.passed, f"it passes on the bad revision {digest}, so it catches nothing")
    else:
        findings.require(run.passed, f"it fails on the good revision {digest} as well: {run.message}")
