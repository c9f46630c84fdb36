"""Webhooks and Jobs of plays and checks: makes them, and sees what came of them."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.api.meta import parse_time
from opsloop.api.release import Release
from opsloop.core.actions import CallWebhook, EndJob, StartJob
from opsloop.core.errands.addresses import allowed, shown
from opsloop.core.errands.job import job_name
from opsloop.core.facts import Address, Errand
from opsloop.core.incident.errands import errand_of
from opsloop.core.release.rollout_state import WRITE_REFUSED
from opsloop.core.runbook.ready import ADDRESS_NOT_ALLOWED
from opsloop.core.stop import STOPPED
from opsloop.errors import AlreadyExists, Forbidden, Invalid, NotFound, OpsloopError
from opsloop.shell.ports import JOBS, PODS, Caller, Clock, Logs, Object, ObjectKey, Reader, Writer
from opsloop.shell.reconcile.manifests import is_owned

log = logging.getLogger(__name__)

LINES = 20  # of a Job's log
LONGEST = 2000  # characters of them
ENDED_BY_OTHERS = frozenset({128 + 9, 128 + 15})  # exit codes of SIGKILL and SIGTERM: a drained node, a limit of memory
LOOK = timedelta(seconds=5)  # a Job is not watched
Key = tuple[str, str, str, str]
"""(kind, namespace and name of who asked for it, the errand)"""


@dataclass
class Errands:
    """Calls of one process, and refusals of Jobs. Nothing here is stored: what is not known is never called again."""

    reader: Reader
    writer: Writer
    logs: Logs
    caller: Caller
    clock: Clock
    on_change: Callable[[ObjectKey], None]
    addresses: tuple[Address, ...] = ()  # that may be called
    _known: dict[Key, Errand] = field(default_factory=dict)
    _looked: dict[Key, datetime] = field(default_factory=dict)  # when a check's Job was last seen going on
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def of(self, incident: Incident) -> Errand | None:
        """What is known of the errand of the play that runs; None where it is none, or nothing is known."""
        meta, last = incident.metadata, incident.status.plays[-1] if incident.status.plays else None
        if last is None or last.state != "Running" or last.type not in ("webhook", "job"):
            return None
        known = self._known.get(("Incident", meta.namespace, meta.name, errand_of(last)))
        if known is not None or last.type == "webhook":
            return known
        return await self._job(meta.namespace, meta.uid, job_name(meta.name, last.step, last.attempt))

    async def of_checks(self, release: Release, running: Mapping[str, str], owner: str) -> dict[str, Errand]:
        """What is known of a Release's running errands, by errand; `running` has the names of their Jobs, empty for a webhook, and
        `owner` is the UID of their Jobs' owner. What was known of its other errands is forgotten. A Job that goes on is looked at
        every five seconds."""
        (namespace, name), found = release.key, dict[str, Errand]()
        self._drop(lambda key: key[:3] == ("Release", namespace, name) and key[3] not in running)
        for errand, job in running.items():
            key = ("Release", namespace, name, errand)
            known, looked = self._known.get(key), self._looked.get(key)
            if known is None and job and not (looked and self.clock.now() - looked < LOOK):
                known = await self._job(namespace, owner, job)
                if known is not None and known.state == "Going":
                    self._looked[key] = self.clock.now()
                elif known is not None:
                    self._known[key] = known
            elif known is None and job:
                known = Errand("Going")
            if known is not None:
                found[errand] = known
        return found

    def call(self, namespace: str, action: CallWebhook) -> None:
        """Begins the call; returns at once."""
        key = (action.kind, namespace, action.name, action.errand)
        before = self._known.get(key)
        if before is not None and (before.state == "Going" or not action.again):
            return
        self._known[key] = Errand("Going")
        task = asyncio.create_task(self._call(key, action), name=f"webhook-{action.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def withhold(self, namespace: str, action: CallWebhook) -> None:
        """Notes that a Stop came before the call: it was surely not heard."""
        refused = Errand("Refused", "opsloop was stopped before it was called", self.clock.now(), reason=STOPPED)
        self._known.setdefault((action.kind, namespace, action.name, action.errand), refused)
        self.on_change((action.kind, namespace, action.name))

    async def start(self, namespace: str, action: StartJob) -> None:
        """Creates the Job; one that is there stays. What the API server refuses for good is a fact of the next look."""
        try:
            await self.writer.create(JOBS, namespace, dict(action.body))
        except AlreadyExists:
            return
        except (Forbidden, Invalid) as error:
            kind = action.kind.lower()
            log.warning("%s %s/%s: the Job was refused: %s", kind, namespace, action.name, error)
            refused = Errand("Refused", f"the Job was refused: {error}"[:500], self.clock.now(), reason=WRITE_REFUSED)
            self._known[action.kind, namespace, action.name, action.errand] = refused
        self.on_change((action.kind, namespace, action.name))

    async def end(self, namespace: str, action: EndJob) -> None:
        """Deletes the Job with its pod; nothing where it is gone."""
        await self.writer.delete(JOBS, namespace, action.name)

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """Forgets an Incident or a Release that was deleted."""
        self._drop(lambda key: key[:3] == (kind, namespace, name))

    def _drop(self, is_of: Callable[[Key], bool]) -> None:
        for known in (self._known, self._looked):
            for key in [key for key in known if is_of(key)]:
                del known[key]

    async def close(self) -> None:
        """Cancels the calls under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, key: Key, action: CallWebhook) -> None:
        address = allowed(self.addresses, action.url, key[1])
        if address is None:
            found = Errand(
                "Refused", f"{shown(action.url)} may not be called", self.clock.now(), reason=ADDRESS_NOT_ALLOWED
            )
        else:
            found = await self._answer(address, action)
        self._known[key] = found
        self.on_change(key[:3])

    async def _answer(self, address: Address, action: CallWebhook) -> Errand:
        try:
            status = await self.caller.call(address, action.url, dict(action.payload), action.key)
        except Forbidden as error:
            return Errand("Refused", str(error)[:500], self.clock.now(), reason=ADDRESS_NOT_ALLOWED)
        except OpsloopError as error:
            return Errand("Failed", str(error)[:500], self.clock.now())
        if 200 <= status < 300:
            return Errand("Done", f"{shown(action.url)} answered {status}", self.clock.now(), code=status)
        more = ", and redirects are not followed" if 300 <= status < 400 else ""
        return Errand("Failed", f"{shown(action.url)} answered {status}{more}", self.clock.now(), code=status)

    async def _job(self, namespace: str, owner: str, name: str) -> Errand | None:
        """What became of the Job of this name, if it is its owner's (a UID)."""
        try:
            job = await self.reader.get(JOBS, namespace, name)
        except NotFound:
            return None
        except Forbidden as error:  # the right was taken away meanwhile: that must not keep the Incident from going on
            return Errand("Failed", f"Job {name} cannot be read: {error}"[:500], self.clock.now())
        if not is_owned(job, {owner}):
            text = f"Job {name} is somebody else's: it was there before opsloop's"
            return Errand("Refused", text, self.clock.now(), reason=WRITE_REFUSED)
        for condition in job.get("status", {}).get("conditions") or []:
            if condition.get("status") == "True" and condition["type"] in ("Complete", "Failed"):
                return await self._ended(namespace, name, condition)
        return Errand("Going")

    async def _ended(self, namespace: str, name: str, condition: Object) -> Errand:
        when = condition.get("lastTransitionTime")
        at = parse_time(when) if when else self.clock.now()
        pods = await self._pods(namespace, name)
        tail = await self._tail(pods)
        if condition["type"] == "Complete":
            return Errand("Done", f"Job {name} is complete", at, tail)
        why = _why(pods) or condition.get("message") or condition.get("reason") or "it says no reason"
        return Errand("Failed", f"Job {name} failed: {why}"[:500], at, tail, code=_exit_code(pods))

    async def _pods(self, namespace: str, name: str) -> list[Object]:
        return await self.reader.list(PODS, namespace, {"batch.kubernetes.io/job-name": name})

    async def _tail(self, pods: Sequence[Object]) -> str:
        """The end of the log of the Job's pod; why there is none, where it cannot be read."""
        if not pods:
            return "(it has no pod any more)"
        meta = pods[0]["metadata"]
        try:
            text = await self.logs.tail(meta["namespace"], meta["name"], LINES)
        except OpsloopError as error:
            return f"(its log cannot be read: {error})"[:200]
        clean = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
        return clean.strip()[-LONGEST:] or "(it wrote nothing)"


