"""Leader election by a Lease, and the fence that every write passes.

Rules that make it safe (docs/decisions/kopf-measured.md says why neither kubernetes.aio.leaderelection nor kopf's peering
is used):
a deadline on every call; a clock that no wall-clock jump moves; take over only after *we* saw the same (holder,
renewTime) for the whole duration; every PUT carries the resourceVersion; renewed = the time *before* the PUT; past the
deadline the process ends, checked at the top of the loop and right before every write.

A holder is a pod, by its uid, and a *session* on the Lease says which process of it. The kubelet starts a container only when
its predecessor is gone, so a new process takes the Lease of its own pod at once, under a session of its own; a process
that reads another session than its own ends, as it does where it reads another holder.
"""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from opsloop.errors import AlreadyExists, Conflict, LeadershipLost, NotFound
from opsloop.names import SESSION
from opsloop.shell.ports import LEASES, Object, Resource

LOST = 3  # exit code of a process that lost the Lease
SOONEST = 0.01  # seconds until the next look at a Lease that is about to be over
log = logging.getLogger("opsloop.leader")


class LeaseStore(Protocol):
    """The API server without a fence."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Raises NotFound where it does not exist."""
        ...

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Raises AlreadyExists where another replica was faster."""
        ...

    async def replace(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Raises Conflict where the resourceVersion is stale."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. `deadline` must be well below `duration`: the difference is the margin between two holders."""

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0  # between two renewals
    look: float = 1.5  # between two looks of a standby: so long nobody acts after the Lease was given back


@dataclass(frozen=True, slots=True)
class Identity:
    """Who holds a Lease: the pod, and which process of it."""

    pod: str
    session: str


def identity_of(pod: str, uid: str) -> Identity:
    """`pod_uid` and a session of this process; where no uid is known, no other process is taken for one of this pod."""
    session = uuid.uuid4().hex
    return Identity(f"{pod}_{uid or session}", session)


