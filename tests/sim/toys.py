"""Toys: judges that are plainly wrong in one way each. The table is worth something only if each of them fails a row of it
that the perfect judge meets in the same weathers."""

from collections.abc import Iterator, Sequence

from opsloop.simulator.campaign import Task, campaign, rows
from opsloop.simulator.figures import Row
from opsloop.simulator.judges import PERFECT, TOYS

KINDS = ("good-release", "bad-release", "bad-push", "outage", "pods-dead")
"""Kinds in which a judge decides something."""


def tried(judge: str, first: int, episodes: int, processes: int) -> list[Row]:
    """The table of a judge over so many weathers. Its canaries need no operator: an episode takes a fifth of a second."""
    tasks = [
        Task(seed, KINDS[number % len(KINDS)], judge) for number, seed in enumerate(range(first, first + episodes))
    ]
    return rows(list(campaign(tasks, processes)))


def failed(table: Sequence[Row], perfect: Sequence[Row]) -> list[str]:
    """The figures that a judge missed and the perfect one met."""
    met = {row.goal.figure for row in perfect if row.met}
    return [row.goal.figure for row in table if row.trials and not row.met and row.goal.figure in met]


def checked(first: int, episodes: int, processes: int) -> Iterator[tuple[str, list[Row], list[str]]]:
    """(toy, its table, the figures that it missed) one after the other."""
    perfect = tried(PERFECT, first, episodes, processes)
    for toy in TOYS:
        table = tried(toy, first, episodes, processes)
        yield toy, table, failed(table, perfect)
