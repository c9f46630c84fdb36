"""What the machine itself does to an event loop: a process that does nothing but wake ten times a second, as the operator's beat does.

Runs in a pod beside the operator's, with nothing but the standard library: `python control.py SECONDS` prints one line of JSON.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

BEAT = 0.1  # seconds, as `opsloop.entry.health.BEAT`


def starved() -> float:
    """Seconds for which this thread has waited for a CPU that others had."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


async def main(seconds: float) -> None:
    """Wakes until the time is over."""
    late, own, end = list[float](), list[float](), time.monotonic() + seconds
    while time.monotonic() < end:
        due, before = time.monotonic() + BEAT, starved()
        await asyncio.sleep(BEAT)
        late.append(max(0.0, time.monotonic() - due))
        own.append(max(0.0, late[-1] - (starved() - before)))
    found = {"looks": len(late), "over50": sum(one > 0.05 for one in late), "max": max(late), "ownMax": max(own)}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
