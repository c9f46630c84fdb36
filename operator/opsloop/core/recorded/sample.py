"""Of all that a service recorded, the few requests that two revisions are asked: bad ones first, none twice."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from opsloop.core.recorded.lines import Seen, read_all

MOST = 20  # requests: each is asked some ten times, of pods that live for five minutes


@dataclass(frozen=True, slots=True)
class Sample:
    """The requests; `remark` says what was left out, or why there are none."""

    requests: tuple[Seen, ...] = ()
    remark: str = ""


def sample(texts: Iterable[str], methods: Collection[str]) -> Sample:
    """At most MOST requests of these logs: those with a status of 500 or more by how often they came, then the others in their
    order. Only of these methods: a request that changes something is not repeated merely to look."""
    seen: list[Seen] = []
    unread = 0
    for text in texts:
        found, complaints = _read(text)
        seen, unread = seen + found, unread + complaints
    counts: dict[tuple[str, str, str], int] = {}
    first: dict[tuple[str, str, str], Seen] = {}
    for one in seen:
        key = (one.method, one.path, one.body)
        counts[key] = counts.get(key, 0) + 1
        if key not in first or (one.is_bad and not first[key].is_bad):
            first[key] = one
    fitting = [
        key for key in first if first[key].method in methods and not first[key].is_altered and not _unfit(first[key])
    ]
    chosen = sorted(fitting, key=lambda key: (not first[key].is_bad, -counts[key] if first[key].is_bad else 0))[:MOST]
    return Sample(tuple(first[key] for key in chosen), _remark(len(chosen), len(first), len(fitting), unread, methods))


def _unfit(one: Seen) -> bool:
    """True for a body that an EvalCase has no method for."""
    return bool(one.body) and one.method in ("GET", "HEAD")


def as_lines(requests: Iterable[Seen]) -> str:
    """One JSON object a line, as `lines.read` reads them again."""
    return "".join(json.dumps(_as_record(one), ensure_ascii=False) + "\n" for one in requests)


def _as_record(one: Seen) -> dict[str, object]:
    record: dict[str, object] = {"method": one.method, "path": one.path}
    record |= {"status": one.status} if one.status is not None else {}
    record |= {"request": {"headers": one.headers}} if one.headers else {}
    return record | ({"request_body": one.body} if one.body else {})


def _read(text: str) -> tuple[list[Seen], int]:
    found, complaints = read_all(text)
    return found, len(complaints)


def _remark(chosen: int, distinct: int, fitting: int, unread: int, methods: Collection[str]) -> str:
    """What there was, in one sentence."""
    left = [
        f"{unread} lines cannot be read" if unread else "",
        f"{distinct - fitting} carry credentials or are not {', '.join(sorted(methods))}" if distinct > fitting else "",
        f"{fitting - chosen} are more than {MOST}" if fitting > chosen else "",
    ]
    why = "; ".join(filter(None, left))
    return f"{chosen} recorded requests" + (f" ({why})" if why else "")
