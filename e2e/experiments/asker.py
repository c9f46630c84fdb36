"""Runs inside the cluster (`kubectl exec … python3 -`, standard library only): asks a Service and says who answered.

    asker.py new  HOST CLIENTS REQUESTS           a new connection for each request
    asker.py kept HOST CLIENTS REQUESTS           one connection per client for all of its requests
    asker.py hold HOST CLIENTS SECONDS new|kept   until the time is over; prints `started` when all clients are under way

Prints JSON: for new and kept {version: count}, for hold [[Unix time of the request, client, version], …].
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

PAUSE = 0.01  # seconds between two requests of a client that holds on

Answer = tuple[float, int, str]


class Client:
    """One client; it connects anew when its connection is gone, as every HTTP library does."""

    def __init__(self, host: str, number: int, keep: bool) -> None:
        self.host, self.number, self.keep = host, number, keep
        self._connection: http.client.HTTPConnection | None = None

    def ask(self) -> Answer:
        """Time of the request, client, version of the pod that answered."""
        for _ in range(20):
            asked = time.time()
            try:
                return asked, self.number, self._once()
            except (OSError, http.client.HTTPException):
                self._connection = None
        raise SystemExit(f"{self.host} does not answer")

    def _once(self) -> str:
        connection = self._connection or http.client.HTTPConnection(self.host, 8080, timeout=5)
        connection.request("GET", "/search?q=invoice")
        reply = connection.getresponse()
        version = str(json.loads(reply.read())["version"])
        if self.keep and not reply.will_close:
            self._connection = connection
        else:
            connection.close()
            self._connection = None
        return version


def together(clients: list[Client], work: Callable[[Client], list[Answer]]) -> list[Answer]:
    """All clients at once."""
    found: list[list[Answer]] = [[] for _ in clients]

    def one(client: Client) -> None:
        found[client.number] = work(client)

    threads = [threading.Thread(target=one, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(answer for answers in found for answer in answers)


def hold(client: Client, seconds: float) -> list[Answer]:
    """Ask until the time is over."""
    answers, ends = [], time.time() + seconds
    while time.time() < ends:
        answers.append(client.ask())
        time.sleep(PAUSE)
    return answers


def main(mode: str, host: str, clients: str, amount: str, how: str = "") -> None:
    """See above."""
    made = [Client(host, n, keep="kept" in (mode, how)) for n in range(int(clients))]
    if mode != "hold":
        each = int(amount) // len(made)
        answers = together(made, lambda c: [c.ask() for _ in range(each)])
        print(json.dumps(Counter(version for _, _, version in answers)))
        return
    together(made, lambda c: [c.ask()])
    print("started", flush=True)
    print(json.dumps(together(made, lambda c: hold(c, float(amount)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
