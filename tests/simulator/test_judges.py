"""Each toy fails a row that the perfect judge meets, over the same weathers."""

from functools import cache

import pytest

from opsloop.simulator.campaign import Task, live
from opsloop.simulator.episode import live_through
from opsloop.simulator.figures import Row, measure, table
from opsloop.simulator.judges import Perfect
from opsloop.simulator.kinds import weather

pytestmark = pytest.mark.simulation  # each lives through whole weathers

TENFOLD = (7, 18)  # seeds whose canary is 10 times as bad as live


@cache
def row(judge: str, kind: str, seeds: tuple[int, ...], figure: str) -> Row:
    samples = []
    for seed in seeds:
        if judge == "perfect":
            found = measure(live_through(weather(seed, kind), Perfect()))
        else:
            found = live(Task(seed, kind, judge)).samples
        samples += [(seed, sample) for sample in found]
    return next(row for row in table(samples) if row.goal.figure == figure)


@pytest.mark.parametrize(
    ("toy", "kind", "seeds", "figure"),
    [
        pytest.param("never act", "bad-push", (1, 2), "mitigated", id="who never acts mitigates nothing"),
        pytest.param("never act", "outage", (1, 2), "unpaged", id="and calls nobody"),
        pytest.param("blame the newest", "outage", (1, 2, 3), "wrong-acts", id="who blames the newest"),
        pytest.param("10 % threshold", "bad-release", TENFOLD, "harmful-10", id="who waits for 10 % lets 5 % through"),
        pytest.param("never promote", "good-release", (1, 2), "promoted", id="who never promotes ships nothing"),
    ],
)
def test_a_toy_fails_where_knowledge_does_not(toy: str, kind: str, seeds: tuple[int, ...], figure: str) -> None:
    perfect, foolish = row("perfect", kind, seeds, figure), row(toy, kind, seeds, figure)
    assert perfect.met, perfect
    assert foolish.trials and not foolish.met, foolish
