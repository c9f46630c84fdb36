"""The same decisions twice: by the functions as shipped on the stored samples, and by the whole operator."""

from dataclasses import dataclass

from opsloop.simulator import kinds
from opsloop.simulator.episode import live_through
from tests.sim.agreement.burns import Burn, Burns
from tests.sim.agreement.canaries import Canaries, Compared
from tests.sim.agreement.observed import Observer


@dataclass(frozen=True, slots=True)
class Found:
    """What an episode gave: decisions on canaries, burns, and how many reads of SLOs were compared."""

    canaries: list[Compared]
    burns: list[Burn]
    reads: int

    @property
    def agree(self) -> bool:
        """No decision differs."""
        return all(one.agree for one in self.canaries) and all(one.agree for one in self.burns)


def compare(seed: int, kind: str) -> Found:
    """Lives through a weather, and judges its canaries and SLOs beside the operator."""
    weather, observer = kinds.weather(seed, kind), Observer()
    burns = Burns(weather, observer)
    canaries = Canaries(weather, observer, burns)
    with observer.listening():
        live_through(weather, begun=observer.begin)
    return Found(list(canaries.found()), burns.found(), burns.reads)
