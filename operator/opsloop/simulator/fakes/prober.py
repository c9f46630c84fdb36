"""Pods that answer eval requests, in memory: just what the port Prober promises.

The contract suite (tests/contract/test_prober.py) runs the same tests on this and on the real probers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from opsloop.adapters.prober import MOST_BODY, target
from opsloop.api.eval_request import EvalRequest
from opsloop.core.evalcase.silence import UNREACHABLE
from opsloop.core.facts import ProbeReply
from opsloop.names import EVAL_HEADER

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Asked:
    """What a pod sees of one request."""

    pod: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: str


Pod = Callable[[Asked], ProbeReply]


class FakeProber:
    """Prober port. `asked` lists every request that reached a pod, in order."""

    def __init__(self, pods: Mapping[str, Pod] | None = None) -> None:
        self.pods: dict[str, Pod] = dict(pods or {})
        self.asked: list[Asked] = []

    async def ask(self, pod_ip: str, request: EvalRequest, secrets: Mapping[str, str] = _NOTHING) -> ProbeReply:
        if pod_ip not in self.pods:
            return ProbeReply(0, "", f"nothing listens at {pod_ip}", UNREACHABLE)
        sent = {k: v for k, v in {**request.headers, **secrets}.items() if k.lower() != EVAL_HEADER.lower()}
        asked = Asked(pod_ip, request.method, target(request), {**sent, EVAL_HEADER: "1"}, request.body)
        self.asked.append(asked)
        reply, most = self.pods[pod_ip](asked), MOST_BODY
        body = reply.body.encode()
        return replace(reply, body=body[:most].decode(errors="replace"), cut=len(body) > most)


def says(status: int, body: str = "") -> Pod:
    """A pod that always answers the same."""
    return lambda _: ProbeReply(status, body)


def in_turn(*replies: ProbeReply) -> Pod:
    """A pod that answers these, one after the other; the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


SILENT: Pod = lambda _: ProbeReply(0, "", "refused")  # noqa: E731
