"""Pages of a ledger: past the first whole alerts the counts stay exact, whatever comes again, ends, moves or is merged."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.reported import AlertCounts
from opsloop.core.alerts import pages
from opsloop.core.alerts.ledger import counts, episode, merge
from opsloop.core.alerts.pages import file, join, rolled_alerts
from opsloop.core.codec import MAX_OBJECT, PAGE, decode_ledger_with_pages, decode_page, encode_ledger, encode_page
from opsloop.core.reported import Alert, Ledger, Moved
from opsloop.errors import Invalid
from tests.builders.correlation import NOW, alert, at

notifications = st.builds(
    lambda name, service, status, start, seen: alert(
        name, service, status, start=start, seen=seen, severity="critical"
    ),
    st.sampled_from("ABC"),
    st.sampled_from(["web", "answers", "catalog", ""]),
    st.sampled_from(["firing", "resolved"]),
    st.sampled_from([-60, 0, 60]),
    st.integers(60, 5000),
)
storms = st.lists(notifications, max_size=20)


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterable[None]:
    """Ledgers of which two alerts are whole, and three lie on a page."""
    before = pages.WHOLE, pages.PAGE
    pages.WHOLE, pages.PAGE = 2, 3
    yield
    pages.WHOLE, pages.PAGE = before


def filed(*parts: list[Alert]) -> Ledger:
    ledger = Ledger()
    for part in parts:
        ledger, left_out = file(ledger, part)
        assert not left_out
    return ledger


def exact(ledger: Ledger, since: float = 0) -> AlertCounts:
    """The counts without what is a matter of form."""
    return counts(ledger, at(since)).model_copy(update={"short": 0, "sample": []})


def stored(ledger: Ledger) -> Ledger:
    """As a process that starts reads it."""
    main, number = decode_ledger_with_pages(encode_ledger(ledger))
    assert number == len(ledger.pages)
    return replace(main, pages=tuple(decode_page(encode_page(page)) for page in ledger.pages))


@given(storms, storms, st.integers(0, 5000))
def test_the_counts_are_those_of_all_alerts_whole_in_any_order_and_filed_twice(
    one: list[Alert], two: list[Alert], since: float
) -> None:
    whole = merge(Ledger(), [*one, *two])
    found = filed(one, two)
    assert exact(found, since) == exact(whole, since) == exact(filed([*two, *one], one), since)
    assert {episode(a) for a in (*found.alerts, *rolled_alerts(found))} == {episode(a) for a in whole.alerts}


@given(storms)
def test_filing_again_changes_no_part_and_storing_nothing(storm: list[Alert]) -> None:
    found = filed(storm)
    again, _ = file(found, storm)
    assert again == found and all(a is b for a, b in zip(again.pages, found.pages, strict=True))
    assert stored(found) == found


@given(storms, storms)
def test_what_moves_here_from_elsewhere_is_whole_and_counts_once(storm: list[Alert], moving: list[Alert]) -> None:
    came = [Moved(a.fingerprint, a.starts_at, 1, False, "b-1", NOW) for a in moving]
    found, _ = file(filed(storm), moving, moves=came)
    assert exact(found) == exact(merge(Ledger(), [*storm, *moving]))
    assert {a.fingerprint for a in moving} <= {a.fingerprint for a in found.alerts}


@given(storms, storms, storms)
def test_an_incident_and_those_merged_into_it_count_each_alert_once(
    own: list[Alert], one: list[Alert], two: list[Alert]
) -> None:
    assert exact(join(filed(own), [filed(one), filed(two)])) == exact(merge(Ledger(), [*own, *one, *two]))


def test_the_first_alerts_are_whole_and_of_the_others_name_service_severity_and_times_are_kept() -> None:
    storm = [alert("A", f"s{n}", pod=f"s{n}-x", severity="critical") for n in range(9)]
    found = filed(storm)
    assert [len(found.alerts), *(page.tally.count for page in found.pages)] == [2, 3, 3, 1]
    assert counts(found).short == 7
    kept = next(iter(rolled_alerts(found)))
    assert kept.labels == {"alertname": "A", "service": "s2", "severity": "critical"} and kept.annotations == {}


def test_what_finds_no_place_is_counted_and_the_rest_is_filed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 1)
    found, left_out = file(Ledger(), [alert("A", f"s{n}") for n in range(9)])
    assert left_out == 4 and counts(found).count == 5


def test_a_full_page_of_real_size_fits_into_a_config_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE", 2500)
    storm = [alert("A", f"s{n}", fp=f"{n:016x}", start=n, end=n + 60, seen=n + 99) for n in range(2502)]
    (page,) = filed(storm).pages
    assert len(encode_page(page)[PAGE]) < MAX_OBJECT / 4


@pytest.mark.parametrize("data", [{}, {PAGE: "x"}, {PAGE: "H4sIAAAAAAAC/6uuBQBDv6ajAgAAAA=="}])
def test_foreign_data_is_invalid(data: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="binaryData"):
        decode_page(data)
