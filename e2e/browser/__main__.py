"""`python -m e2e.browser`: every page of the console in a headless Chromium, over objects whose every foreign text is HTML; no cluster.

Prints what is wrong, and ends with 1 where anything is; pictures are in ~/.cache/opsloop/console/fixture. `--calm`: pictures of a shop as it
should be, as the documentation has them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime

from e2e.browser import fetch
from e2e.cluster import paths
from tests.builders.console import NASTY, Clock, World, answers, calm, served, shop

INTO = paths.CACHE / "console" / ("calm" if "--calm" in sys.argv else "fixture")
SPACE = "/namespaces/shop"
PAGES = {
    "fleet": "/", "namespace": SPACE, "release": f"{SPACE}/releases/answers", "incident": f"{SPACE}/incidents/answers-1",
    "postmortem": f"{SPACE}/incidents/answers-1/postmortem", "login": "/login",
}  # fmt: skip
HOLDS = {name: [NASTY[:25]] for name in ("fleet", "namespace", "release", "incident")}


class Moving(Clock):
    """Goes on."""

    def now(self) -> datetime:
        """Now."""
        return datetime.now(UTC)


async def main() -> int:
    """0 where nothing is wrong."""
    browser = await asyncio.to_thread(fetch.ensure)
    INTO.mkdir(parents=True, exist_ok=True)
    world = calm() if "--calm" in sys.argv else shop()
    if "--calm" not in sys.argv:
        world.clock = Moving()
    async with served(world) as (_, base):
        asked = {"base": base, "token": "ann-token", "pages": PAGES, "into": str(INTO), "holds": HOLDS, "live": {"path": "/", "text": "arrived"}}  # fmt: skip
        if "--calm" in sys.argv:
            asked |= {"holds": {}, "sizes": ["wide"], "pages": {k: PAGES[k] for k in ("fleet", "release", "incident")}}
            del asked["live"]
        path = os.pathsep.join((str(paths.REPO), browser.environment["PYTHONPATH"]))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "e2e.browser.look", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **browser.environment, "PYTHONPATH": path}, cwd=paths.REPO,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(asked).encode())
        process.stdin.close()
        wrong = 0
        async for line in process.stdout:
            if line.strip() == b"READY":
                _arrive(world)
                continue
            wrong += 1
            print(line.decode().rstrip(), flush=True)
        code = await process.wait()
    print(f"{wrong} things are wrong; pictures in {INTO}")
    return 1 if wrong or code else 0


def _arrive(world: World) -> None:
    """A Release more, as a watch would bring it: it must appear without a reload."""
    world.ticks[0] += 60
    world.put(answers("shop", "arrived"))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
