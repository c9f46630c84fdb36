"""The operator's histograms, sampled with its memory and CPU: of each of its processes the last that was seen."""

import math
import re

from e2e.bench import sampler
from e2e.harness.client import Client

_BUCKET = re.compile(r"^(\w+)_bucket\{(\S*)\} (\S+)$", re.M)
_BOUND = re.compile(r',?le="([^"]+)"')


class Sampler(sampler.Sampler):
    """Also the operator's histograms, of each process."""

    def __init__(self, api: Client, ops: str) -> None:
        super().__init__(api, ops)
        # start of the process → name of the histogram and its labels → counts, by upper bound in seconds
        self.seen: dict[float, dict[tuple[str, str], dict[float, float]]] = {}

    def looked(self, text: str) -> None:
        """As the base class."""
        found: dict[tuple[str, str], dict[float, float]] = {}
        for name, labels, count in _BUCKET.findall(text):
            bound = float(_BOUND.findall(labels)[0])
            found.setdefault((name, _BOUND.sub("", labels)), {})[bound] = float(count)
        if found:
            self.seen[self.samples[-1].started] = found

    def over(self, seconds: float, name: str, labels: str = "") -> tuple[float, float]:
        """(how many took longer than this bound, how many there are)."""
        each = [found[name, labels] for found in self.seen.values() if (name, labels) in found]
        every = sum(one[math.inf] for one in each)
        return every - sum(one[seconds] for one in each), every

    def bound(self, name: str, labels: str = "", share: float = 0.0) -> float | None:
        """The bound in seconds that at most this share exceeds; None where nothing was measured."""
        bounds = sorted({bound for found in self.seen.values() for bound in found.get((name, labels), {})})
        for bound in bounds:
            over, every = self.over(bound, name, labels)
            if over <= share * every:
                return bound
        return None
