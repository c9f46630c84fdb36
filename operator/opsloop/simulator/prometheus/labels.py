"""Label sets. One object per set within one `Interner`, so that they compare and hash by identity."""

from collections.abc import Iterable, Mapping
from typing import Final

NAME: Final = "__name__"


class Labels:
    """An immutable label set; made by an `Interner` only."""

    __slots__ = ("nameless", "pairs", "values")

    def __init__(self, pairs: tuple[tuple[str, str], ...], nameless: "Labels | None" = None) -> None:
        """`nameless`: the same without the metric name; None where there is no name."""
        self.pairs = pairs
        self.values: Mapping[str, str] = dict(pairs)
        self.nameless = nameless or self

    def get(self, name: str) -> str:
        """The label's value; empty where it is absent, as PromQL sees it."""
        return self.values.get(name, "")

    def __repr__(self) -> str:
        return "{" + ", ".join(f'{name}="{value}"' for name, value in self.pairs) + "}"


class Interner:
    """Gives the same `Labels` object for equal label sets."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, str], ...], Labels] = {}
        self.empty = self.of({})

    def of(self, values: Mapping[str, str]) -> Labels:
        """The set with these labels; a label with an empty value is an absent one."""
        pairs = tuple(sorted((name, value) for name, value in values.items() if value))
        known = self._known.get(pairs)
        if known is None:
            rest = tuple(pair for pair in pairs if pair[0] != NAME)
            nameless = self.of(dict(rest)) if len(rest) < len(pairs) else None
            known = self._known[pairs] = Labels(pairs, nameless)
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
