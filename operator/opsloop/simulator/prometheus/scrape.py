"""Scrape targets, as Prometheus keeps them: `up`, staleness where a series or the target is gone, missed scrapes."""

from collections.abc import Mapping

from .labels import NAME
from .store import STALE, Series, Store

Exposed = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
"""What a target shows: (metric name, its labels) → value."""


class Target:
    """One scraped process. Its labels are put over those of its metrics (honor_labels: false, without renaming)."""

    def __init__(self, store: Store, labels: Mapping[str, str]) -> None:
        self._store, self.labels = store, dict(labels)
        self._series: dict[tuple[str, tuple[tuple[str, str], ...]], Series] = {}
        self._shown: set[Series] = set()
        self._up = store.series({**self.labels, NAME: "up"})

    def scrape(self, at: int, exposed: Exposed, visible: float | None = None) -> None:
        """A scrape that worked: series that it no longer shows end now."""
        shown = set[Series]()
        for key, value in exposed.items():
            series = self._of(key)
            self._store.add(series, at, value, visible)
            shown.add(series)
        self._end(self._shown - shown, at, visible)
        self._shown = shown
        self._store.add(self._up, at, 1.0, visible)

    def fail(self, at: int, visible: float | None = None) -> None:
        """A scrape without an answer: everything ends now, `up` is 0. The next one that works goes on."""
        self._end(self._shown, at, visible)
        self._shown = set()
        self._store.add(self._up, at, 0.0, visible)

    def vanish(self, at: int, visible: float | None = None) -> None:
        """The target is deleted; `at` is the time at which its next scrape would have been.

        A scrape that did not take place at all (Prometheus was down) leaves no trace: just call nothing.
        """
        self._end(self._shown | {self._up}, at, visible)
        self._shown = set()

    def _of(self, key: tuple[str, tuple[tuple[str, str], ...]]) -> Series:
        series = self._series.get(key)
        if series is None:
            name, labels = key
            series = self._series[key] = self._store.series({**dict(labels), **self.labels, NAME: name})
        return series

    def _end(self, gone: set[Series], at: int, visible: float | None) -> None:
        for series in gone:
            self._store.add(series, at, STALE, visible)
