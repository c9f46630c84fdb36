import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from opsloop.errors import Conflict, Invalid, LeadershipLost, Unavailable
from opsloop.shell.ports import ObjectKey
from opsloop.shell.watch.workqueue import (
    CONFLICT_DELAY,
    CONFLICTS,
    LONGEST_URGENT_BACKOFF,
    URGENT_LIMIT,
    Queue,
)

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

A: ObjectKey = ("Release", "shop", "a")
B: ObjectKey = ("Release", "shop", "b")


class Recorder:
    """A handler that notes when it was called and does what the script says: seconds to sleep, an error, or a timedelta."""

    def __init__(self, *script: Any) -> None:
        self.script: Iterator[Any] = iter(script)
        self.calls: list[tuple[float, ObjectKey]] = []
        self.active: set[ObjectKey] = set()
        self.most = 0
        self.results: list[str] = []

    async def __call__(self, key: ObjectKey) -> timedelta | None:
        assert key not in self.active, "one name was handled twice at the same time"
        self.active.add(key)
        self.most = max(self.most, len(self.active))
        self.calls.append((asyncio.get_running_loop().time(), key))
        try:
            match next(self.script, None):
                case Exception() as error:
                    raise error
                case timedelta() as again:
                    return again
                case int() | float() as seconds:
                    await asyncio.sleep(seconds)
            return None
        finally:
            self.active.discard(key)

    def hook(self, key: ObjectKey, result: str, seconds: float) -> None:
        self.results.append(result)

    @property
    def times(self) -> list[float]:
        return [round(at, 3) for at, _ in self.calls]


@asynccontextmanager
async def running(handler: Recorder, workers: int = 2, led: bool = True) -> Any:
    queue = Queue(handler, workers=workers, hook=handler.hook, jitter=lambda: 0.0)
    if led:
        queue.lead([])
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        queue.unlead()


async def test_many_changes_while_a_name_is_handled_are_one_more_look() -> None:
    handler = Recorder(1.0, 0.0)
    async with running(handler) as queue:
        for _ in range(20):
            queue.enqueue(A)
            await asyncio.sleep(0.01)
        await asyncio.sleep(5)
    assert handler.times == [0.0, 1.0]


async def test_many_changes_before_a_name_is_handled_are_one_look() -> None:
    handler = Recorder()
    async with running(handler) as queue:
        for _ in range(20):
            queue.enqueue(A)
        await asyncio.sleep(1)
    assert handler.times == [0.0]


async def test_a_key_is_never_handled_twice_at_once_and_others_run_beside_it() -> None:
    handler = Recorder(3.0, 3.0, 0.0)
    async with running(handler) as queue:
        queue.enqueue(A)
        queue.enqueue(B)
        await asyncio.sleep(0.1)
        queue.enqueue(A)
        await asyncio.sleep(10)
    assert handler.most == 2
    assert handler.calls == [(0.0, A), (0.0, B), (pytest.approx(3.0), A)]


async def test_workers_bound_how_many_names_are_handled_together() -> None:
    handler = Recorder(1.0, 1.0, 1.0, 1.0, 1.0)
    async with running(handler, workers=2) as queue:
        for n in range(5):
            queue.enqueue(("Release", "shop", str(n)))
        await asyncio.sleep(0.5)
        assert (queue.depth, queue.oldest) == (3, pytest.approx(0.5))
        await asyncio.sleep(10)
    assert handler.most == 2
    assert handler.times == [0.0, 0.0, 1.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        pytest.param(Unavailable("later"), "retryable", id="an answer that says later"),
        pytest.param(Invalid("spec.x"), "permanent", id="a refusal, which somebody may lift"),
        pytest.param(RuntimeError("bug"), "error", id="a bug"),
    ],
)
async def test_an_error_backs_off_by_doubling_to_300_seconds(error: Exception, result: str) -> None:
    handler = Recorder(*[error] * 12)
    async with running(handler) as queue:
        queue.enqueue(A)
        await asyncio.sleep(1500)
    waits = [round(b - a, 3) for a, b in zip(handler.times, handler.times[1:], strict=False)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert handler.results[0] == result


async def test_success_resets_the_backoff() -> None:
    handler = Recorder(Unavailable("x"), Unavailable("x"), timedelta(seconds=10), Unavailable("x"), None)
    async with running(handler) as queue:
        queue.enqueue(A)
        await asyncio.sleep(60)
    assert handler.times == [0.0, 0.5, 1.5, 11.5, 12.0]


async def test_a_wait_that_the_other_side_asked_for_is_kept() -> None:
    handler = Recorder(Unavailable("busy", after=7.0))
    async with running(handler) as queue:
        queue.enqueue(A)
        await asyncio.sleep(20)
    assert handler.times == [0.0, 7.0]


async def test_jitter_only_shortens_and_by_a_fifth_at_most() -> None:
    handler = Recorder(Unavailable("x"))
    queue = Queue(handler, jitter=lambda: 1.0)
    queue.lead([A])
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await queue.run()
    assert handler.times == [0.0, 0.4]


async def test_a_few_conflicts_are_tried_again_at_once_then_they_back_off() -> None:
    handler = Recorder(*[Conflict("stale")] * (CONFLICTS + 2))
    async with running(handler) as queue:
        queue.enqueue(A)
        await asyncio.sleep(30)
    waits = [round(b - a, 3) for a, b in zip(handler.times, handler.times[1:], strict=False)]
    assert waits == [CONFLICT_DELAY] * CONFLICTS + [0.5, 1.0]
    assert set(handler.results) == {"conflict", "ok"}


async def test_a_change_is_handled_at_once_also_during_a_backoff() -> None:
    handler = Recorder(*[Unavailable("x")] * 6, None)
    async with running(handler) as queue:
        queue.enqueue(A)
        await asyncio.sleep(20)  # waits until 31.5 now
        queue.enqueue(A)
        await asyncio.sleep(60)
    assert handler.times == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 20.0]


