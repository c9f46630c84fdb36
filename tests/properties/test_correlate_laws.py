"""Laws: filing is idempotent and order-insensitive; a storm ends the same however it is cut into bodies."""

from hypothesis import given, settings
from hypothesis import strategies as st

from opsloop.core.alerts.ledger import counts, merge
from opsloop.core.codec import decode_ledger, encode_ledger
from opsloop.core.correlation.decide import correlate
from opsloop.core.facts import CorrelationFacts
from opsloop.core.reported import Alert, InboxEntry, Ledger
from tests.builders.correlation import NOW, NS, alert, at, shop

alerts = st.builds(
    lambda name, service, status, start, seen, end: alert(
        name, service, status, start=start, seen=seen, end=seen if status == "resolved" and end else None
    ),
    st.sampled_from("ABC"),
    st.sampled_from(["web", "answers", "catalog", ""]),
    st.sampled_from(["firing", "resolved"]),
    st.integers(-60, 60),
    st.integers(0, 90),
    st.booleans(),
)
storms = st.lists(alerts, max_size=12)


def observed(storm: list[Alert], answers: str) -> CorrelationFacts:
    releases = shop(answers=answers)  # type: ignore[arg-type]
    return CorrelationFacts(NS, releases=releases, inbox=(InboxEntry(tuple(storm)),))


@given(storms, storms)
def test_merging_is_idempotent_and_does_not_care_for_order(one: list[Alert], two: list[Alert]) -> None:
    both = merge(merge(Ledger(), one), two)
    assert both == merge(merge(Ledger(), two), one) == merge(both, one + two) == merge(Ledger(), [*two, *one, *two])


@given(storms)
def test_storing_changes_nothing(storm: list[Alert]) -> None:
    filed = merge(Ledger(), storm)
    assert decode_ledger(encode_ledger(filed)) == filed


@given(storms)
def test_counts_are_the_distinct_fingerprints(storm: list[Alert]) -> None:
    found = counts(merge(Ledger(), storm))
    assert found.count == len({a.fingerprint for a in storm}) == sum(found.by_service.values())
    assert found.firing <= found.count


@given(storms)
def test_a_late_beginning_never_brings_an_ended_episode_back(storm: list[Alert]) -> None:
    ended = {(a.fingerprint, a.starts_at) for a in storm if a.status == "resolved"}
    late = [a for a in storm if a.status == "firing"]
    filed = merge(merge(Ledger(), storm), late)
    assert {(a.fingerprint, a.starts_at) for a in filed.alerts if a.status == "resolved"} == ended


@given(storms, st.sampled_from(["healthy", "burning", "fired", "unknown"]), st.integers(0, 20))
@settings(max_examples=60)
def test_every_alert_is_filed_once_held_or_an_unheard_end(storm: list[Alert], answers: str, seconds: int) -> None:
    plan = correlate(observed(storm, answers), at(seconds))
    assert [f.alert for f in plan.filings] == storm
    opened = {c.name for c in plan.creates}
    for filing in plan.filings:
        assert filing.incident in opened or filing.reason in ("DependencyUnclear", "ResolvedUnheard")
        assert filing.reason != "ResolvedUnheard" or filing.alert.status == "resolved"
    roots = [c.spec.service for c in plan.creates]
    assert len(roots) == len(set(roots))
    assert (plan.look_again is None) == (not any(f.held for f in plan.filings))


@given(storms)
@settings(max_examples=60)
def test_the_order_inside_a_body_does_not_change_where_alerts_go(storm: list[Alert]) -> None:
    def homes(order: list[Alert]) -> dict[tuple[str, object, str, object], str]:
        plan = correlate(observed(order, "burning"), NOW)
        return {
            (f.alert.fingerprint, f.alert.starts_at, f.alert.status, f.alert.received_at): f.incident
            for f in plan.filings
        }

    assert homes(storm) == homes(storm[::-1])
