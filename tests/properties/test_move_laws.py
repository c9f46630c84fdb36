"""Laws of moves between ledgers: merging stays a lattice, and an episode is in one ledger, whatever breaks off in between."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from opsloop.core.actions import MoveAlerts
from opsloop.core.alerts.ledger import counts, merge
from opsloop.core.alerts.pages import join
from opsloop.core.codec import decode_ledger, encode_ledger
from opsloop.core.correlation import books
from opsloop.core.correlation.spells import key_of
from opsloop.core.reported import Alert, Ledger, Moved
from tests.builders.correlation import NOW, alert, at, incident

ALERTS = [alert("Errors", service) for service in ("web", "answers", "catalog")]
NAMES = ("a-1", "b-1", "c-1")
INCIDENTS = [incident(name, "alerts") for name in NAMES]

notifications = st.builds(
    lambda service, status, seen: alert("Errors", service, status, seen=seen),
    st.sampled_from(["web", "answers", "catalog"]),
    st.sampled_from(["firing", "resolved"]),
    st.integers(0, 90),
)
records = st.builds(
    lambda subject, turn, out, other, seconds: Moved(
        subject.fingerprint, subject.starts_at, turn, out, other, at(seconds)
    ),
    st.sampled_from(ALERTS),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(NAMES),
    st.integers(0, 3),
)
parts = st.tuples(st.lists(notifications, max_size=4), st.lists(records, max_size=4))


@given(parts, parts, parts)
def test_merging_with_moves_is_idempotent_commutative_and_associative(
    one: tuple[list[Alert], list[Moved]], two: tuple[list[Alert], list[Moved]], three: tuple[list[Alert], list[Moved]]
) -> None:
    def filed(*each: tuple[list[Alert], list[Moved]]) -> Ledger:
        ledger = Ledger()
        for alerts, moves in each:
            ledger = merge(ledger, alerts, moves=moves)
        return ledger

    whole = filed(one, two, three)
    assert whole == filed(three, one, two) == filed(two, three, one, two)
    assert whole == merge(filed(one), [*two[0], *three[0]], moves=[*two[1], *three[1]])
    assert decode_ledger(encode_ledger(whole)) == whole


@given(st.lists(notifications, min_size=1, max_size=6))
def test_what_left_is_neither_counted_nor_brought_back_by_a_notification_and_a_later_turn_brings_it_back(
    storm: list[Alert],
) -> None:
    gone = [Moved(a.fingerprint, a.starts_at, 1, True, "b-1", NOW) for a in storm]
    left = merge(merge(Ledger(), storm, moves=gone), storm)
    assert left.alerts == () and counts(left).count == 0
    back = [Moved(a.fingerprint, a.starts_at, 2, False, "b-1", NOW) for a in storm]
    assert merge(left, moves=back).alerts == merge(Ledger(), storm).alerts


moves = st.lists(
    st.tuples(st.sampled_from(ALERTS), st.sampled_from(NAMES), st.integers(0, 3), st.booleans()), max_size=8
)


@given(moves)
@settings(max_examples=200)
def test_moves_that_break_off_at_any_write_lose_nothing_and_count_nothing_twice(
    steps: list[tuple[Alert, str, int, bool]],
) -> None:
    """Each step wants an alert in an Incident; it dies after so many writes, and then the next look mends what is left."""
    ledgers = dict.fromkeys(NAMES, Ledger()) | {"a-1": merge(Ledger(), ALERTS)}
    wanted = {key_of(a): "a-1" for a in ALERTS}

    def write(actions: Sequence[MoveAlerts], most: int) -> None:
        todo = [(a.target, a.alerts, a.came) for a in actions]
        for action, first in zip(actions, todo, strict=True):
            for name, alerts, records in (first, *((n, (), r) for n, r in action.left.items())):
                if most <= 0:
                    return
                ledgers[name] = merge(ledgers[name], alerts, moves=records)
                most -= 1

    for subject, target, most, ends in steps:
        key = key_of(subject)
        read = books.read(INCIDENTS, ledgers)
        assert read.homes.keys() == wanted.keys(), "nothing is lost"
        write(read.broken_off(NOW), 9)
        read = books.read(INCIDENTS, ledgers)
        if read.homes[key] != target:
            write([read.move(target, [key], {}, NOW)], most)
            wanted[key] = target if most else read.homes[key]
        if ends:
            home = books.read(INCIDENTS, ledgers).homes[key]
            ledgers[home] = merge(ledgers[home], [alert("Errors", subject.labels["service"], "resolved", seen=30)])
    last = books.read(INCIDENTS, ledgers)
    write(last.broken_off(NOW), 9)
    assert last.homes == wanted
    assert sum(counts(ledger).count for ledger in ledgers.values()) == len(ALERTS), "nothing is counted twice"
    assert not books.read(INCIDENTS, ledgers).broken_off(NOW)


@given(st.lists(notifications, max_size=6))
def test_a_merged_incidents_alerts_are_counted_once_in_the_one_that_took_it_over(storm: list[Alert]) -> None:
    moved = [Moved(a.fingerprint, a.starts_at, 1, False, "b-1", NOW) for a in storm]
    own, other = merge(Ledger(), storm, moves=moved), merge(Ledger(), storm)
    assert counts(join(own, [other])) == counts(own)