async def test_the_earliest_of_several_due_times_holds() -> None:
    handler = Recorder()
    async with running(handler) as queue:
        for seconds in (30, 10, 20):
            queue.enqueue_after(A, seconds)
        await asyncio.sleep(60)
    assert handler.times == [10.0]


async def test_a_handler_says_when_to_look_again() -> None:
    handler = Recorder(timedelta(seconds=5), timedelta(seconds=5))
    async with running(handler) as queue:
        queue.enqueue(A)
        await asyncio.sleep(60)
    assert handler.times == [0.0, 5.0, 10.0]


async def test_a_handler_that_hangs_is_cut_off_after_60_seconds() -> None:
    handler = Recorder(1000.0)
    async with running(handler, workers=1) as queue:
        queue.enqueue(A)
        await asyncio.sleep(65)
    assert handler.times == [0.0, 60.5]
    assert handler.results == ["timeout", "ok"]


async def test_nothing_is_handled_before_leadership_then_everything_is() -> None:
    handler = Recorder()
    async with running(handler, led=False) as queue:
        queue.enqueue(A)
        queue.enqueue_after(A, 1)
        await asyncio.sleep(5)
        assert (handler.calls, queue.depth) == ([], 0)
        queue.lead([A, B])
        await asyncio.sleep(5)
    assert handler.calls == [(5.0, A), (5.0, B)]


async def test_after_unlead_what_waited_and_what_was_due_is_forgotten() -> None:
    handler = Recorder(1.0)
    async with running(handler, workers=1) as queue:
        queue.enqueue(A)
        await asyncio.sleep(0.5)
        queue.enqueue(A)
        queue.enqueue(B)
        queue.enqueue_after(B, 2)
        queue.unlead()
        await asyncio.sleep(10)
        assert handler.times == [0.0]
        queue.lead([B])
        await asyncio.sleep(1)
    assert handler.calls[1:] == [(10.5, B)]


async def test_lost_leadership_ends_the_run() -> None:
    handler = Recorder(LeadershipLost("gone"))
    queue = Queue(handler)
    queue.lead([A])
    with pytest.raises(LeadershipLost):
        await queue.run()
    queue.unlead()


async def test_other_workers_are_stopped_when_the_run_ends() -> None:
    finished = False

    async def handler(key: ObjectKey) -> None:
        nonlocal finished
        if key == B:
            raise LeadershipLost("gone")
        await asyncio.sleep(10)
        finished = True

    lost: Callable[[ObjectKey], Awaitable[None]] = handler
    queue = Queue(lost)
    queue.lead([A, B])
    with pytest.raises(LeadershipLost):
        await queue.run()
    await asyncio.sleep(20)
    assert not finished


# --- the lane of keys that may have to take a version out of traffic


@asynccontextmanager
async def two_lanes(handler: Recorder, urgent: set[ObjectKey]) -> Any:
    queue = Queue(handler, workers=1, hook=handler.hook, jitter=lambda: 0.0, urgent=lambda key: key in urgent)
    queue.lead([])
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        queue.unlead()


async def test_an_urgent_name_does_not_wait_behind_names_that_hang() -> None:
    handler = Recorder(50, 0)
    async with two_lanes(handler, {B}) as queue:
        queue.enqueue(A)
        await asyncio.sleep(1)
        queue.enqueue(B)
        await asyncio.sleep(1)
    assert handler.calls == [(0.0, A), (1.0, B)]


async def test_a_name_that_becomes_urgent_while_it_waits_changes_the_lane_and_is_handled_once() -> None:
    urgent = set[ObjectKey]()
    handler = Recorder(50)
    async with two_lanes(handler, urgent) as queue:
        queue.enqueue(A)
        queue.enqueue(B)
        await asyncio.sleep(1)
        urgent.add(B)
        queue.enqueue(B)
        await asyncio.sleep(60)
        assert queue.depth == 0
    assert handler.calls == [(0.0, A), (1.0, B)]


async def test_an_urgent_run_that_hangs_ends_by_its_own_deadline_and_is_soon_tried_again() -> None:
    handler = Recorder(*[90.0] * 9)
    async with two_lanes(handler, {A}) as queue:
        queue.enqueue(A)
        await asyncio.sleep(100)
    waits = [b - a - URGENT_LIMIT for a, b in pairwise(handler.times)]
    assert len(waits) >= 3 and max(waits) <= LONGEST_URGENT_BACKOFF and "timeout" in handler.results


async def test_urgent_names_are_one_at_a_time_each() -> None:
    handler = Recorder(1.0, 1.0, 0.0)
    async with two_lanes(handler, {A, B}) as queue:
        queue.enqueue(A)
        queue.enqueue(B)
        await asyncio.sleep(0.5)
        queue.enqueue(A)
        await asyncio.sleep(5)
    assert sorted(handler.calls) == [(0.0, A), (0.0, B), (1.0, A)]


async def test_keys_that_file_wait_neither_for_handlers_that_hang_nor_behind_all_that_a_start_asks_for() -> None:
    handler = Recorder(*[30.0] * 4, 0.0)
    queue = Queue(handler, workers=4, hook=handler.hook, jitter=lambda: 0.0, filing=lambda key: key[0] == "Namespace")
    queue.lead([("Incident", "shop", f"i-{n}") for n in range(100)])
    running = asyncio.create_task(queue.run())
    await asyncio.sleep(1)
    queue.enqueue(("Namespace", "shop", "shop"))
    await asyncio.sleep(1)
    assert (1.0, ("Namespace", "shop", "shop")) in handler.calls
    running.cancel()
