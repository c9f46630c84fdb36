"""Ledger: exact counts of alerts that arrive twice, late or in another order."""

import random

import pytest

from opsloop.core.alerts.ledger import counts, merge
from opsloop.core.codec import LEDGER, MAX_OBJECT, decode_ledger, encode_ledger
from opsloop.core.reported import Alert, Ledger
from opsloop.errors import Invalid
from tests.builders.correlation import alert, at, ledger

FIRE, END = alert("A", "web"), alert("A", "web", "resolved", seen=30)
AGAIN, AGAIN_END = alert("A", "web", start=60, seen=61), alert("A", "web", "resolved", start=60, seen=90)


@pytest.mark.parametrize(
    ("alerts", "count", "firing"),
    [
        pytest.param([], 0, 0, id="nothing"),
        pytest.param([FIRE], 1, 1, id="one fires"),
        pytest.param([FIRE, FIRE], 1, 1, id="the same again is nothing"),
        pytest.param([FIRE, END], 1, 0, id="it ended"),
        pytest.param([END, FIRE], 1, 0, id="a late duplicate of its beginning does not bring it back"),
        pytest.param([FIRE, END, AGAIN], 1, 1, id="it fires again: one alert, firing"),
        pytest.param([AGAIN, FIRE], 1, 1, id="the later episode decides, in any order"),
        pytest.param([AGAIN, FIRE, END], 1, 1, id="the end of an earlier episode does not end the later"),
        pytest.param(
            [FIRE, AGAIN, AGAIN_END], 1, 0, id="an earlier episode whose end was never told does not fire for ever"
        ),
        pytest.param(
            [AGAIN, alert("A", "web", "resolved", seen=90)], 1, 0, id="an end after the later began covers it"
        ),
        pytest.param([FIRE, alert("B", "web"), alert("A", "answers")], 3, 3, id="three different ones"),
    ],
)
def test_counts(alerts: list[Alert], count: int, firing: int) -> None:
    found = counts(ledger(*alerts))
    assert (found.count, found.firing) == (count, firing)


def test_counts_by_service_times_and_a_sample_of_ten() -> None:
    storm = [alert(f"A{n:02d}", "web" if n % 3 else "answers", start=n) for n in range(30)]
    found = counts(ledger(*reversed(storm)))
    assert found.by_service == {"answers": 10, "web": 20}
    assert (found.first_at, found.last_at) == (at(0), at(29))
    assert [s.name for s in found.sample] == [f"A{n:02d}" for n in range(10)]
    assert found.sample[0].model_dump(include={"service", "status"}) == {"service": "answers", "status": "firing"}


def test_stored_content_is_decoded_unchanged() -> None:
    full = ledger(FIRE, END, AGAIN)
    assert decode_ledger(encode_ledger(full)) == full
    assert encode_ledger(full) == encode_ledger(decode_ledger(encode_ledger(full))), (
        "the same content is the same bytes"
    )


def test_ten_thousand_alerts_fit_and_the_counts_stay_exact() -> None:
    noise = random.Random(1)
    words = ["".join(noise.choices("abcdefgh", k=200)) for _ in range(500)]
    storm = [alert("A", f"s{n % 7}", fp=f"{noise.getrandbits(64):016x}") for n in range(10_000)]
    for item in storm:
        object.__setattr__(item, "annotations", {"summary": noise.choice(words) + noise.choice(words)})
    full = ledger(*storm)
    data = encode_ledger(full)
    assert len(data[LEDGER]) <= MAX_OBJECT
    folded = decode_ledger(data)
    assert all(not a.annotations for a in folded.alerts) and counts(folded) == counts(full)
    assert counts(merge(folded, storm[:50])) == counts(full), "filing again what is there in folded form is nothing"


@pytest.mark.parametrize("data", [{}, {LEDGER: "x"}, {LEDGER: "H4sIAAAAAAAC/6uuBQBDv6ajAgAAAA=="}])
def test_foreign_data_is_invalid(data: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="binaryData"):
        decode_ledger(data)


def test_an_empty_ledger_merges_to_itself() -> None:
    assert merge(Ledger()) == Ledger()
