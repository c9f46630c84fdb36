"""Addresses of pods, by revision: where no label of an SLI names a pod, `instance` may hold its address.

An address is another pod's later. One that two revisions had within the time that is kept tells neither of them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from opsloop.api.revision import MOST_ADDRESSES, PodAddress, Revision

KEPT = timedelta(days=7)  # after its pod has gone; the longest window of a default tier is 3 days


def with_addresses(
    revisions: Sequence[Revision], seen: Mapping[str, Sequence[str]] | None, now: datetime
) -> list[Revision]:
    """The revisions with the addresses that their pods have now (digest → addresses); None: nobody looked."""
    return [_with_addresses(r, seen.get(r.digest, ()), now) for r in revisions] if seen is not None else list(revisions)


def _with_addresses(revision: Revision, living: Sequence[str], now: datetime) -> Revision:
    known = {one.ip: one for one in revision.addresses}
    kept = [
        one.model_copy(update={"until": None if one.ip in living else one.until or now})
        for one in revision.addresses
        if one.until is None or one.ip in living or now - one.until < KEPT
    ]
    new = [PodAddress(ip=ip, since=now) for ip in living if ip not in known]
    addresses = _newest([*kept, *new])
    return revision if addresses == revision.addresses else revision.model_copy(update={"addresses": addresses})


def _newest(addresses: Sequence[PodAddress]) -> list[PodAddress]:
    """Within the bound those of living pods stay, then those that went last."""
    gone = sorted((a for a in addresses if a.until is not None), key=lambda a: a.until or a.since)
    living = [a for a in addresses if a.until is None][-MOST_ADDRESSES:]
    room = MOST_ADDRESSES - len(living)
    return [*(gone[-room:] if room else []), *living]


def told(revision: Revision, revisions: Sequence[Revision]) -> tuple[str, ...]:
    """Addresses that only this revision had."""
    had = Counter(ip for one in revisions for ip in {a.ip for a in one.addresses})
    return tuple(sorted(a.ip for a in revision.addresses if had[a.ip] == 1))


def known(revisions: Sequence[Revision]) -> tuple[str, ...]:
    """All addresses of pods of the Release."""
    return tuple(sorted({a.ip for one in revisions for a in one.addresses}))
