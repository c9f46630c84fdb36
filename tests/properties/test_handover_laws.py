"""Callers, a service and its database burn and recover in any order, seen late, with opsloop killed at any write: no page is lost.

`web` and `shop` need `answers`, which needs `catalog`. Each has one Incident, opened when it burns. The pager keeps alerts by
their key: a call opens one, a resolve ends it.
"""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opsloop.api.incident import Incident
from opsloop.core.actions import SendPage, WithdrawPage
from opsloop.core.facts import Delivery, IncidentFacts, ReleaseView
from opsloop.core.incident.decide import decide
from opsloop.core.incident.thread import calls
from opsloop.core.reported import Ledger
from opsloop.shell.notify.payload import payload
from tests.builders.correlation import at, incident, read_at, view
from tests.builders.objects import BURN

NEEDS = {"web": ("answers",), "shop": ("answers",), "answers": ("catalog",), "catalog": ()}
NAMES = tuple(NEEDS)


@dataclass
class Desk:
    """The cluster, one process of opsloop with its cache, and the pager."""

    now: float = 0.0
    burns: set[str] = field(default_factory=set)
    stored: dict[str, Incident] = field(default_factory=dict)
    cache: dict[str, Incident] = field(default_factory=dict)
    pending: dict[str, list[SendPage]] = field(default_factory=dict)  # by thread, in order
    delivered: dict[str, dict[int, dict[str, Delivery]]] = field(default_factory=dict)
    alerts: dict[str, bool] = field(default_factory=dict)  # key at the pager → open
    refused: set[str] = field(default_factory=set)  # threads of which the pager takes nothing now

    # the world

    def burn(self, name: str) -> None:
        """It burns; the correlator opens its Incident."""
        self.burns.add(name)
        number = 1 + sum(known.rpartition("-")[0] == name for known in self.stored)
        latest = self.stored.get(f"{name}-{number - 1}")
        if latest is None or not latest.is_open:
            made = incident(f"{name}-{number}", burn=BURN.dump(), detectedAt=at(self.now).isoformat(), release=name)
            spec = made.spec.model_copy(update={"signal": made.spec.signal.model_copy(update={"at": at(self.now)})})
            self.stored[f"{name}-{number}"] = made.model_copy(update={"spec": spec})

    def back(self, name: str) -> None:
        self.burns.discard(name)

    def _views(self) -> tuple[ReleaseView, ...]:
        views = (view(name, "fired" if name in self.burns else "healthy", needs) for name, needs in NEEDS.items())
        views = (replace(v, readings=replace(v.readings, onset=None)) for v in views)
        return read_at(at(self.now), tuple(views))

    # opsloop

    def watch(self, name: str) -> None:
        """The watch brings one object."""
        if name in self.stored:
            self.cache[name] = self.stored[name]

    def look(self, name: str, dies: str = "") -> None:
        """One reconcile on what is cached; it is killed before the write, or between that and the pager."""
        own = self.cache.get(name)
        if own is None:
            return
        views = self._views()
        root = next(v for v in views if v.release.metadata.name == own.spec.release)
        others = tuple(i for known, i in sorted(self.cache.items()) if known != name)
        page = own.status.page
        told = self.delivered.get(page.dedup_key, {}) if page else {}
        facts = IncidentFacts(own, root, views, others, (), (), Ledger(), "", deliveries=told)
        decision = decide(facts, at(self.now))
        if dies == "before":
            self.restart()
            return
        if decision.status is not None:
            if self.stored[name] is not own:
                return  # a conflict: what it looked at is old
            self.stored[name] = self.cache[name] = own.model_copy(update={"status": decision.status})
        if dies == "after":
            self.restart()
            return
        for action in decision.actions:
            if isinstance(action, SendPage):
                queue = self.pending.setdefault(action.thread, [])
                known = {a.message.number for a in queue} | self.delivered.get(action.thread, {}).keys()
                if action.message.number not in known:
                    queue.append(action)
            elif isinstance(action, WithdrawPage):
                self.pending[action.thread] = [
                    a for a in self.pending.get(action.thread, []) if a.message.number != action.number
                ]

    def deliver(self, thread: str) -> None:
        """The pager takes the next message of a thread."""
        queue = self.pending.get(thread, [])
        if not queue or thread in self.refused:
            return
        action = queue.pop(0)
        body = payload("shop", action, at(0))
        key = body["dedup_key"]
        if body["action"] == "trigger":
            assert key == thread or self.alerts.get(key) or key in self.refused, (
                f"{thread} calls in {key}, which has ended or never was"
            )
            self.alerts[body["dedup_key"]] = True
        elif body["action"] == "resolve" and body["dedup_key"] in self.alerts:
            assert not (others := self.calling(key) - {thread}), f"{thread} ends {key}, in which {others} call"
            self.alerts[body["dedup_key"]] = False
        self.delivered.setdefault(action.thread, {})[action.message.number] = {"pager": Delivery(at(self.now))}

    def calling(self, key: str) -> set[str]:
        """Threads of open Incidents that have called in this alert."""
        pages = [i.status.page for i in self.stored.values() if i.is_open and i.status.page is not None]
        return {page.dedup_key for page in pages if page.alert == key and calls(page)}

    def restart(self) -> None:
        """Killed, and started again: it lists anew, and knows nothing of what was delivered."""
        self.cache, self.pending, self.delivered = dict(self.stored), {}, {}

    def settle(self, seconds: int, late: frozenset[str] = frozenset(), dies: str = "") -> None:
        """Time passes: opsloop looks every few seconds, more often while much happens. What is `late` it looks at once at most, on an
        old cache, and is killed in that where `dies` says.
        """
        began = self.now
        while self.now < began + seconds:
            self.now += 2 if self.now - began < 10 else 20
            for name in list(self.stored):
                if name.rpartition("-")[0] in late:
                    if dies:
                        self.look(name, dies)
                        dies = ""
                    continue
                self.watch(name)
                self.look(name)
                self.watch(name)
            for thread in list(self.pending):
                self.deliver(thread)

    @property
    def open(self) -> set[str]:
        return {key for key, there in self.alerts.items() if there}


