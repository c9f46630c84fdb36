"""Addresses of pods, where no label names a pod: they end, they are another pod's later, and they are bounded."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.revision import MOST_ADDRESSES, Revision
from opsloop.core.slo.addresses import KEPT, known, told, with_addresses
from opsloop.core.slo.pods import INSTANCE, Labels, Scope, hosts, labels_of, labels_query
from opsloop.simulator.prometheus.regex import translated
from tests.builders.objects import at
from tests.builders.rollouts import revision

A, B = revision("v1"), revision("v4", "Canaried")


def seen(revisions: list[Revision], when: float, **ips: tuple[str, ...]) -> list[Revision]:
    digests = {"v1": A.digest, "v4": B.digest}
    return with_addresses(revisions, {digests[v]: found for v, found in ips.items()}, at(when))


def test_an_address_has_a_life() -> None:
    revisions = seen([A, B], 1, v1=("10.0.0.1", "10.0.0.2"))
    revisions = seen(revisions, 5, v1=("10.0.0.2",), v4=("10.0.0.3",))
    assert [(a.ip, a.since, a.until) for a in revisions[0].addresses] == [
        ("10.0.0.1", at(1), at(5)),
        ("10.0.0.2", at(1), None),
    ]
    assert told(revisions[0], revisions) == ("10.0.0.1", "10.0.0.2") and told(revisions[1], revisions) == ("10.0.0.3",)
    assert known(revisions) == ("10.0.0.1", "10.0.0.2", "10.0.0.3")


def test_an_address_that_two_revisions_had_tells_neither() -> None:
    revisions = seen([A, B], 1, v1=("10.0.0.1", "10.0.0.2"))
    revisions = seen(revisions, 5, v1=("10.0.0.2",), v4=("10.0.0.1", "10.0.0.3"))
    assert told(revisions[0], revisions) == ("10.0.0.2",) and told(revisions[1], revisions) == ("10.0.0.3",)
    assert "10.0.0.1" in known(revisions), "it is still the service's"


def test_an_address_is_forgotten_once_no_window_reaches_back_to_it() -> None:
    revisions = seen([A], 1, v1=("10.0.0.1",))
    revisions = seen(revisions, 2, v1=())
    revisions = with_addresses(revisions, {}, at(2) + KEPT - timedelta(seconds=1))
    assert known(revisions) == ("10.0.0.1",)
    assert known(with_addresses(revisions, {}, at(2) + KEPT)) == ()


def test_nothing_changes_where_nobody_looked() -> None:
    revisions = seen([A], 1, v1=("10.0.0.1",))
    assert with_addresses(revisions, None, at(9)) == revisions


@given(st.lists(st.sets(st.integers(0, 300), max_size=140), max_size=6))
def test_the_list_is_bounded_and_keeps_living_pods_first(looks: list[set[int]]) -> None:
    revisions = [A]
    for when, living in enumerate(looks):
        revisions = seen(revisions, when, v1=tuple(f"10.0.1.{n}" for n in sorted(living)))
        found = revisions[0].addresses
        assert len(found) <= MOST_ADDRESSES and len({a.ip for a in found}) == len(found)
        alive = {a.ip for a in found if a.until is None}
        assert len(alive) == min(len(living), MOST_ADDRESSES) and alive <= {f"10.0.1.{n}" for n in living}


@pytest.mark.parametrize(
    ("instance", "own"),
    [
        pytest.param("10.0.0.1:8080", True, id="address and port"),
        pytest.param("10.0.0.1", True, id="no port"),
        pytest.param("10.0.0.12:8080", False, id="another address that begins alike"),
        pytest.param("10.0.0a1:8080", False, id="a dot is a dot"),
        pytest.param("[fd00::1]:8080", True, id="IPv6"),
        pytest.param("", False, id="no instance"),
    ],
)
def test_the_pattern_fits_exactly_these_addresses(instance: str, own: bool) -> None:
    found = translated(hosts(("10.0.0.1", "fd00::1")), True).fullmatch(instance)
    assert (found is not None) is own


NAMED = Scope("shop", "answers", addresses=("10.0.0.1",))


@pytest.mark.parametrize(
    ("matchers", "scope", "asked"),
    [
        pytest.param('job="answers"', NAMED, True, id="a selector says whose series they are"),
        pytest.param("", NAMED, False, id="without one an address may have been another service's"),
        pytest.param('job="answers"', Scope("shop", "answers"), False, id="no address is known yet"),
    ],
)
def test_the_address_is_asked_for_last_and_only_beside_a_selector(matchers: str, scope: Scope, asked: bool) -> None:
    assert (INSTANCE in labels_query("requests_total", matchers, scope, None)) is asked


def test_a_label_with_the_name_comes_before_the_address() -> None:
    samples = [{"opsloop": "instance"}, {"opsloop": "pod"}]
    assert labels_of(samples, "shop", None) == Labels("pod")
    assert labels_of(samples[:1], "shop", None) == Labels(INSTANCE)
