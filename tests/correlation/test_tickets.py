"""Tickets are linked rightly on storms of faults, applications, services and voices that the operator never saw.

The figures are in docs/tickets.md; the bounds here are what so many tickets can hold without chance making them fail.
"""

import pytest

from tests.correlation.links import Linking, scored
from tests.correlation.tickets import a_case, cases
from tests.correlation.voices import LANGUAGES, THINGS


def shares(total: Linking) -> tuple[float, float, float, float]:
    """Precision, recall, recall in storms of several Incidents, unrelated left alone."""
    return (
        total.right / total.linked,
        total.right / total.due,
        total.right_several / total.due_several,
        total.left / total.free,
    )


def test_a_case_is_the_same_each_time_and_of_all_kinds() -> None:
    once, again = a_case(4000), a_case(4000)
    assert once.complaints == again.complaints and once.storm.alerts == again.storm.alerts
    kinds = {c.kind for seed in range(4000, 4300, 10) for c in a_case(seed).complaints}
    assert kinds == {"one", "two things", "everything", "calm", "unharmed", "untimely", "elsewhere"}
    assert all(len(forms) == len(LANGUAGES) for forms in THINGS.values())


def test_tickets_of_a_few_storms_are_linked_rightly() -> None:
    precision, recall, _, alone = shares(scored(cases(5, 12), judged=False))
    assert precision >= 0.8 and recall >= 0.8 and alone >= 0.88


@pytest.mark.simulation
def test_tickets_of_many_storms_are_linked_rightly() -> None:
    precision, recall, several, alone = shares(scored(cases(7, 100), judged=False))
    assert precision >= 0.88 and recall >= 0.88 and several >= 0.82 and alone >= 0.94
    _, recall, several, _ = shares(scored(cases(7, 100)))
    assert recall >= 0.8 and several >= 0.75
