"""Pages as alerts, against a real Alertmanager on this machine: they appear, group, are repeated, and resolve.

`python -m tests.contract.test_alertmanager` fetches Debian's package (0.28) into ~/.cache/opsloop; nothing is installed.
"""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opsloop.adapters.clock import SystemClock
from opsloop.adapters.pager import HttpReceiver, ReceiverConfig, Receivers
from opsloop.core.actions import About, KeepPage, SendPage
from opsloop.core.notify.words import House
from opsloop.shell.notify import pages
from opsloop.shell.notify.pages import PageSender
from opsloop.simulator.fakes.ports import FakeInstruments
from tests.builders.pages import page_message
from tests.contract.model import real

PACKAGE = "prometheus-alertmanager"
VARIABLE = "OPSLOOP_ALERTMANAGER_BINARY"
PATIENCE = 20.0
CONFIG = """
route:
  receiver: everybody
  group_by: [alertname, namespace]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
  routes:
    - {receiver: payments, matchers: ['team = "payments"'], continue: false}
receivers: [{name: everybody}, {name: payments}]
"""
BINARY = real.binary(PACKAGE, VARIABLE)
pytestmark = pytest.mark.skipif(BINARY is None, reason="no Alertmanager: python -m tests.contract.test_alertmanager")


class Am:
    """A running Alertmanager, asked over its API."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session

    async def get(self, path: str, **query: str) -> Any:
        async with self._session.get(f"{self.url}/api/v2/{path}", params=query) as answer:
            return await answer.json()

    async def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.get("alerts", active="true")
        return found


def beside_its_templates() -> list[str]:
    """Debian's reads its templates below /usr/share: where they are not installed it gets the package's, in a mount namespace."""
    assert BINARY is not None
    share = BINARY.parent.parent / "share"
    if not (share / "prometheus").is_dir() or Path("/usr/share/prometheus/alertmanager").is_dir():
        return []
    rootless = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *rootless, "sh", "-c", 'mount --bind "$0" /usr/share && exec "$@"', str(share)]


@contextmanager
def running(folder: Path) -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (folder / "am.yml").write_text(CONFIG)
    command = [*beside_its_templates(), str(BINARY), f"--config.file={folder}/am.yml", f"--storage.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=error"]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.05)
        assert process.poll() is None, (folder / "log").read_text(errors="replace")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("am")) as made:
        yield made


async def until(what: str, seen: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await seen():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


def page(name: str, number: int = 1, action: str = "trigger", at: datetime | None = None, severity: str = "sev1", **about: Any) -> SendPage:  # fmt: skip
    now = at or datetime.now(UTC) - timedelta(seconds=30)
    message = page_message(number, action, text=f"{name} burns", decided_at=now, severity=severity)
    known = {"service": name, "team": "search", "since": now, "called": (severity,), **about}
    return SendPage(f"{name}-1", f"{name} burns", f"uid-{name}", message, {}, receivers=("am",), about=About(**known))


async def test_pages_appear_group_and_resolve(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        am = Am(url, session)
        config = ReceiverConfig.model_validate({"format": "alertmanager", "url": url, "labels": {"env": "prod"}})
        port = Receivers({"am": HttpReceiver(session, "am", config, House("prod-eu"))})
        sender = PageSender(port, SystemClock(), lambda key: None, FakeInstruments())

        async def names() -> set[str]:
            return {a["labels"]["incident"] for a in await am.alerts() if a["labels"]["namespace"] == "shop"}

        for sent in (page("web"), page("cart"), page("pay", team="payments")):
            sender.send("shop", sent)

        async def all_three() -> bool:
            return await names() == {"web-1", "cart-1", "pay-1"}

        await until("three alerts", all_three)
        web = next(a for a in await am.alerts() if a["labels"]["incident"] == "web-1")
        assert web["labels"] == {
            "alertname": "OpsloopIncident", "cluster": "prod-eu", "env": "prod", "incident": "web-1", "namespace": "shop",
            "service": "web", "severity": "critical", "team": "search",
        }  # fmt: skip
        assert web["annotations"]["summary"] == "web burns" and sender.deliveries("uid-web")[1]["am"].answer == "200"

        groups = await am.get("alerts/groups")
        grouped = {g["receiver"]["name"]: {a["labels"]["incident"] for a in g["alerts"]} for g in groups}
        assert grouped == {"everybody": {"web-1", "cart-1"}, "payments": {"pay-1"}}, "a team's own routes do the rest"

        worse = page("web", 2, "acknowledge")
        sender.send("shop", worse)

        async def told() -> bool:
            return any(a["annotations"].get("acknowledged") for a in await am.alerts())

        await until("the acknowledgement is an annotation of the same alert", told)
        assert await names() == {"web-1", "cart-1", "pay-1"} and len(await am.alerts()) == 3

        now = datetime.now(UTC)
        sender.send("shop", page("web", 3, "resolve", at=now, since=now - timedelta(seconds=30)))

        async def over() -> bool:
            return await names() == {"cart-1", "pay-1"}

        await until("the resolved one is gone", over)
        await sender.close()


async def test_a_worse_severity_ends_the_former_alert(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        am = Am(url, session)
        config = ReceiverConfig.model_validate({"format": "alertmanager", "url": url})
        port = Receivers({"am": HttpReceiver(session, "am", config, House())})
        sender = PageSender(port, SystemClock(), lambda key: None, FakeInstruments())

        async def severities() -> list[str]:
            return [a["labels"]["severity"] for a in await am.alerts() if a["labels"]["namespace"] == "raised"]

        async def is_(*wanted: str) -> bool:
            return await severities() == list(wanted)

        began = datetime.now(UTC) - timedelta(seconds=20)
        sender.send("raised", page("raised", severity="sev3", at=began))
        await until("a warning", lambda: is_("warning"))
        raised = page("raised", 2, at=datetime.now(UTC), since=began, called=("sev3", "sev1"))
        sender.send("raised", raised)
        await until("critical, and no warning any more", lambda: is_("critical"))
        await sender.close()


async def test_an_alert_that_is_repeated_outlives_its_end(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from opsloop.core.notify import alertmanager

    monkeypatch.setattr(alertmanager, "HOLDS", timedelta(seconds=3))
    monkeypatch.setattr(pages, "RESEND", 1.0)
    async with aiohttp.ClientSession() as session:
        am = Am(url, session)
        config = ReceiverConfig.model_validate({"format": "alertmanager", "url": url})
        port = Receivers({"am": HttpReceiver(session, "am", config, House())})
        sender = PageSender(port, SystemClock(), lambda key: None, FakeInstruments())

        async def there() -> bool:
            return any(a["labels"]["namespace"] == "kept" for a in await am.alerts())

        async def gone() -> bool:
            return not await there()

        for name in ("left", "kept"):
            sender.send("kept", page(name))
        sender.keep("kept", KeepPage(page("kept")))
        await until("it is there", there)
        await asyncio.sleep(6)
        names = {a["labels"]["incident"] for a in await am.alerts() if a["labels"]["namespace"] == "kept"}
        assert names == {"kept-1"}, "the one that nobody repeats has ended"
        await sender.close()
        await until("it ends when opsloop is gone for good", gone)


if __name__ == "__main__":
    print(real.fetched(PACKAGE, VARIABLE))
