"""Asks an address many times and prints as JSON who answered: {"canary": n, "live": n, "failed": {reason: n}}.

`ask.py HOST[:PORT] PATH NUMBER [--until FILE] [--header "NAME: VALUE"]`: with a file, it goes on until that is there, and
NUMBER is ignored.
Connections are kept alive: behind a Gateway each request is routed by itself.
"""

import http.client
import json
import pathlib
import sys
import time
from collections import Counter

PAUSE = 0.02  # seconds between requests that go on until a file is there


def who(headers: dict[str, str], connection: http.client.HTTPConnection, path: str) -> str:
    """`canary`, `live`, or `failed: WHY`; podinfo says the name of its pod."""
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return f"failed: {type(error).__name__}"
    if answer.status != 200:
        return f"failed: {answer.status}"
    return "canary" if "-canary-" in json.loads(body)["hostname"] else "live"


def main(host: str, path: str, number: int, *more: str) -> None:
    """Asks, counts, prints."""
    options = dict(zip(more[::2], more[1::2], strict=True))
    name, _, value = options.get("--header", "").partition(": ")
    headers, until = {"Host": host} | ({name: value} if name else {}), options.get("--until", "")
    connection = http.client.HTTPConnection(host, timeout=5)
    found: Counter[str] = Counter()
    while not pathlib.Path(until).exists() if until else found.total() < number:
        found[who(headers, connection, path)] += 1
        if until:
            time.sleep(PAUSE)
    failed = {key.partition(": ")[2]: count for key, count in found.items() if key.startswith("failed")}
    print(json.dumps({"canary": found["canary"], "live": found["live"], "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
