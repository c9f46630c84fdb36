"""Requests that the service's own endpoint tells of, taken while the bad revision is live: its pods are gone after the rollback.

Nothing waits for them. What was taken is kept beside the Incident, for `core.incident.comparison`.
"""

from opsloop.api.eval_request import EvalRequest
from opsloop.api.incident import Sampled
from opsloop.core.actions import SampleRequests, StoreRequests
from opsloop.core.evalcase import proof
from opsloop.core.incident.state import IncidentBuilder
from opsloop.names import requests_name


def sample(decision: IncidentBuilder) -> None:
    """Asks once, while it burns; stores what came, or says why nothing did."""
    facts, status, root = decision.facts, decision.status, decision.facts.root
    evals = root.release.spec.evals if root else None
    if root is None or evals is None or evals.recorded is None or not evals.recorded.path:
        return
    if status.sampled is not None and status.sampled.requests and facts.taken is not None and facts.taken.requests:
        decision.execute(StoreRequests(requests_name(facts.incident.metadata.name), facts.taken.text))  # not stored yet
    if status.sampled is not None or status.burn is None:
        return
    if facts.taken is not None:
        taken = facts.taken
        if taken.requests:
            decision.execute(StoreRequests(requests_name(facts.incident.metadata.name), taken.text))
        told = Sampled(at=decision.now, requests=taken.requests, bad=taken.bad, message=taken.remark[:512])
        decision.set(sampled=told)
    elif status.phase in ("Mitigated", "Resolved"):
        late = f"{evals.recorded.path} was not answered while the bad version was live"
        decision.set(sampled=Sampled(at=decision.now, message=late[:512]))
    elif facts.deployed is not None and facts.deployed.selector and facts.stop is None:
        tls = evals.ask.tls if evals.ask else None
        request = EvalRequest(path=evals.recorded.path, port=evals.port, tls=tls)
        incident, release = facts.incident.metadata.name, root.release.metadata.name
        decision.execute(SampleRequests(incident, release, request, facts.deployed.selector))
        decision.look_again(proof.LOOK_AGAIN)
