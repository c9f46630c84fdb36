"""The canary's share: wanted, by pods or by an HTTPRoute's weights, and by the requests that it really served.

Gates share pods. Clients that keep to the pod that they met (sessions, gRPC, HTTP/2, kept-alive connections) share requests
otherwise, and what is judged are requests; so both shares are told.
"""

from opsloop.api.release import ReleaseStatus
from opsloop.api.target import Weight
from opsloop.core.facts import ReleaseFacts
from opsloop.core.readings import Value
from opsloop.core.release import route_back, weights

NOTED = 5  # percent: a share of requests that differs by less is not written, as it differs a little at each read


def weight(facts: ReleaseFacts, status: ReleaseStatus) -> Weight:
    """Weight of the decided step, and the shares that the canary has of the pods in traffic and of the requests."""
    decided = status.target.weight if status.target and status.target.is_active else 0
    if facts.workload is None or not decided:
        return Weight(wanted=decided)
    pods = facts.canary.pods if facts.canary else ()
    serving = sum(1 for pod in pods if pod.in_traffic and pod.ready and not pod.ended)
    on_route = route_back.share_of(facts, status.target) if status.target else None
    actual = weights.share(serving, facts.workload.serving) if on_route is None else on_route
    return Weight(wanted=decided, actual=actual, requests=_by_requests(facts, status) if serving else None)


def _by_requests(facts: ReleaseFacts, status: ReleaseStatus) -> int | None:
    """Share of the events of canary and live over the analysis window that the canary served.

    None where nobody can say: without readings, and until the weight has stood for that window, which would mix two weights.
    """
    target, verdict, window = status.target, facts.readings.verdict, facts.release.spec.strategy.canary.analysis.window
    if target is None or target.state != "Stepping" or target.reached_at is None:
        return None
    if verdict is None or verdict.at - target.reached_at < window:
        return None
    own, live = (facts.readings.by_revision.get(one) for one in (target.digest, status.live))
    if not isinstance(own, Value) or not isinstance(live, Value):
        return None
    share, said = round(100 * own.total / (own.total + live.total)), facts.release.status.weight.requests
    return said if said is not None and abs(share - said) < NOTED else share
