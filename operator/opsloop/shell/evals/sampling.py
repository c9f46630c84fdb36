"""Asks live pods for the requests that they recorded, and keeps a few of them without credentials."""

from collections.abc import Sequence

from opsloop.api.eval_request import EvalRequest
from opsloop.core.facts import Taken
from opsloop.core.recorded.lines import METHODS
from opsloop.core.recorded.sample import as_lines, sample
from opsloop.shell.evals.asking import Asking

MOST_PODS = 3


async def take(asking: Asking, request: EvalRequest, ips: Sequence[str]) -> Taken:
    """What the first pods tell. One that does not answer is no trouble while another one does."""
    texts, troubles = list[str](), list[str]()
    for ip in ips[:MOST_PODS]:
        reply = await asking.reply(ip, request)
        if reply.status == 200:
            texts.append(reply.body)
        else:
            troubles.append(f"{request.path} answers {reply.status}" if reply.status else reply.error)
    found = sample(texts, METHODS)
    if not texts:
        return Taken(remark=troubles[0] if troubles else "there was no ready pod to ask")
    return Taken(
        text=as_lines(found.requests),
        requests=len(found.requests),
        bad=sum(one.is_bad for one in found.requests),
        remark=f"{found.remark} of {len(texts)} pods, by {request.path}",
    )
