"""What takes long leaves the event loop, one at a time; what is short does not."""

import asyncio
import threading

import pytest

from opsloop.shell.apart import QUICK, Apart


@pytest.mark.parametrize(
    ("threads", "size", "leaves"),
    [
        pytest.param(True, QUICK + 1, True, id="long work leaves the loop"),
        pytest.param(True, QUICK, False, id="short work does not"),
        pytest.param(False, 10 * QUICK, False, id="in fake time nothing does"),
    ],
)
async def test_where_work_is_done(threads: bool, size: int, leaves: bool) -> None:
    where = await Apart(threads)(size, threading.get_ident)
    assert (where != threading.get_ident()) == leaves


async def test_two_long_computations_follow_each_other() -> None:
    apart, running, most = Apart(threads=True), 0, 0

    def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        threading.Event().wait(0.01)
        running -= 1

    await asyncio.gather(*(apart(QUICK + 1, work) for _ in range(4)))
    assert most == 1
