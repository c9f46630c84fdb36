"""What was done to a world, by opsloop or by a judge in its place: targets, rollbacks, blocks, pages, Incidents."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from opsloop.api.meta import parse_time
from opsloop.shell.ports import Object

ACTIVE: Final = ("Dark", "Stepping", "Promoting")
ENDING: Final = ("Mitigated", "Resolved")
SAID: Final = {
    "Dark": "starts as a canary in the dark: no user sees it",
    "Promoting": "has passed: the Deployment gets its template",
    "Promoted": "is live, promoted",
}


@dataclass(slots=True)
class TargetRun:
    """One try of a version as a canary."""

    service: str
    version: str
    digest: str
    started: float
    promoting: float | None = None
    ended: float | None = None
    state: str = "Dark"
    reason: str = ""
    held: str = ""  # reason of its last hold


@dataclass(frozen=True, slots=True)
class Rollback:
    """A version was taken back from live."""

    at: float
    service: str
    version: str
    to: str


@dataclass(frozen=True, slots=True)
class PlayEnd:
    """A play on a service is over."""

    at: float
    service: str
    type: str
    state: str
    reason: str
    effect: float | None  # when it was in effect


@dataclass(frozen=True, slots=True)
class Block:
    """A version may not be shipped again."""

    at: float
    service: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class PageSent:
    """A delivery to the pager."""

    at: float
    incident: str
    key: str
    what: str  # severity and, where the payload says it, which turn of its life
    ends: bool = False  # it only says that the harm is over


@dataclass(slots=True)
class IncidentRun:
    """One Incident."""

    service: str
    open: list[tuple[float, float]]  # (from, to) each time that it was not resolved; infinity where it still is
    phase: str = "Open"
    back: list[float] = field(
        default_factory=list
    )  # each time that it was harmed again after it was Mitigated or Resolved

    def move(self, phase: str, at: float) -> None:
        """It is in this phase from now on."""
        if self.phase in ENDING and phase not in ENDING:
            self.back.append(at)
        if phase == "Resolved":
            self.open[-1] = (self.open[-1][0], at)
        elif self.phase == "Resolved":
            self.open.append((at, inf))
        self.phase = phase


@dataclass(slots=True)
class Record:
    """`tell` gets a line for each of them."""

    now: Callable[[], float]
    tell: Callable[[str], None] = lambda _: None
    targets: list[TargetRun] = field(default_factory=list)
    rollbacks: list[Rollback] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    plays: list[PlayEnd] = field(default_factory=list)
    pages: list[PageSent] = field(default_factory=list)
    incidents: dict[str, IncidentRun] = field(default_factory=dict)
    unrest: list[str] = field(default_factory=list)  # what was not at rest an hour after the last event

    def paged(self, payload: Object) -> None:
        """The pager answered 2xx."""
        what = " ".join(str(payload[k]) for k in ("status", "event", "action", "reason", "severity") if payload.get(k))
        ends = payload.get("action") == "resolve"
        self.pages.append(PageSent(self.now(), payload.get("incident", ""), payload.get("dedup_key", ""), what, ends))
        self.tell(f"PAGE {payload.get('incident')} {what}: {payload.get('title')}")

    def rolled_back(self, service: str, version: str, to: str) -> None:
        """A version was taken back from live."""
        self.rollbacks.append(Rollback(self.now(), service, version, to))
        self.tell(f"rollback of {version} to {to}")

    def blocked(self, service: str, version: str, reason: str) -> None:
        """A version was blocked."""
        self.blocks.append(Block(self.now(), service, version, reason))
        self.tell(f"{version} is blocked: {reason}")

    def target(self, service: str, version: str, digest: str, state: str, reason: str, message: str) -> None:
        """A target is in this state now."""
        run = next((t for t in reversed(self.targets) if (t.service, t.digest) == (service, digest)), None)
        if run is None or run.ended is not None:
            if state not in ACTIVE:
                if run is None or (run.state, run.reason) != (state, reason):
                    self.targets.append(
                        TargetRun(service, version, digest, self.now(), None, self.now(), state, reason)
                    )
                    if reason != "SpecBackToLive":
                        self.tell(f"{version} is {state.lower()} ({reason}): {message}"[:300])
                return
            run = TargetRun(service, version, digest, self.now())
            self.targets.append(run)
        elif run.state == state:
            return
        run.state, run.reason = state, reason
        if state == "Promoting":
            run.promoting = self.now()
        if state not in ACTIVE:
            run.ended = self.now()
        if state in SAID:
            self.tell(f"{version} {SAID[state]}")
        elif state not in ACTIVE:
            self.tell(f"{version} is {state.lower()} ({reason}): {message}"[:300])


class Watcher:
    """Fills a Record from what opsloop stores."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._seen: dict[str, Any] = {}

    def __call__(self, obj: Object) -> None:
        """An object was stored."""
        if obj["kind"] == "Release":
            self._release(obj["metadata"]["name"], obj.get("status", {}))
        elif obj["kind"] == "Incident":
            self._incident(obj)

    def _release(self, name: str, status: Object) -> None:
        versions = {r["digest"]: r["version"] for r in status.get("revisions", ())}
        if target := status.get("target"):
            mark = (target["digest"], target["state"], target.get("reason"), target.get("startedAt"))
            if self._seen.get(f"{name} target") != mark:
                self._seen[f"{name} target"] = mark
                message = target.get("message", "")
                args = (target["version"], target["digest"], target["state"], target.get("reason", ""), message)
                self.record.target(name, *args)
            step = (target["digest"], target.get("weight"))
            if target["state"] == "Stepping" and self._seen.get(f"{name} step") != step:
                self._seen[f"{name} step"] = step
                self.record.tell(f"{target['version']}: weight {target.get('weight')} %, {target.get('pods')} pods")
            self._held(name, target, status)
        if (rollback := status.get("rollback")) and rollback["state"] != "Refused":
            key = f"{name} rollback {rollback['incident']} {rollback['attempt']}"
            if key not in self._seen:
                self._seen[key] = True
                origin, to = (versions.get(rollback[k], rollback[k]) for k in ("fromDigest", "toDigest"))
                self.record.rolled_back(name, origin, to)
        for revision in status.get("revisions", ()):
            self._block(name, revision)

    def _held(self, name: str, target: Object, status: Object) -> None:
        """The reason why the target is held, in the record and, where it is new, in the story."""
        held = next((c for c in status.get("conditions", ()) if c["type"] == "Held" and c["status"] == "True"), None)
        run = next(
            (t for t in reversed(self.record.targets) if (t.service, t.digest) == (name, target["digest"])), None
        )
        reason = held["reason"] if held else ""
        if run is None or run.held == reason:
            return
        run.held = reason
        if held and target["state"] in ACTIVE and reason != "WaitingForPods":
            self.record.tell(f"{target['version']} is held ({reason}): {held.get('message', '')}"[:250])

    def _block(self, name: str, revision: Object) -> None:
        key, blocked = f"{name} blocked {revision['digest']}", revision.get("blocked")
        before = self._seen.get(key)
        at = blocked["at"] if blocked else None
        if at != before:
            self._seen[key] = at
            if blocked:
                self.record.blocked(name, revision["version"], blocked["reason"])
            else:
                self.record.tell(f"{revision['version']} is not blocked any more")

    def _incident(self, obj: Object) -> None:
        name, status = obj["metadata"]["name"], obj.get("status", {})
        run = self.record.incidents.get(name)
        if run is None:
            run = self.record.incidents[name] = IncidentRun(obj["spec"].get("service", ""), [(self.record.now(), inf)])
            signal = obj["spec"]["signal"]
            self.record.tell(f"Incident {name} opens ({signal['severity']}): {signal.get('message', '')}"[:250])
        phase = status.get("phase", "Open")
        if phase != run.phase:
            run.move(phase, self.record.now())
            self.record.tell(f"{name}: {phase}")
        cause = status.get("cause")
        if cause and self._seen.get(f"{name} cause") != (cause["kind"], cause.get("version"), cause.get("reason")):
            self._seen[f"{name} cause"] = (cause["kind"], cause.get("version"), cause.get("reason"))
            version, sure = cause.get("version") or cause.get("object", ""), cause.get("confidence", 0)
            self.record.tell(f"{name}: cause {cause['kind']} {version} {cause.get('reason', '')} ({sure:.0%})")
        for play in status.get("plays", ()):
            key = f"{name} {play['type']} {play['attempt']} {play['step']}"
            if self._seen.get(key) != play["state"]:
                self._seen[key] = play["state"]
                self._play(obj["spec"].get("service", ""), play)
                self.record.tell(f"{name}: {play['type']}-{play['attempt']} {play['state']} {play.get('reason', '')}")

    def _play(self, service: str, play: Object) -> None:
        """Notes the end of a play."""
        if play["state"] in ("Requested", "Running"):
            return
        now, effect, ended = self.record.now(), play.get("effectAt"), play.get("endedAt")
        ago = (parse_time(ended) - parse_time(effect)).total_seconds() if effect and ended else None
        took = None if ago is None else now - ago
        self.record.plays.append(PlayEnd(now, service, play["type"], play["state"], play.get("reason", ""), took))
