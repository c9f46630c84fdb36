"""A fixed part of the laws of causes; all of them: `python -m tests.sim.laws --part causes causes-constants`."""

import pytest

from tests.sim.laws import blame

pytestmark = pytest.mark.simulation

SEED = "fixed"


def test_a_harmless_change_minutes_before_an_outage_is_seldom_rolled_back_and_a_bad_one_nearly_always() -> None:
    found = {kind: blame.sample(kind, 120 if kind == "near" else 40, SEED) for kind in blame.KINDS}
    shares = {one.row.name: one.share for one in blame.table(found)}
    assert all(share <= 0.15 for name, share in shares.items() if name.startswith(("outage", "smoulder")))
    assert [name for name, share in shares.items() if name.startswith("another one") and share > 0] == []
    growing = shares.pop("bad release whose harm grows over 5 to 45 min: rolled back")
    sure = [share for name, share in shares.items() if name.startswith("bad release") and "20 min" not in name]
    assert min(sure) >= 0.85 and growing >= 0.7


def test_each_constant_of_the_causes_is_varied_both_ways() -> None:
    labels = [label for label, *_ in blame.varied()]
    assert {
        "soon at 70%",
        "changepoint.SMOULDER_RATE at 130%",
        "changepoint.SPREAD at 70%",
        "minConfidence at 130%",
    } <= set(labels)
    assert len(labels) == len(set(labels))
