"""`opsloop simulate`: one weather told line by line while it happens, for a newcomer without a cluster."""

from collections.abc import Callable
from typing import Final

from opsloop.core.gate.report import FAILED, PASSED
from opsloop.errors import Invalid
from opsloop.simulator import kinds
from opsloop.simulator.campaign import heading, line
from opsloop.simulator.episode import live_through
from opsloop.simulator.figures import measure
from opsloop.simulator.judges import Perfect

GOOD: Final = {
    "healthy-rejected": "no healthy canary was rejected",
    "harmful-3": "the harmful canary was rejected in time",
    "harmful-10": "the harmful canary was rejected in time",
    "harmful-40": "the harmful canary was rejected in time",
    "promoted": "the good release was promoted without a person",
    "promoted-in-time": "and within its holds and a tenth",
    "mitigated": "the harm to live was mitigated in time",
    "wrong-acts": "nothing harmless was rolled back or blocked",
    "unpaged": "a person was paged for every outage",
    "repeated-pages": "nobody was told the same twice",
    "second-alerts": "nobody was woken twice for one fault",
    "false-pages": "nobody was paged for nothing",
    "false-pages-quiet": "nobody was paged for nothing",
    "unrest": "an hour later everything is at rest, or says what it needs",
    "flaps": "no Incident came and went for nothing",
    "fix-stuck": "the fix was shipped",
    "unhelped": "no rollback that helped was said not to have helped",
    "unnamed": "every rollback that did not help was said so within its time",
    "bad-requests": "users saw at most half more bad requests than with a judge who knows all",
}
"""What a figure says of one episode that went well."""


def simulate(story: str, seed: int, say: Callable[[str], None]) -> int:
    """Plays the story and says what happens; returns an exit code: PASSED, or FAILED where a goal was missed.

    Invalid, with all names, where there is no such story.
    """
    if story not in kinds.KINDS:
        raise Invalid(f"--story: there is no story {story!r}; take one of {', '.join(kinds.KINDS)}")
    weather = kinds.weather(seed, story)
    say((kinds.KINDS[story][0].__doc__ or "").strip())
    say(heading(weather))
    episode = live_through(weather, tell=lambda at, told: say(line(at, told)))
    perfect = live_through(weather, Perfect()) if weather.compared else None
    say("")
    missed = False
    for sample in measure(episode, perfect):
        if sample.trials:
            missed = missed or bool(sample.why)
            say(f"{'✗' if sample.why else '✓'} {GOOD[sample.figure]}{f': {sample.why}' if sample.why else ''}")
    for text in episode.failures[:5]:
        say(f"✗ a part of opsloop failed: {text}")
    return FAILED if missed or episode.failures else PASSED
