"""Row 7, fix promoted: the live revision is new, complete and answers the case rightly; nothing rejected served anybody."""

from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.gate.evidence import Missing, ReplicaSetSeen, ShiftEvidence, WorkloadSeen
from opsloop.core.gate.report import Findings
from opsloop.core.gate.scope import (
    refused_digests,
    root_release,
    version_and_digest,
    waiver_of,
)


def judge(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> str:
    """Live digest, its ReplicaSet, the case on live pods, requests of rejected versions."""
    version = _check_promotion(evidence, incident, findings)
    if evidence.case is None and waiver_of(incident):
        findings.fact("the case on live pods", "not asked: there is none", waiver_of(incident))
    else:
        _check_answers(evidence, findings)
    _check_rejected(evidence, findings)
    rightly = " and answers the case rightly" if evidence.case is not None else ""
    return f"{version} is live on all pods, was made after the incident{rightly}"


def _check_promotion(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> str:
    for source in (evidence.workload, evidence.releases):
        if isinstance(source, Missing):
            findings.gap(source.why)
            return ""
    assert isinstance(evidence.workload, WorkloadSeen)
    release, live = root_release(evidence, incident), evidence.workload.digest
    promotion = release.status.promotion if release else None
    findings.fact(
        "live revision",
        version_and_digest(evidence, incident, live),
        f"digest of Deployment {evidence.workload.name}'s template",
    )
    if (
        not findings.require(
            promotion is not None, f"nothing was promoted on {incident.spec.release}{_refused_target(release)}"
        )
        or promotion is None
    ):
        return ""
    findings.require(
        live == promotion.digest,
        f"live is {version_and_digest(evidence, incident, live)}, not the promoted {promotion.digest} ({promotion.version})",
    )
    _check_new(evidence, incident, live, findings)
    _check_pods(evidence.workload, incident, findings)
    return f"{promotion.version} ({live})"


def _refused_target(release: Release | None) -> str:
    """What became of the last target instead."""
    target = release.status.target if release else None
    if target is None or target.state == "Promoted":
        return ""
    why = f" ({target.reason}: {target.message[:160]})" if target.reason else ""
    return f": {target.version} is {target.state}{why}"


def _check_new(evidence: ShiftEvidence, incident: Incident, live: str, findings: Findings) -> None:
    revision = version_and_digest(evidence, incident, live)
    findings.require(
        live not in refused_digests(evidence, incident), f"the live revision {revision} was rolled back or refused"
    )
    findings.require(
        live not in before(evidence, incident),
        f"the live revision {revision} is the one from before the incident, not a fix",
    )


def before(evidence: ShiftEvidence, incident: Incident) -> frozenset[str]:
    """Revisions from before the fix: those of the rollback, and the good and bad one of the case."""
    rollback, case = incident.status.rollback, evidence.case
    proof = case.spec.proof if case is not None and not isinstance(case, Missing) else None
    named = ({rollback.to_digest, rollback.from_digest} if rollback else set()) | (
        {proof.good, proof.bad} if proof else set()
    )
    return frozenset(named)


def _check_pods(workload: WorkloadSeen, incident: Incident, findings: Findings) -> None:
    current: list[ReplicaSetSeen] = [rs for rs in workload.replica_sets if rs.digest == workload.digest]
    if not findings.require(bool(current), f"no ReplicaSet has the live revision {workload.digest}"):
        return
    newest = max(current, key=lambda rs: (rs.ready, rs.created_at))
    findings.fact(
        "its pods",
        f"{newest.ready} of {workload.wanted} ready, made {newest.created_at:%H:%M:%S}",
        f"ReplicaSet {newest.name}",
    )
    findings.require(
        0 < workload.wanted <= newest.ready, f"{newest.ready} of {workload.wanted} pods of the fix are ready"
    )
    began = incident.status.detected_at or incident.spec.signal.at
    findings.require(newest.created_at > began, "the live ReplicaSet is older than the incident")


def _check_answers(evidence: ShiftEvidence, findings: Findings) -> None:
    if isinstance(evidence.live, Missing) or not evidence.live:
        findings.gap(evidence.live.why if isinstance(evidence.live, Missing) else "no live pod could be asked")
        return
    wrong = [answer for answer in evidence.live if not answer.passed]
    findings.fact(
        "the case on live pods",
        f"{len(evidence.live) - len(wrong)} of {len(evidence.live)} pass",
        "asked now, pod by pod",
    )
    findings.require(not wrong, f"live pod {wrong[0].pod} still fails the case: {wrong[0].message}" if wrong else "")


def _check_rejected(evidence: ShiftEvidence, findings: Findings) -> None:
    for served in evidence.served:
        if isinstance(served.requests, Missing):
            findings.gap(f"requests of rejected {served.version}: {served.requests.why}")
            continue
        findings.fact(f"requests that {served.version} served", f"{served.requests:g}", served.source)
        findings.require(served.requests == 0, f"rejected {served.version} served {served.requests:g} requests")
