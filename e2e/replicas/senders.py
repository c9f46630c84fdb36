"""Senders of alerts that keep their connection: one to each replica, one through the Service. Runs in a pod.

TARGETS is JSON {name: base URL}; each sender sends ALERTS alerts, or less where the file STOP appears, RATE a second, one in each body,
each once more until it is accepted. Then it prints one line of JSON: {name: {status or "network": number}}, and ends.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

PATIENCE = aiohttp.ClientTimeout(total=10)
PAUSE = 0.5  # seconds before the same alert is sent again
GIVE_UP = 120.0  # seconds for which one alert is tried
STOP = Path("/tmp/stop")


def body(name: str, number: int, starts_at: str) -> dict[str, object]:
    """Alertmanager's webhook with one alert that nobody else sends."""
    labels = {"alertname": "Checkout", "service": "checkout", "severity": "warning", "instance": f"{name}-{number}"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {},
        "startsAt": starts_at,
        "fingerprint": f"{name}-{number}",
    }
    return {"version": "4", "groupKey": "{}", "receiver": "opsloop", "status": "firing", "alerts": [alert]}


def stopped() -> bool:
    """True once the file is there."""
    return STOP.exists()


async def send(name: str, url: str, token: str, alerts: int, rate: float) -> Counter[str]:
    """Statuses of all answers; a request without an answer counts as network. A pod that is gone is given up."""
    seen: Counter[str] = Counter()
    starts_at = datetime.now(UTC).isoformat()
    connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=300)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE, headers=headers) as session:
        for number in range(alerts):
            if stopped() or not await _accepted(session, url, body(name, number, starts_at), seen):
                break
            await asyncio.sleep(1 / rate)
    return seen


async def _accepted(session: aiohttp.ClientSession, url: str, content: dict[str, object], seen: Counter[str]) -> bool:
    """True when it was accepted; False where nobody answers for GIVE_UP seconds."""
    end = asyncio.get_running_loop().time() + GIVE_UP
    while asyncio.get_running_loop().time() < end:
        try:
            async with session.post(url, json=content) as answer:
                await answer.read()
                seen[str(answer.status)] += 1
                if answer.status == 202:
                    return True
        except (aiohttp.ClientError, OSError, TimeoutError):
            seen["network"] += 1
        await asyncio.sleep(PAUSE)
    return False


async def main(token: str) -> None:
    """Until every sender has ended."""
    targets: dict[str, str] = json.loads(os.environ["TARGETS"])
    alerts, rate = int(os.environ["ALERTS"]), float(os.environ["RATE"])
    print("sending", flush=True)
    counts = await asyncio.gather(*(send(name, url, token, alerts, rate) for name, url in targets.items()))
    print(json.dumps(dict(zip(targets, counts, strict=True))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(os.environ["TOKEN_FILE"]).read_text().strip()))
