"""Prometheus' alerting rules as this process knows them: read in the background, so that no filing waits for Prometheus."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

from opsloop.core.alert_rules import NO_RULES, AlertRule, AlertRules
from opsloop.errors import OpsloopError
from opsloop.shell.ports import RuleSource

READ_AGAIN = timedelta(minutes=10)
TRY_AGAIN = timedelta(minutes=1)  # after a failure
PATIENCE = timedelta(seconds=10)

log = logging.getLogger("opsloop.rules")


def _order(rule: AlertRule) -> tuple[str, tuple[tuple[str, str], ...], float, float]:
    return rule.name, rule.labels, rule.holds, rule.window or 0.0


class RuleReader:
    """Run `run` as a task; `known` are the rules as last read. Without them onsets of alerts are guessed by their words."""

    def __init__(self, sources: Mapping[str, RuleSource]) -> None:
        """`sources` by their names; those of each are known as last read, whatever becomes of the others."""
        self._sources = sources
        self._read: dict[str, frozenset[AlertRule]] = {}
        self.known: AlertRules = NO_RULES
        self._failures: dict[str, str] = {}

    async def run(self) -> None:
        """Reads now and then until cancelled."""
        while True:
            pause = READ_AGAIN if await self.read() else TRY_AGAIN
            await asyncio.sleep(pause.total_seconds())

    async def read(self) -> bool:
        """Reads each source once, all at the same time; False where one failed: what was read of it last holds."""
        whole = all(await asyncio.gather(*(self._read_one(name) for name in self._sources)))
        every = frozenset[AlertRule]().union(*self._read.values())
        rules = tuple(sorted(every, key=_order))
        if rules != self.known.known:
            self.known = AlertRules(rules)
        return whole

    async def _read_one(self, name: str) -> bool:
        """The log says why a source cannot be read, once."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                self._read[name] = frozenset(await self._sources[name].rules())
        except (OpsloopError, TimeoutError) as error:
            said = str(error) or f"no answer within {PATIENCE.total_seconds():.0f} s"
            if said != self._failures.get(name):
                log.warning(
                    "source %s: its rules cannot be read, so onsets of its alerts are guessed by their words: %s",
                    name,
                    said,
                )
            self._failures[name] = said
            return False
        self._failures.pop(name, None)
        return True