def boottime() -> float:
    """Seconds since boot, those in which the machine was suspended included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _session(lease: Object | None) -> str:
    return str((((lease or {}).get("metadata") or {}).get("annotations") or {}).get(SESSION) or "")


class Elector:
    """Holds the Lease. Run `run` as a task for as long as the process lives; call `release` after the workers have stopped."""

    def __init__(
        self,
        store: LeaseStore,
        namespace: str,
        name: str,
        identity: Identity,
        gained: Callable[[], None],
        timing: Timing = Timing(),
        clock: Callable[[], float] = boottime,
        die: Callable[[int], None] = os._exit,
    ) -> None:
        self._store, self._namespace, self._name, self._identity = store, namespace, name, identity.pod
        self._session = identity.session
        self._gained, self._timing, self._clock, self._die = gained, timing, clock, die
        self._lease: Object | None = None  # as last read or written; its resourceVersion goes into the next PUT
        self._other: tuple[str, str, str] | None = None  # (holder, session, renewTime) of another holder ...
        self._other_since = 0.0  # ... and since when exactly that was read
        self._renewed: float | None = None  # None: not leading
        self._released = False
        self._turning = asyncio.Lock()
        self._beat = clock()

    @property
    def leading(self) -> bool:
        """True while this process holds the Lease, by its own clock."""
        return self._held() and not self._late()

    @property
    def holder(self) -> str:
        """The holder as last read; "" = nobody."""
        return str(((self._lease or {}).get("spec") or {}).get("holderIdentity") or "")

    def alive(self) -> bool:
        """True if the loop of `run` turned lately, for /livez."""
        return self._clock() - self._beat < 2 * self._timing.duration

    def fence(self) -> None:
        """To be called right before every write. Raises LeadershipLost without the Lease; ends the process past the deadline."""
        if self._held() and self._late():
            self._end("not renewed in time")
        if not self._held():
            raise LeadershipLost(
                f"{self._identity} does not hold Lease {self._namespace}/{self._name} (holder: {self.holder or 'nobody'})"
            )

    async def run(self) -> None:
        """Acquires and renews the Lease until cancelled or released."""
        while not self._released:
            self._beat = now = self._clock()
            if self._held() and self._late():
                self._end("not renewed in time")
            try:
                async with self._turning, asyncio.timeout(self._patience(now)):
                    await self._turn()
            except (LeadershipLost, asyncio.CancelledError):
                raise
            except Exception as error:
                log.warning(
                    "lease %s/%s: turn failed: %s: %s", self._namespace, self._name, type(error).__name__, error
                )
            await asyncio.sleep(self._pause())

    async def release(self) -> None:
        """Gives the Lease back, so that another replica need not wait. All writers must have stopped; raises nothing."""
        self._released = True  # closes the fence first
        try:
            async with asyncio.timeout(self._timing.deadline / 3), self._turning:  # a renewal under way goes before
                if self._renewed is not None and self._lease is not None and not self._late():
                    await self._store.replace(LEASES, self._namespace, self._body(self._lease, ""))
        except Exception as error:
            log.warning("lease %s/%s not released: %s", self._namespace, self._name, error)
        self._renewed = None

    def _held(self) -> bool:
        return self._renewed is not None and not self._released

    def _late(self) -> bool:
        return self._renewed is not None and self._clock() >= self._renewed + self._timing.deadline

    def _patience(self, now: float) -> float:
        """Seconds for one turn: a third of the deadline, and never beyond the deadline itself."""
        third = self._timing.deadline / 3
        return third if self._renewed is None else max(0.001, min(third, self._renewed + self._timing.deadline - now))

    def _pause(self) -> float:
        """Seconds until the next turn: a standby's is at the very moment at which the Lease that it sees is over."""
        if self._renewed is not None:
            return max(0.0, min(self._timing.retry, self._renewed + self._timing.deadline - self._clock()))
        left = self._other_since + self._patience_with(self._lease) - self._clock()
        return min(self._timing.look, max(left, SOONEST)) if left > 0 else self._timing.look

    def _patience_with(self, lease: Object | None) -> float:
        """Seconds for which a Lease of another process has to be unchanged until it is over."""
        return max(self._timing.duration, float(((lease or {}).get("spec") or {}).get("leaseDurationSeconds") or 0))

    async def _turn(self) -> None:
        if self._released:
            return
        if self._renewed is None or self._lease is None:
            await self._look()
        else:
            await self._renew(self._lease)

    async def _renew(self, lease: Object) -> None:
        """Renews by one PUT. Where the answer to an earlier PUT was lost, the resourceVersion is stale: reads it, tries once more."""
        try:
            await self._write(lease)
        except NotFound:  # it was deleted; a standby that had read it waits before it creates one
            await self._write(None)
        except Conflict:
            fresh = await self._store.get(LEASES, self._namespace, self._name)
            if (holder := fresh["spec"].get("holderIdentity")) != self._identity:
                self._end(f"taken by {holder or 'nobody'}")
            if _session(fresh) != self._session:
                self._end("taken by another process of this pod")
            await self._write(fresh)

    async def _look(self) -> None:
        """Takes the Lease if it is free, was given back, or has not changed for its duration."""
        lease: Object | None
        try:
            lease = await self._store.get(LEASES, self._namespace, self._name)
        except NotFound:
            lease = None
        known, self._lease = self._other is not None, lease
        spec, now = (lease or {}).get("spec") or {}, self._clock()
        holder = spec.get("holderIdentity") or ""
        current = (holder, _session(lease), spec.get("renewTime") or "")
        if current != self._other:
            self._other, self._other_since = current, now
        free = not known if lease is None else holder in ("", self._identity)  # deleted under its holder: not free yet
        if free or now - self._other_since >= self._patience_with(lease):
            await self._write(lease)

    async def _write(self, lease: Object | None) -> None:
        """Acquires or renews; AlreadyExists and Conflict mean that another replica was faster."""
        before, gaining = self._clock(), self._renewed is None
        body = self._body(lease, self._identity)
        try:
            call = self._store.create if lease is None else self._store.replace
            self._lease = await call(LEASES, self._namespace, body)
        except (AlreadyExists, Conflict):
            if gaining:
                return  # the next turn reads the holder
            raise
        self._renewed = before
        if gaining and self.leading:
            log.info("lease %s/%s gained by %s, session %s", self._namespace, self._name, self._identity, self._session)
            self._gained()

    def _body(self, lease: Object | None, holder: str) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # for readers; no decision depends on it
        old = (lease or {}).get("spec") or {}
        changed = holder != (old.get("holderIdentity") or "") or (bool(holder) and _session(lease) != self._session)
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._timing.duration)),
            "acquireTime": now if changed else old.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (changed and bool(holder)),
        }
        metadata = dict((lease or {}).get("metadata") or {"name": self._name, "namespace": self._namespace})
        metadata.pop("managedFields", None)
        metadata["annotations"] = {**(metadata.get("annotations") or {}), SESSION: self._session}
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}

    def _end(self, why: str) -> None:
        """Ends the process, because another one may write by now. Returns only where `die` is a test's."""
        log.error("lease %s/%s lost: %s", self._namespace, self._name, why)
        self._renewed = None
        self._die(LOST)
        raise LeadershipLost(why)
