"""When the living pods of a Release were created."""

from opsloop.api.meta import format_time
from opsloop.errors import Unavailable
from opsloop.names import CANARY
from opsloop.shell.reconcile.created import created
from opsloop.simulator.fakes.clock import START
from tests.fakes.runtime import bench, pod
from tests.sim.shop import NS

KEY = (NS, "answers")


async def test_of_the_pods_of_the_deployment_and_of_its_canary_that_have_not_ended() -> None:
    on = bench()
    for name, labels, phase in [
        ("answers-1", {"app": "answers"}, "Running"),
        ("answers-2", {"app": "answers"}, "Failed"),
        ("answers-canary-1", {"app": "answers-canary", CANARY: "answers"}, "Pending"),
        ("other-1", {"app": "other"}, "Running"),
    ]:
        on.seed(pod(name, labels, phase=phase))
    living = ("answers-1", "answers-canary-1")
    times = [
        obj["metadata"]["creationTimestamp"] for (_, _, name), obj in on.cluster._objects.items() if name in living
    ]
    assert [format_time(at) for at in await created(on.runtime, KEY) or ()] == times
    assert set(times) == {format_time(START)}


async def test_they_are_not_known_where_nobody_answers_or_there_is_no_release() -> None:
    on = bench()
    assert await created(on.runtime, (NS, "none")) is None

    async def down(*args: object) -> None:
        raise Unavailable("down")

    on.cluster.list = down  # type: ignore[method-assign, assignment]
    assert await created(on.runtime, KEY) is None
