"""Row 7, fix promoted: what is live now is new, complete, answers the case rightly, and nothing rejected served anybody."""

from opsloop.api.incident import Incident
from opsloop.core.gate.evidence import Missing, ReplicaSetSeen, ShiftEvidence, WorkloadSeen
from opsloop.core.gate.recovery import named, refused_digests, release_of
from opsloop.core.gate.report import Findings


def judge(evidence: ShiftEvidence, incident: Incident, found: Findings) -> str:
    """Live digest, its ReplicaSet, the case on live pods, requests of rejected versions."""
    version = _promoted(evidence, incident, found)
    _answers(evidence, found)
    _rejected(evidence, found)
    return f"{version} is live on all pods, was made after the incident and answers the case rightly"


def _promoted(evidence: ShiftEvidence, incident: Incident, found: Findings) -> str:
    if isinstance(evidence.workload, Missing) or isinstance(evidence.releases, Missing):
        found.gap(
            evidence.workload.why
            if isinstance(evidence.workload, Missing)
            else str(getattr(evidence.releases, "why", ""))
        )
        return ""
    release, live = release_of(evidence, incident), evidence.workload.digest
    promotion = release.status.promotion if release else None
    found.fact(
        "live revision", named(evidence, incident, live), f"digest of Deployment {evidence.workload.name}'s template"
    )
    if (
        not found.require(promotion is not None, f"nothing was promoted on {incident.spec.release}")
        or promotion is None
    ):
        return ""
    found.require(
        live == promotion.digest,
        f"live is {named(evidence, incident, live)}, not the promoted {promotion.digest} ({promotion.version})",
    )
    _is_new(evidence, incident, live, found)
    _complete(evidence.workload, incident, found)
    return f"{promotion.version} ({live})"


def _is_new(evidence: ShiftEvidence, incident: Incident, live: str, found: Findings) -> None:
    said = named(evidence, incident, live)
    found.require(
        live not in refused_digests(evidence, incident), f"the live revision {said} was rolled back or refused"
    )
    found.require(
        live not in before(evidence, incident),
        f"the live revision {said} is the one from before the incident, not a fix",
    )


def before(evidence: ShiftEvidence, incident: Incident) -> frozenset[str]:
    """Revisions that were there before: what was rolled back to, and the good and bad one of the case."""
    rollback, case = incident.status.rollback, evidence.case
    proof = case.spec.proof if case is not None and not isinstance(case, Missing) else None
    named = ({rollback.to_digest, rollback.from_digest} if rollback else set()) | (
        {proof.good, proof.bad} if proof else set()
    )
    return frozenset(named)


def _complete(workload: WorkloadSeen, incident: Incident, found: Findings) -> None:
    current: list[ReplicaSetSeen] = [rs for rs in workload.replica_sets if rs.digest == workload.digest]
    if not found.require(bool(current), f"no ReplicaSet has the live revision {workload.digest}"):
        return
    newest = max(current, key=lambda rs: (rs.ready, rs.created_at))
    found.fact(
        "its pods",
        f"{newest.ready} of {workload.wanted} ready, made {newest.created_at:%H:%M:%S}",
        f"ReplicaSet {newest.name}",
    )
    found.require(0 < workload.wanted <= newest.ready, f"{newest.ready} of {workload.wanted} pods of the fix are ready")
    began = incident.status.detected_at or incident.spec.signal.at
    found.require(newest.created_at > began, "the live ReplicaSet is older than the incident")


def _answers(evidence: ShiftEvidence, found: Findings) -> None:
    if isinstance(evidence.live, Missing) or not evidence.live:
        found.gap(evidence.live.why if isinstance(evidence.live, Missing) else "no live pod could be asked")
        return
    wrong = [answer for answer in evidence.live if not answer.passed]
    found.fact(
        "the case on live pods",
        f"{len(evidence.live) - len(wrong)} of {len(evidence.live)} pass",
        "asked now, pod by pod",
    )
    found.require(not wrong, f"live pod {wrong[0].pod} still fails the case: {wrong[0].message}" if wrong else "")


def _rejected(evidence: ShiftEvidence, found: Findings) -> None:
    for served in evidence.served:
        if isinstance(served.requests, Missing):
            found.gap(f"requests of rejected {served.version}: {served.requests.why}")
            continue
        found.fact(f"requests that {served.version} served", f"{served.requests:g}", served.source)
        found.require(served.requests == 0, f"rejected {served.version} served {served.requests:g} requests")
