"""Scrapes gathered into intervals: when one closes, and what is in it."""

import pytest

from opsloop.core.slo.rounds import Rounds, Scrape
from opsloop.core.statistics.evidence import Interval

EVERY = 15.0


def scrapes(text: str) -> list[Scrape]:
    """`c1@20:1/10` is canary pod c1, scraped after 20 s with 1 bad of 10 events since its last scrape; `l…` is live's."""
    found = []
    for one in text.split():
        pod, _, rest = one.partition("@")
        at, _, numbers = rest.partition(":")
        bad, _, total = (numbers or "0/0").partition("/")
        found.append(Scrape(float(at), pod, pod.startswith("c"), float(bad), float(total)))
    return found


def closed(text: str) -> list[Interval]:
    rounds = Rounds(EVERY)
    return [one for one in map(rounds.add, scrapes(text)) if one is not None]


def counts(text: str) -> list[tuple[float, ...]]:
    """(begin, end, bad and all of the canary, bad and all of live) of each interval."""
    return [
        (one.begin, one.end, one.canary_bad, one.canary_total, one.live_bad, one.live_total) for one in closed(text)
    ]


SEEN = "l1@-23 l2@-18 l1@-8 l2@-3 c1@-1 "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("c1@2:2/20", [(0, 2, 2, 20, 0, 0)], id="the first one waits for no pod of live that was scraped just before"),
        pytest.param("l1@7:1/40 c1@9:2/20", [(0, 9, 2, 20, 1, 40)], id="but has what was seen of live since"),
        pytest.param("l1@7:1/40 c1@9:2/20 l2@12:3/80 l1@22 c1@24:1/20", [(0, 9, 2, 20, 1, 40), (9, 24, 1, 20, 3, 80)], id="the next one closes when every pod was scraped"),
        pytest.param("c1@9 l2@12:3/80 c1@24:1/20 l1@37:0/80 l2@27:0/1", [(0, 9, 0, 0, 0, 0), (9, 37, 1, 20, 3, 160)], id="a missed scrape makes it longer"),
        pytest.param("l1@7 c1@9 l1@22 c1@24:1/9 l1@37 c1@39:1/9 l1@52 c1@54:1/9", [(0, 9, 0, 0, 0, 0), (9, 52, 2, 18, 0, 0)], id="a pod that is gone is waited for until three scrapes after its last"),
        pytest.param("l1@7 c1@9 l1@22 c1@24:1/9 l1@37 c1@39:1/9 l1@52 l2@53:5/400 c1@54:1/9 l1@67", [(0, 9, 0, 0, 0, 0), (9, 52, 2, 18, 0, 0), (52, 67, 1, 9, 5, 400)], id="its events count when it is back"),
        pytest.param("l1@7:1/9 l2@12 l1@22:1/9 l2@27 l1@37 l2@42 l1@52 l2@57 l1@67 l2@72", [], id="nothing closes without the canary"),
        pytest.param("l1@7:1/9 l2@12 l1@22:1/9 l2@27 l1@37 l2@42 l1@52 l2@57 c1@59:5/50", [(0, 59, 5, 50, 2, 18)], id="and its time is that of live then"),
        pytest.param("c1@14:1/9 c1@29:1/9 c1@44:1/9 c1@59:1/9 c1@74:1/9", [(0, 14, 1, 9, 0, 0), (14, 44, 2, 18, 0, 0), (44, 59, 1, 9, 0, 0), (59, 74, 1, 9, 0, 0)], id="live is away: the canary alone goes on after the deadline"),
        pytest.param("l1@7 l2@12 c2@13:3/9 c1@14:1/9", [(0, 14, 4, 18, 0, 0)], id="a pod that is born belongs to the interval"),
    ],
)  # fmt: skip
def test_when_an_interval_closes(text: str, expected: list[tuple[float, ...]]) -> None:
    assert [one for one in counts(SEEN + text) if one[1] > 0] == expected


def test_before_the_traffic_live_closes_intervals_alone() -> None:
    before = counts("l1@-38 l2@-33 l1@-23:1/50 c1@-20:9/99 l2@-18:2/50 l1@-8 l2@-3:0/1")
    assert before == [(-53, -38, 0, 0, 0, 0), (-38, -23, 0, 0, 1, 50), (-23, -8, 0, 0, 2, 50)]


def test_more_bad_events_than_events_are_of_the_next_interval() -> None:
    assert counts("c1@5:3/2 c1@20:0/5") == [(0, 5, 2, 2, 0, 0), (5, 20, 1, 5, 0, 0)]
    assert counts("c1@5:-1/4 c1@20:2/4") == [(0, 5, 0, 4, 0, 0), (5, 20, 1, 4, 0, 0)]


def test_the_pods_of_live_are_told_apart() -> None:
    *_, one = closed(SEEN + "l1@7:1/40 l2@12:0/41 c1@14:2/20")
    assert one.live_pods == ((1, 40), (0, 41))
