"""`python3 -m helpdesk web|answers|catalog|shoppers|receiver`; addresses and the seed come by environment."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping

from aiohttp import web

from . import catalog, receiver, shoppers
from . import web as web_part
from .answers import app as answers
from .answers import engine
from .articles import articles
from .serving import PORT, Service, serve

Environment = Mapping[str, str]


def _patience(env: Environment) -> float:
    """Factor on all time-outs, for a machine that is slow."""
    return float(env.get("PATIENCE", "1"))


def _web(service: Service, env: Environment) -> web.Application:
    return web_part.application(service, env.get("ANSWERS_URL", "http://answers:8080"), _patience(env))


def _answers(service: Service, env: Environment) -> web.Application:
    catalog_url = env.get("CATALOG_URL", "http://catalog:8080")
    return answers.application(service, engine.choose, catalog_url, _patience(env))


def _catalog(service: Service, env: Environment) -> web.Application:
    seed = int(env.get("CATALOG_SEED", "1"))
    return catalog.application(service, lambda: articles(seed))


def _shoppers(service: Service, env: Environment) -> web.Application:
    rate = float(env.get("RATE", "30"))
    catalog_url = env.get("CATALOG_URL", "http://catalog:8080")
    web_url = env.get("WEB_URL", "http://web:8080")
    return shoppers.application(service, web_url, catalog_url, rate, _patience(env))


def _receiver(service: Service, env: Environment) -> web.Application:
    return receiver.application(service, env.get("PAGE_TOKEN") or None)


PARTS: dict[str, Callable[[Service, Environment], web.Application]] = {
    "web": _web, "answers": _answers, "catalog": _catalog, "shoppers": _shoppers, "receiver": _receiver,
}  # fmt: skip


# Of parts that others call all the time: how long endpoints take to spread on a node whose CPUs are all busy, and more.
LAME_DUCK: Mapping[str, str] = dict.fromkeys(("web", "answers", "catalog"), "8")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in PARTS:
        print(f"usage: python3 -m helpdesk {'|'.join(PARTS)}", file=sys.stderr)
        return 2
    service = Service()
    app = PARTS[arguments[0]](service, os.environ)
    asyncio.run(serve(service, app, host=os.environ.get("HOST", "0.0.0.0"), port=int(os.environ.get("PORT", PORT)),
                      lame_duck=float(os.environ.get("LAME_DUCK_SECONDS", LAME_DUCK.get(arguments[0], "3")))))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