def _steps() -> st.SearchStrategy[tuple[str, str, str]]:
    what = st.sampled_from(
        ["burn", "burn", "back", "watch", "watch", "look", "look", "deliver", "time", "restart", "calm"]
    )
    return st.tuples(what, st.sampled_from(NAMES), st.sampled_from(["", "", "", "before", "after"]))


def play(desk: Desk, steps: list[tuple[str, str, str]]) -> None:
    for what, name, how in steps:
        recent = [known for known in desk.stored if known.rpartition("-")[0] == name]
        match what:
            case "burn":
                desk.burn(name)
            case "back":
                desk.back(name)
            case "time":
                desk.now += {"": 1, "before": 7, "after": 31}[how]
            case "calm":
                desk.settle({"": 4, "before": 40, "after": 400}[how])
            case "restart":
                desk.restart()
            case "deliver":
                for known in recent:
                    desk.deliver(f"uid-{known}")
            case _:
                for known in recent:
                    desk.watch(known) if what == "watch" else desk.look(known, how)


@pytest.mark.simulation
@given(st.lists(_steps(), max_size=60))
@settings(deadline=None, max_examples=50)
def test_whoever_burns_has_an_open_alert_within_the_bound_and_none_is_left_over(
    steps: list[tuple[str, str, str]],
) -> None:
    desk = Desk()
    play(desk, steps)
    for name in desk.burns:
        desk.burn(name)
    desk.settle(90)  # two scrapes here, ten seconds for a merged one, and as much again
    assert desk.open or not desk.burns, f"{desk.burns} burn, and the pager has nothing of it: {desk.alerts}"
    desk.burns.clear()
    desk.settle(400)
    assert all(not i.is_open for i in desk.stored.values())
    assert not desk.open, f"alerts that nobody ends: {desk.open}"


CHANGES = st.tuples(
    st.sampled_from(["burn", "burn", "burn", "back"]),
    st.sampled_from(NAMES),
    st.sampled_from([0, 2, 4, 12, 40, 120, 700]),  # seconds until the next one; harm ten minutes later is another one
    st.frozensets(st.sampled_from(NAMES), max_size=2),
    st.sampled_from(["", "", "before", "after"]),
)


