"""Whether the answers that came are enough to say that a case passes or fails.

A missing answer may have been right or wrong. So the share of right answers is an interval: the case passes where even its
lower end is enough, fails where even its upper end is not, and between them nobody can say.
"""

import math
from typing import Literal

Standing = Literal["passed", "failed", "open"]


def needed(asked: int, min_share: float) -> int:
    """Right answers of `asked` that make at least `min_share` (0 to 1); one at least."""
    return max(1, math.ceil(asked * min_share - 1e-9))


def standing(passed: int, answered: int, asked: int, min_share: float) -> Standing:
    """Where a case stands after `answered` of `asked` answers, of which `passed` were right."""
    asked = max(asked, answered, 1)
    if passed >= needed(asked, min_share):
        return "passed"
    return "failed" if passed + asked - answered < needed(asked, min_share) else "open"
