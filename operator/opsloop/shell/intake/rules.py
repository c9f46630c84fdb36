"""Prometheus' alerting rules as this process knows them: read in the background, so that no filing waits for Prometheus."""

import asyncio
import logging
from datetime import timedelta

from opsloop.core.alert_rules import NO_RULES, AlertRules
from opsloop.errors import OpsloopError
from opsloop.shell.ports import RuleSource

READ_AGAIN = timedelta(minutes=10)
TRY_AGAIN = timedelta(minutes=1)  # after a failure
PATIENCE = timedelta(seconds=10)

log = logging.getLogger("opsloop.rules")


class RuleReader:
    """Run `run` as a task; `known` are the rules as last read. Without them onsets of alerts are guessed by their words."""

    def __init__(self, source: RuleSource) -> None:
        self._source = source
        self.known: AlertRules = NO_RULES
        self._failure = ""

    async def run(self) -> None:
        """Reads now and then until cancelled."""
        while True:
            pause = READ_AGAIN if await self.read() else TRY_AGAIN
            await asyncio.sleep(pause.total_seconds())

    async def read(self) -> bool:
        """Reads once; False where that failed: what was read last holds, and the log says why once."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                rules = tuple(sorted(await self._source.rules(), key=lambda rule: (rule.name, rule.labels, rule.holds)))
        except (OpsloopError, TimeoutError) as error:
            said = str(error) or f"no answer within {PATIENCE.total_seconds():.0f} s"
            if said != self._failure:
                log.warning(
                    "the rules of Prometheus cannot be read, so onsets of alerts are guessed by their words: %s", said
                )
            self._failure = said
            return False
        self._failure = ""
        if rules != self.known.known:
            self.known = AlertRules(rules)
        return True