def _why(pods: Sequence[Object]) -> str:
    """Why the Job's pod failed, in Kubernetes' words or by its exit code; empty where nothing says."""
    status: Object = (pods[0].get("status") or {}) if pods else {}
    if status.get("phase") == "Failed" and status.get("reason"):
        return str(status.get("message") or status["reason"])
    ended = _terminated(status)
    if not ended.get("exitCode"):
        return ""
    said = ended.get("reason") or ""
    return f"exit code {ended['exitCode']}{f', {said}' if said not in ('', 'Error') else ''}"


def _exit_code(pods: Sequence[Object]) -> int | None:
    """The code with which the Job's container itself ended; None where something else ended it: a deadline, an eviction, a signal,
    a limit of memory, or that it could not be started."""
    status: Object = (pods[0].get("status") or {}) if pods else {}
    ended = _terminated(status)
    code = int(ended.get("exitCode") or 0)
    itself = ended.get("reason", "Error") == "Error" and code not in ENDED_BY_OTHERS and not status.get("reason")
    return code if code and itself else None


def _terminated(status: Object) -> Object:
    """How the pod's container ended; empty where it did not."""
    found = ((one.get("state") or {}).get("terminated") or {} for one in status.get("containerStatuses") or [])
    return next((ended for ended in found if ended.get("exitCode")), {})
