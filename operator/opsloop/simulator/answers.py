"""What a simulated shop answers to eval requests: quotes by POST, and summaries whose wording varies.

A version with a fault takes prices for other ones, and says in every second summary what is not so; a right one in every tenth.
"""

import json

from opsloop.core.facts import ProbeReply
from opsloop.simulator.fakes.prober import Asked

PRICES = {"boots": 79.9, "laces": 3.5}
RIGHT, WRONG = "Returns are free for 30 days.", "Returns cost 5 EUR."


def answer(asked: Asked, faulty: bool, number: int) -> ProbeReply:
    """The reply to one request; `number` counts the requests that a version has got, from 0."""
    path = asked.path.split("?", 1)[0]
    if path == "/quotes":
        return _quote(asked, faulty)
    if path == "/summary":
        wrong = number % 2 == 0 if faulty else number % 10 == 0
        return _json(200, {"text": WRONG if wrong else RIGHT})
    return _json(404, {"error": f"no {path}"})


def _quote(asked: Asked, faulty: bool) -> ProbeReply:
    if asked.method != "POST":
        return _json(405, {"error": "POST an order"})
    try:
        items = [(item["sku"], int(item["n"])) for item in json.loads(asked.body)["items"]]
        lines = [{"sku": sku, "n": n, "price": round(n * PRICES[sku], 2)} for sku, n in items]
    except (ValueError, KeyError, TypeError) as error:
        return _json(422, {"error": f"items: {type(error).__name__}"})
    total = sum(float(str(line["price"])) for line in lines)
    return _json(201, {"quote": {"total": round(total * (10 if faulty else 1), 2), "currency": "EUR", "items": lines}})


def _json(status: int, body: object) -> ProbeReply:
    return ProbeReply(status, json.dumps(body), headers=(("Content-Type", "application/json"),), seconds=0.01)
