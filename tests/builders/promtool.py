"""Series in promtool's notation (`0+7.5x120 900x360 _x10 stale`), loaded into the model of Prometheus."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from opsloop.simulator.prometheus.labels import NAME
from opsloop.simulator.prometheus.store import STALE, Store, milliseconds

_ITEM = re.compile(r"(?P<first>_|stale|-?[0-9.]+)(?:(?P<step>[+-][0-9.]+))?(?:x(?P<times>[0-9]+))?")
_SERIES = re.compile(r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<labels>.*)\})?")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="([^"]*)"')


def load(store: Store, series: Iterable[Mapping[str, str]], start: datetime, interval: float = 15) -> None:
    """Adds samples every `interval` seconds from `start` on."""
    for one in series:
        labels, at = labels_of(one["series"]), milliseconds(start)
        for value in values_of(one["values"]):
            if value is not None:
                store.append(labels, at, value)
            at += round(interval * 1000)


def labels_of(text: str) -> dict[str, str]:
    """Labels of `name{a="b"}`, the name among them."""
    found = _SERIES.fullmatch(text)
    assert found, text
    return {NAME: found["name"], **dict(_LABEL.findall(found["labels"] or ""))}


def values_of(text: str) -> Iterator[float | None]:
    """One value for every scrape; None where nothing was scraped. `axn` repeats a n times more, `_xn` only n times."""
    for word in text.split():
        item = _ITEM.fullmatch(word)
        assert item, word
        times = int(item["times"] or 0)
        if item["first"] == "_":
            yield from [None] * (times or 1)
        elif item["first"] == "stale":
            yield STALE
        else:
            first, step = float(item["first"]), float(item["step"] or 0)
            yield from (first + step * n for n in range(times + 1))
