"""What the replies to a load say together."""

import pytest

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.evalcase import Load
from opsloop.core.evalcase import loads
from opsloop.core.evalcase.expectation import Answer, silent
from opsloop.core.evalcase.loads import Reply

LOAD = Load.model_validate({"requestsPerSecond": 20, "duration": "5s"})
EXPECT = EvalExpect.model_validate({"maxLatency": "300ms"})
GOOD, BAD = Answer("passed"), Answer("failed", "wanted a reply within 300ms, got one after 812ms")
LOST, UNREACHED = silent("BrokenOff", "the pod closed it"), silent("Unreachable", "refused")
SECRET = silent("SecretMissing", "Secret robot does not exist")


def replies(*groups: tuple[int, Answer], late: float = 0.0) -> list[Reply]:
    return [Reply(answer, 0.01 * (n + 1), late) for count, answer in groups for n in range(count)]


@pytest.mark.parametrize(
    ("seen", "share", "good"),
    [
        pytest.param(replies((100, GOOD)), 1.0, True, id="each reply is good"),
        pytest.param(replies((99, GOOD), (1, BAD)), 0.99, True, id="one of a hundred may be bad"),
        pytest.param(replies((98, GOOD), (2, BAD)), 0.99, False, id="two may not"),
        pytest.param(replies((98, GOOD), (2, LOST)), 0.99, False, id="a connection that breaks off under load is a bad reply"),
        pytest.param(replies((60, GOOD), (40, UNREACHED)), 0.99, False, id="a pod that answered and takes no connection any more has failed"),
        pytest.param(replies((100, UNREACHED)), 0.99, None, id="a pod that never answered says nothing"),
        pytest.param(replies((1, SECRET)), 0.99, None, id="a Secret that is missing is no fault of the pod"),
        pytest.param(replies((98, GOOD), (2, SECRET)), 0.99, None, id="nor while others were answered"),
        pytest.param(replies((100, BAD), late=0.2), 0.99, None, id="a load that opsloop could not send in time says nothing"),
        pytest.param([*replies((95, GOOD)), *replies((5, GOOD), late=0.2)], 0.99, True, id="five late requests of a hundred are few enough"),
        pytest.param(replies((100, GOOD), late=0.07), 0.99, True, id="less than a quarter of maxLatency is in time"),
    ],
)  # fmt: skip
def test_the_verdict(seen: list[Reply], share: float, good: bool | None) -> None:
    assert loads.verdict(loads.answers(seen, EXPECT), share) is good


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        pytest.param(
            replies((97, GOOD), (3, BAD)),
            "97 of 100 replies good (97.0%) under 20/s for 5s, 99.0% needed; half within 470 ms, 99% within 960 ms; first: wanted a"
            " reply within 300ms, got one after 812ms",
            id="counts, times and the first bad reply",
        ),
        pytest.param(
            replies((100, BAD), late=0.2),
            "no answer (LoadLate): opsloop began 100 of 100 requests late, by up to 200 ms",
            id="opsloop was late",
        ),
        pytest.param(replies((1, SECRET)), SECRET.message, id="nothing was sent"),
        pytest.param(
            replies((1, GOOD), (1, LOST)),
            "1 of 2 replies good (50.0%) under 20/s for 5s, 99.0% needed; half within 10 ms, 99% within 10 ms; first: under load"
            " no answer (BrokenOff): the pod closed it",
            id="a lost reply has no time",
        ),
    ],
)
def test_the_message(seen: list[Reply], said: str) -> None:
    assert loads.message(LOAD, seen, loads.answers(seen, EXPECT), 0.99) == said
