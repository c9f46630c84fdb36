"""The inbox: 2xx only for stored alerts and tickets, and no LIST where nothing is expected."""

import asyncio

import pytest

from opsloop.errors import Unavailable
from opsloop.names import INBOX
from opsloop.shell.intake.inbox import Inbox, InboxReader
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders.correlation import NOW, NS, alert, ticket

STORM = [alert("PodWrongAnswers", s, pod=f"{s}-{n}") for s in ("web", "answers") for n in range(20)]
STALE = alert("CatalogIndexStale", "catalog", severity="info")
COMPLAINT = ticket("Wrong answers since this morning", "Your help answers are wrong today.", id="HD-1")
WISH = ticket("Dark mode", "It would be lovely to have a dark mode.", id="HD-2")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(clock=FakeClock(NOW))


def inbox_left(cluster: FakeCluster) -> int:
    return sum(INBOX in item["metadata"].get("labels", {}) for item in cluster._objects.values())


async def test_everything_within_the_window_is_one_config_map(cluster: FakeCluster) -> None:
    commits: list[tuple[str, int]] = []
    inbox = Inbox(cluster, lambda namespace, names: commits.append((namespace, len(names))), window=0.0)
    await asyncio.gather(inbox.put_alerts(NS, STORM), inbox.put_ticket(NS, WISH), inbox.put_alerts(NS, [STALE]))
    assert len(cluster.writes) == 1 and commits == [(NS, 1)]
    (entry,) = await InboxReader(cluster, cluster.clock).entries(NS)
    assert len(entry.alerts) == 41 and entry.tickets == (WISH,)


async def test_a_failed_write_is_unavailable_to_every_caller(cluster: FakeCluster) -> None:
    commits: list[tuple[str, int]] = []
    inbox = Inbox(cluster, lambda namespace, names: commits.append((namespace, len(names))), window=0.0)
    cluster.fail_next = [Unavailable("apiserver is away", after=7)]
    results = await asyncio.gather(inbox.put_alerts(NS, STORM), inbox.put_ticket(NS, WISH), return_exceptions=True)
    assert [type(r) for r in results] == [Unavailable, Unavailable] and commits == []
    assert isinstance(results[0], Unavailable) and results[0].after == 7
    await inbox.put_alerts(NS, STORM)
    assert inbox_left(cluster) == 1, "the next one is stored"


async def test_overload_is_refused_at_once_and_passes(cluster: FakeCluster) -> None:
    inbox = Inbox(cluster, lambda _, __: None, window=0.0, max_pending=40)
    first = asyncio.create_task(inbox.put_alerts(NS, STORM))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="wait to be stored"):
        await inbox.put_ticket(NS, WISH)
    await first
    await inbox.put_ticket(NS, WISH)


async def test_a_caller_that_hangs_up_does_not_cancel_the_others(cluster: FakeCluster) -> None:
    inbox = Inbox(cluster, lambda _, __: None, window=0.0)
    gone, stays = (asyncio.create_task(inbox.put_ticket(NS, t)) for t in (WISH, COMPLAINT))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert inbox_left(cluster) == 1
    await inbox.close()


async def test_an_empty_body_stores_nothing(cluster: FakeCluster) -> None:
    await Inbox(cluster, lambda _, __: None).put_alerts(NS, [])
    assert cluster.writes == []
