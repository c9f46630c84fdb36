import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from opsloop.entry.leader_election import LOST, Elector, Identity, identity_of
from opsloop.errors import Invalid, LeadershipLost, Unavailable
from opsloop.names import SESSION
from opsloop.shell.ports import LEASES, Object, Resource
from opsloop.simulator.fakes.cluster import FakeCluster

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class Died(BaseException):
    """os._exit of a test."""


@dataclass
class Link:
    """One replica's way to the API server: it can be cut (calls fail) or hang, and can lose answers after the effect."""

    cluster: FakeCluster
    mode: str = "ok"  # ok, cut, hang, lost
    calls: int = 0
    delay: float = 0.0

    async def _through(self, call: Callable[..., Any], *args: Any) -> Object:
        self.calls += 1
        if self.mode == "cut":
            raise Unavailable("refused")
        if self.mode == "hang":
            await asyncio.sleep(10_000)
        await asyncio.sleep(self.delay)
        result: Object = await call(*args)
        if self.mode == "lost":
            self.mode = "ok"
            raise Unavailable("the answer was lost")
        return result

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return await self._through(self.cluster.get, resource, namespace, name)

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        return await self._through(self.cluster.create, resource, namespace, body)

    async def replace(self, resource: Resource, namespace: str, body: Object) -> Object:
        return await self._through(self.cluster.replace, resource, namespace, body)


@dataclass
class Replica:
    """An elector with a clock that can jump (a frozen process) and a death that is noted instead of died."""

    link: Link
    name: str
    session: str = ""  # of the process; by default one of its own
    gained_at: list[float] = field(default_factory=list)
    died_at: float | None = None
    skipped: float = 0.0
    task: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        identity = Identity(self.name, self.session or f"session of {self.name}")
        self.elector = Elector(self.link, "ops", "opsloop", identity, self._gained, clock=self.clock, die=self._die)

    def clock(self) -> float:
        return asyncio.get_running_loop().time() + self.skipped

    def _gained(self) -> None:
        self.gained_at.append(round(asyncio.get_running_loop().time(), 2))

    def _die(self, code: int) -> None:
        assert code == LOST
        self.died_at = round(asyncio.get_running_loop().time(), 2)
        if self.task and self.task is not asyncio.current_task():
            self.task.cancel()
        raise Died

    async def _run(self) -> None:
        try:
            await self.elector.run()
        except Died:
            return

    def start(self) -> "Replica":
        self.task = asyncio.create_task(self._run())
        return self

    def kill(self) -> None:
        assert self.task
        self.task.cancel()

    def may_write(self) -> bool:
        try:
            self.elector.fence()
        except (LeadershipLost, Died):
            return False
        return True


@contextmanager
def replicas(count: int = 2) -> Iterator[tuple[Replica, ...]]:
    cluster = FakeCluster()
    made = tuple(Replica(Link(cluster), name) for name in "ab"[:count])
    try:
        yield made
    finally:
        for replica in made:
            if replica.task:
                replica.task.cancel()


async def both_may_write(a: Replica, b: Replica, seconds: float) -> float:
    """Seconds of overlap, looked at every 50 ms."""
    overlap = 0.0
    for _ in range(round(seconds / 0.05)):
        overlap += 0.05 * (a.may_write() and b.may_write())
        await asyncio.sleep(0.05)
    return overlap


async def test_the_first_one_leads_at_once_and_renews_every_two_seconds() -> None:
    with replicas(1) as (a,):
        a.start()
        await asyncio.sleep(100)
        assert a.gained_at == [0.0]
        assert a.may_write()
        assert a.link.calls == pytest.approx(52, abs=2)  # GET, create, then one PUT per 2 s


async def test_only_one_of_two_leads_and_the_other_only_reads() -> None:
    with replicas() as (a, b):
        a.start()
        b.start()
        assert await both_may_write(a, b, 60) == 0
        assert (len(a.gained_at), len(b.gained_at)) == (1, 0)
        assert b.elector.holder == "a"
        with pytest.raises(LeadershipLost, match="holder: a"):
            b.elector.fence()


async def test_before_it_leads_the_fence_is_closed() -> None:
    with replicas(1) as (a,):
        assert not a.may_write()


