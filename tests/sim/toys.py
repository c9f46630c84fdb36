"""Toys: judges that are plainly wrong in one way each. The table is worth something only if each of them fails a row."""

from collections.abc import Iterator

from opsloop.simulator.campaign import Task, campaign, rows
from opsloop.simulator.figures import Row
from opsloop.simulator.judges import TOYS

KINDS = ("good-release", "bad-release", "bad-push", "outage", "pods-dead")
"""Kinds in which a judge decides something."""


def tried(toy: str, first: int, episodes: int, processes: int) -> list[Row]:
    """The table of a toy over so many weathers. Its canaries need no operator: an episode takes a fifth of a second."""
    tasks = [Task(seed, KINDS[number % len(KINDS)], toy) for number, seed in enumerate(range(first, first + episodes))]
    return rows(list(campaign(tasks, processes)))


def failed(table: list[Row]) -> list[str]:
    """The figures that it missed."""
    return [row.goal.figure for row in table if row.trials and not row.met]


def checked(first: int, episodes: int, processes: int) -> Iterator[tuple[str, list[Row], list[str]]]:
    """(toy, its table, the figures that it missed) one after the other."""
    for toy in TOYS:
        table = tried(toy, first, episodes, processes)
        yield toy, table, failed(table)