@pytest.mark.simulation
@given(st.lists(CHANGES, min_size=2, max_size=7))
@example(  # harm that begins long after people were called is another one: both call, each in its own alert
    changes=[
        ("burn", "web", 700, frozenset(), ""),
        ("burn", "answers", 40, frozenset(), ""),
        ("back", "web", 700, frozenset(), ""),
    ]
)
@example(  # an alert that was ended, because its heir had called in another one, is called in by nobody
    changes=[
        ("burn", "web", 40, frozenset(), ""),
        ("burn", "answers", 40, frozenset({"web"}), ""),
        ("burn", "catalog", 40, frozenset(), ""),
    ]
)
@settings(deadline=None, max_examples=40)
def test_nobody_calls_in_an_alert_that_has_ended_or_ends_one_in_which_another_goes_on(
    changes: list[tuple[str, str, int, frozenset[str], str]],
) -> None:
    """The asserts are those of `Desk.deliver`, at each message."""
    desk = Desk()
    for what, name, seconds, late, dies in changes:
        desk.burn(name) if what == "burn" else desk.back(name)
        desk.settle(seconds, late, dies)
    desk.restart()
    for name in desk.burns:
        desk.burn(name)
    desk.settle(90)
    called = {key for key in desk.alerts if desk.calling(key)}
    assert called == desk.open, "each alert that is open has an open Incident that calls in it, and the other way round"
    for name in desk.burns:
        below = {name} | _all_needs(name)  # one that is back explains it until its windows are past that
        held = {
            i.spec.release
            for i in desk.stored.values()
            if i.is_open and i.status.page and i.status.page.alert in desk.open
        }
        assert below & held, f"{name} burns, and nobody was called for it or for what it needs"
    desk.burns.clear()
    desk.settle(400)
    assert not desk.open


@pytest.mark.parametrize("seconds", [0, 4, 40, 400])
@pytest.mark.parametrize("for_ever", [True, False])
def test_a_callers_first_call_that_the_pager_refuses_opens_nothing_after_the_root_went_on_in_its_alert(
    seconds: int, for_ever: bool
) -> None:
    """`seconds`: from the root's call until the pager takes the caller's thread again, if it does before all is over."""
    desk = Desk(refused={"uid-web-1"})
    desk.burn("web")
    desk.settle(40)
    assert not desk.alerts and desk.pending["uid-web-1"]
    desk.burn("answers")
    desk.settle(60)
    assert desk.open, "the root's call is taken, whichever alert it is made in"
    desk.settle(seconds)
    if not for_ever:
        desk.refused.clear()
    desk.settle(40)
    assert desk.open and len(desk.open) == 1
    desk.burns.clear()
    desk.settle(400)
    desk.refused.clear()
    desk.settle(400)
    assert not desk.open, f"nobody ends {desk.open}"


def _all_needs(name: str) -> set[str]:
    return set(NEEDS[name]).union(*map(_all_needs, NEEDS[name]))


@pytest.mark.simulation
@given(st.permutations(["web", "shop", "answers", "catalog"]), st.lists(st.integers(0, 120), min_size=4, max_size=4))
@example(order=["web", "shop", "answers", "catalog"], waits=[0, 1, 0, 0])  # by way of one that called nobody
@settings(deadline=None, max_examples=50)
def test_one_fault_that_is_read_in_any_order_is_one_alert(order: list[str], waits: list[int]) -> None:
    desk = Desk()
    for name, wait in zip(order, waits, strict=True):
        desk.burn(name)
        desk.settle(wait)
    desk.settle(90)
    roots = {i.metadata.name for i in desk.stored.values() if i.is_open}
    assert roots == {"catalog-1"}
    assert len(desk.open) <= 2, "web and shop may both have been called for before anything told of their root"
    needed = ["web", "shop"] if order[:2] in (["web", "shop"], ["shop", "web"]) else []
    assert len(desk.alerts) <= max(1, len(needed)), f"{desk.alerts} in order {order}"
    desk.burns.clear()
    desk.settle(400)
    assert not desk.open