async def test_after_a_kill_the_other_one_takes_over_when_the_lease_expired() -> None:
    with replicas() as (a, b):
        a.start()
        await asyncio.sleep(1)
        b.start()
        await asyncio.sleep(20)
        a.kill()
        await asyncio.sleep(30)
        assert 21 + 13 <= b.gained_at[0] <= 21 + 15 + 2


async def test_a_released_lease_is_taken_within_one_retry() -> None:
    with replicas() as (a, b):
        a.start()
        await asyncio.sleep(1)
        b.start()
        await asyncio.sleep(20)
        await a.elector.release()
        assert not a.may_write()
        await asyncio.sleep(30)
        assert 21 <= b.gained_at[0] <= 21 + 1.5
        assert len(a.gained_at) == 1, "a released elector must not come back"
        assert a.died_at is None


async def test_a_release_waits_for_a_renewal_under_way_and_closes_the_fence() -> None:
    with replicas() as (a, b):
        a.start()
        await asyncio.sleep(1)
        b.start()
        a.link.delay = 0.5
        await asyncio.sleep(1.2)  # a renewal began at 2.0
        await a.elector.release()
        assert not a.may_write()
        await asyncio.sleep(10)
        assert not a.may_write()
        assert a.died_at is None
        assert 2.5 <= b.gained_at[0] <= 5.6


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("cut", id="its calls are refused"),
        pytest.param("hang", id="its calls hang for ever"),
    ],
)
async def test_a_leader_cut_off_dies_before_the_other_one_writes(mode: str) -> None:
    with replicas() as (a, b):
        a.start()
        await asyncio.sleep(1)
        b.start()
        await asyncio.sleep(20)
        a.link.mode = mode
        assert await both_may_write(a, b, 40) == 0
        assert a.died_at is not None and 29 <= a.died_at <= 31.1
        assert 34 <= b.gained_at[0] <= 40
        assert not a.elector.leading


async def test_a_frozen_leader_cannot_write_when_it_thaws_and_ends() -> None:
    with replicas() as (a, b):
        a.start()
        await asyncio.sleep(1)
        a.skipped += 60  # SIGSTOP: the process saw none of it
        assert not a.may_write(), "the fence is closed before the elector's task has even run"
        assert a.died_at == 1.0
        b.start()
        await asyncio.sleep(30)
        assert len(b.gained_at) == 1


async def test_an_answer_lost_after_the_write_does_not_cost_the_lease() -> None:
    with replicas(1) as (a,):
        a.start()
        await asyncio.sleep(5)
        a.link.mode = "lost"
        await asyncio.sleep(60)
        assert a.died_at is None
        assert a.may_write()


async def test_an_answer_lost_at_gaining_is_found_out_by_its_own_name() -> None:
    with replicas(1) as (a,):
        a.start()
        a.link.mode = "cut"
        await asyncio.sleep(1)
        a.link.mode = "ok"
        lease = {
            "kind": "Lease",
            "metadata": {"name": "opsloop", "namespace": "ops", "annotations": {SESSION: "session of a"}},
            "spec": {"holderIdentity": "a", "renewTime": "x"},
        }
        a.link.cluster.seed(lease)
        await asyncio.sleep(2)
        assert a.gained_at == [1.5]


async def test_a_short_cut_is_survived() -> None:
    with replicas() as (a, b):
        a.start()
        await asyncio.sleep(1)
        b.start()
        a.link.mode = "cut"
        await asyncio.sleep(6)
        a.link.mode = "ok"
        await asyncio.sleep(60)
        assert (a.died_at, b.gained_at) == (None, [])


async def test_a_lease_that_somebody_else_took_ends_the_process() -> None:
    with replicas(1) as (a,):
        a.start()
        await asyncio.sleep(5)
        lease = copy.deepcopy(a.link.cluster.find(LEASES, "ops", "opsloop"))
        assert lease
        lease["spec"]["holderIdentity"] = "thief"
        a.link.cluster.seed(lease)
        await asyncio.sleep(3)
        assert a.died_at is not None and a.died_at <= 6.1
        assert not a.may_write()


async def test_a_deleted_lease_is_created_again_and_never_held_twice() -> None:
    with replicas() as (a, b):
        a.start()
        await asyncio.sleep(1)
        b.start()
        await asyncio.sleep(2.5)
        a.link.cluster.remove(LEASES, "ops", "opsloop")
        assert await both_may_write(a, b, 30) == 0
        assert a.may_write()
        assert b.gained_at == []


