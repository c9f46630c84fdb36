"""Runs inside the cluster (`kubectl exec … python3 -`, standard library only): asks a Service and says who answered.

    asker.py new  HOST CLIENTS REQUESTS ROUNDS    a new connection for each request
    asker.py kept HOST CLIENTS REQUESTS ROUNDS    one connection per client for all of its requests of a round
    asker.py hold HOST CLIENTS SECONDS new|kept [VERSION QUIET]
                                                  until the time is over; prints `started` when all clients are under way. With a VERSION
                                                  also when none of its pods has answered for QUIET seconds

Prints JSON: for new and kept a {version: count} per round, for hold [[Unix time of the request, client, version], …].
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

RATE = 200  # requests in a second of all clients that hold on

Answer = tuple[float, int, str]


class Client:
    """One client; it connects anew when its connection is gone, as every HTTP library does."""

    def __init__(self, host: str, number: int, keep: bool) -> None:
        self.host, self.number, self.keep = host, number, keep
        self._connection: http.client.HTTPConnection | None = None

    def ask(self) -> Answer:
        """Time of the request (when its connection stood), client, version of the pod that answered."""
        for _ in range(20):
            try:
                connection = self._connected()
                sent = time.time()
                return sent, self.number, self._once(connection)
            except (OSError, http.client.HTTPException):
                self._connection = None
        raise SystemExit(f"{self.host} does not answer")

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.host, 8080, timeout=5)
            self._connection.connect()
        return self._connection

    def _once(self, connection: http.client.HTTPConnection) -> str:
        connection.request("GET", "/search?q=invoice")
        reply = connection.getresponse()
        version = str(json.loads(reply.read())["version"])
        if reply.will_close or not self.keep:
            connection.close()
            self._connection = None
        return version


def together(clients: list[Client], work: Callable[[Client], list[Answer]]) -> list[Answer]:
    """All clients at once."""
    answers: list[list[Answer]] = [[] for _ in clients]

    def one(client: Client) -> None:
        answers[client.number] = work(client)

    threads = [threading.Thread(target=one, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(answer for answers in answers for answer in answers)


class Seen:
    """When a version answered last, whoever of all clients it was."""

    def __init__(self, version: str, quiet: float, now: Callable[[], float] = time.time) -> None:
        self.version, self.quiet, self.now, self.last = version, quiet, now, now()

    def is_over(self, answer: Answer) -> bool:
        """Note an answer; True where the version has not answered for long enough."""
        if not self.version or answer[2] == self.version:
            self.last = self.now()
        return self.now() - self.last > self.quiet


def hold(client: Client, seconds: float, pause: float, seen: Seen) -> list[Answer]:
    """Ask until the time is over, or what shall end has ended."""
    answers, ends = [], time.time() + seconds
    while time.time() < ends:
        answers.append(client.ask())
        if seen.is_over(answers[-1]):
            break
        time.sleep(pause)
    return answers


def main(mode: str, host: str, clients: str, amount: str, last: str, version: str = "", quiet: str = "0") -> None:
    """See above."""
    numbers = range(int(clients))
    if mode == "hold":
        held = [Client(host, n, keep=last == "kept") for n in numbers]
        together(held, lambda c: [c.ask()])
        print("started", flush=True)
        seen = Seen(version, float(quiet))
        print(json.dumps(together(held, lambda c: hold(c, float(amount), len(held) / RATE, seen))))
        return
    each, rounds = int(amount) // len(numbers) // int(last), []
    for _ in range(int(last)):
        answers = together([Client(host, n, mode == "kept") for n in numbers], lambda c: [c.ask() for _ in range(each)])
        rounds.append(Counter(version for _, _, version in answers))
    print(json.dumps(rounds))


if __name__ == "__main__":
    main(*sys.argv[1:])
