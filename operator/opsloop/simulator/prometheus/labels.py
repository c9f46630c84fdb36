"""Label sets. One object per set within one `Interner`, so that they compare and hash by identity."""

from collections.abc import Iterable, Mapping
from typing import Final

NAME: Final = "__name__"


class Labels:
    """An immutable label set; made by an `Interner` only."""

    __slots__ = ("pairs", "values")

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.pairs = pairs
        self.values: Mapping[str, str] = dict(pairs)

    def get(self, name: str) -> str:
        """The label's value; empty where it is absent, as PromQL sees it."""
        return self.values.get(name, "")

    def __repr__(self) -> str:
        return "{" + ", ".join(f'{name}="{value}"' for name, value in self.pairs) + "}"


class Interner:
    """Gives the same `Labels` object for equal label sets."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, str], ...], Labels] = {}
        self._nameless: dict[Labels, Labels] = {}
        self.empty = self.of({})

    def of(self, values: Mapping[str, str]) -> Labels:
        """The set with these labels; a label with an empty value is an absent one."""
        pairs = tuple(sorted((name, value) for name, value in values.items() if value))
        known = self._known.get(pairs)
        if known is None:
            known = self._known[pairs] = Labels(pairs)
        return known

    def keep(self, labels: Labels, names: Iterable[str]) -> Labels:
        """The labels among `names` only."""
        values = labels.values
        return self.of({name: values[name] for name in names if name in values})

    def drop(self, labels: Labels, names: Iterable[str]) -> Labels:
        """All labels but `names`."""
        gone = frozenset(names)
        return self.of({name: value for name, value in labels.pairs if name not in gone})

    def with_label(self, labels: Labels, name: str, value: str) -> Labels:
        """The same with one label set, or removed where the value is empty."""
        return self.of({**labels.values, name: value})

    def nameless(self, labels: Labels) -> Labels:
        """The same without the metric name."""
        known = self._nameless.get(labels)
        if known is None:
            known = self._nameless[labels] = self.drop(labels, (NAME,))
        return known