async def test_the_margin_does_not_trust_the_other_hosts_clock() -> None:
    with replicas(1) as (b,):
        ancient = {"holderIdentity": "other", "leaseDurationSeconds": 15, "renewTime": "2001-01-01T00:00:00.000000Z"}
        b.link.cluster.seed({"kind": "Lease", "metadata": {"name": "opsloop", "namespace": "ops"}, "spec": ancient})
        b.start()
        await asyncio.sleep(30)
        assert b.gained_at == [15.0]


async def test_a_longer_lease_of_another_version_is_respected() -> None:
    with replicas(1) as (b,):
        spec = {"holderIdentity": "other", "leaseDurationSeconds": 40, "renewTime": "x"}
        b.link.cluster.seed({"kind": "Lease", "metadata": {"name": "opsloop", "namespace": "ops"}, "spec": spec})
        b.start()
        await asyncio.sleep(60)
        assert b.gained_at == [40.0]


async def test_refusals_are_retried_and_transitions_counted() -> None:
    with replicas() as (a, b):
        a.link.cluster.fail_next = [Invalid("x"), Invalid("y")]
        a.start()
        await asyncio.sleep(10)
        assert a.gained_at == [3.0]
        await a.elector.release()
        b.start()
        await asyncio.sleep(1)
        lease = a.link.cluster.find(LEASES, "ops", "opsloop")
        assert lease and lease["spec"]["leaseTransitions"] == 2
        assert lease["spec"]["holderIdentity"] == "b"


async def test_alive_says_whether_the_loop_turns() -> None:
    with replicas(1) as (a,):
        a.start()
        a.link.mode = "hang"
        await asyncio.sleep(100)
        assert a.elector.alive(), "a hanging API server is not a dead elector"
        a.kill()
        await asyncio.sleep(31)
        assert not a.elector.alive()


async def test_a_new_process_of_the_same_pod_takes_the_lease_at_once() -> None:
    cluster = FakeCluster()
    before, after = (Replica(Link(cluster), "opsloop-0_uid", session) for session in ("first", "second"))
    before.start()
    await asyncio.sleep(21)
    before.kill()
    after.start()
    await asyncio.sleep(1)
    assert after.gained_at == [21.0]
    lease = cluster.find(LEASES, "ops", "opsloop")
    assert lease and lease["metadata"]["annotations"][SESSION] == "second"
    assert lease["spec"]["leaseTransitions"] == 2, "another process is another holder"
    after.kill()


async def test_of_two_processes_with_one_uid_the_elder_ends_at_its_next_renewal() -> None:
    cluster = FakeCluster()
    elder, younger = (Replica(Link(cluster), "opsloop-0_uid", session) for session in ("first", "second"))
    elder.start()
    await asyncio.sleep(20.5)
    younger.start()
    assert await both_may_write(elder, younger, 10) <= 2.05, "one renewal, and not until a deadline"
    assert elder.died_at is not None and elder.died_at <= 22.5
    assert younger.may_write() and younger.died_at is None
    younger.kill()


async def test_a_process_without_a_uid_waits_for_the_lease_of_its_predecessor() -> None:
    cluster = FakeCluster()
    before, after = (Replica(Link(cluster), identity_of("opsloop-0", "").pod) for _ in range(2))
    before.start()
    await asyncio.sleep(21)
    before.kill()
    after.start()
    await asyncio.sleep(30)
    assert after.gained_at == [36.0]
    after.kill()


async def test_a_process_that_lost_the_lease_while_it_was_frozen_stops_though_its_pod_holds_it() -> None:
    cluster = FakeCluster()
    elder, younger = (Replica(Link(cluster), "opsloop-0_uid", session) for session in ("first", "second"))
    elder.start()
    await asyncio.sleep(20)
    elder.link.mode = "hang"
    younger.start()
    await asyncio.sleep(3)
    elder.link.mode = "ok"
    await asyncio.sleep(3)
    assert elder.died_at is not None and not elder.may_write()
    assert younger.may_write()
    younger.kill()


async def test_identities_differ_between_pods_and_sessions_between_processes() -> None:
    one, two = identity_of("opsloop-0", "1-2"), identity_of("opsloop-0", "1-2")
    assert one.pod == two.pod == "opsloop-0_1-2"
    assert one.session != two.session
    assert identity_of("opsloop-0", "").pod != identity_of("opsloop-0", "").pod
