"""Words of the console: how a state stands, and numbers as people read them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from opsloop.core.postmortem import markdown
from opsloop.core.slo.standing import Standing

Tone = Literal["good", "watch", "bad", "plain"]
UNKNOWN = "unknown"
NEARLY_ALL = 0.95  # of a period: what is known of it is not told
_PHASES: dict[str, Tone] = {
    "Healthy": "good", "Resolved": "good", "Mitigated": "watch", "Dark": "watch", "Stepping": "watch", "Promoting": "watch",
    "Held": "watch", "NotShipped": "watch", "Pending": "plain", "Unknown": "watch", "Breaching": "bad", "RollingBack": "bad",
    "Stopped": "bad", "Open": "bad", "Mitigating": "bad",
}  # fmt: skip
_BANDS: dict[str, Tone] = {"ok": "good", "slow": "watch", "fast": "bad"}
_SEVERITIES: dict[str, Tone] = {"sev1": "bad", "sev2": "bad", "sev3": "watch"}
WORST = ("bad", "watch", "plain", "good")


@dataclass(frozen=True, slots=True)
class Mark:
    """A word and how it stands: the page shows both, never the colour alone."""

    word: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of a list of facts."""

    name: str
    text: str


def phase(word: str) -> Mark:
    """The phase of a Release or of an Incident."""
    return Mark(word, _PHASES.get(word, "plain"))


def band(word: str) -> Mark:
    """A burn rate as a band."""
    return Mark(word, _BANDS.get(word, "plain"))


def severity(word: str) -> Mark:
    """A severity."""
    return Mark(word, _SEVERITIES.get(word, "plain"))


def percent(share: float) -> str:
    """A share of one in percent, with a decimal where it says something; a debt without one."""
    return f"−{-share * 100:.0f} %" if share <= -0.005 else markdown.percent(max(share, 0.0))


def burn(rate: float | None) -> str:
    """A burn rate as a multiple of what the objective allows."""
    return UNKNOWN if rate is None else f"{rate:.0f}×" if rate >= 10 else f"{rate:.1f}×"


def left(one: Standing) -> str:
    """What is left of the error budget; with the share of the period that is known, where that is not nearly all."""
    if one.spent is None:
        return UNKNOWN
    if one.spent.coverage >= NEARLY_ALL:
        return percent(one.spent.left)
    covered = "under 1 %" if one.spent.coverage < 0.01 else percent(one.spent.coverage)
    return f"{percent(one.spent.left)} ({covered} of the period known)"


def lasts(one: Standing) -> str:
    """Until when the budget lasts at the present burn rate."""
    if not one.spends:
        return UNKNOWN
    if one.gone_in is None:
        return "not being spent"
    return "spent" if not one.gone_in else long(one.gone_in)


def long(time: timedelta) -> str:
    """A time to come, in its largest unit: 3 days, 5 hours, 12 minutes."""
    minutes = time.total_seconds() / 60
    for name, size in (("day", 1440), ("hour", 60)):
        if minutes >= 2 * size:
            return f"{minutes / size:.0f} {name}s"
    number = max(1, round(minutes))
    return f"{number} minute{'' if number == 1 else 's'}"


def count(number: int, what: str) -> str:
    """A number of things."""
    return f"{number} {what}{'' if number == 1 else 's'}"
