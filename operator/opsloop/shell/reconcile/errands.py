"""Webhooks and Jobs of Runbooks: makes them, and sees what came of them."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from opsloop.api.incident import Incident
from opsloop.api.meta import parse_time
from opsloop.core.actions import CallWebhook, EndJob, StartJob
from opsloop.core.facts import Address, Errand
from opsloop.core.release.rollout_state import WRITE_REFUSED
from opsloop.core.runbook.addresses import allowed, shown
from opsloop.core.runbook.job import job_name
from opsloop.core.runbook.ready import ADDRESS_NOT_ALLOWED
from opsloop.core.stop import STOPPED
from opsloop.errors import AlreadyExists, Forbidden, Invalid, NotFound, OpsloopError
from opsloop.shell.ports import JOBS, PODS, Caller, Clock, Logs, Object, ObjectKey, Reader, Writer

log = logging.getLogger(__name__)

LINES = 20  # of a Job's log
LONGEST = 2000  # characters of them
Key = tuple[str, str, str, int]
"""(namespace, Incident, type of the play, attempt)"""


@dataclass
class Errands:
    """Calls of one process, and refusals of Jobs. Nothing here is stored: what is not known is never called again."""

    reader: Reader
    writer: Writer
    logs: Logs
    caller: Caller
    clock: Clock
    on_change: Callable[[ObjectKey], None]
    addresses: tuple[Address, ...] = ()  # that Runbooks may call
    _known: dict[Key, Errand] = field(default_factory=dict)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def of(self, incident: Incident) -> Errand | None:
        """What is known of the errand of the play that runs; None where it is none, or nothing is known."""
        meta, last = incident.metadata, incident.status.plays[-1] if incident.status.plays else None
        if last is None or last.state != "Running" or last.type not in ("webhook", "job"):
            return None
        known = self._known.get((meta.namespace, meta.name, last.type, last.attempt))
        if known is not None or last.type == "webhook":
            return known
        return await self._job(incident, job_name(meta.name, last.step, last.attempt))

    def call(self, namespace: str, action: CallWebhook) -> None:
        """Begins the call; returns at once."""
        key = (namespace, action.incident, "webhook", action.attempt)
        if key in self._known:
            return
        self._known[key] = Errand("Going")
        task = asyncio.create_task(self._call(key, action), name=f"webhook-{action.incident}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def withhold(self, namespace: str, action: CallWebhook) -> None:
        """Notes that a Stop came before the call: it was surely not heard."""
        refused = Errand("Refused", "opsloop was stopped before it was called", self.clock.now(), reason=STOPPED)
        self._known.setdefault((namespace, action.incident, "webhook", action.attempt), refused)
        self.on_change(("Incident", namespace, action.incident))

    async def start(self, namespace: str, action: StartJob) -> None:
        """Creates the Job; one that is there stays. What the API server refuses for good is a fact of the next look."""
        try:
            await self.writer.create(JOBS, namespace, dict(action.body))
        except AlreadyExists:
            return
        except (Forbidden, Invalid) as error:
            log.warning("incident %s/%s: the Job was refused: %s", namespace, action.incident, error)
            refused = Errand("Refused", f"the Job was refused: {error}"[:500], self.clock.now(), reason=WRITE_REFUSED)
            self._known[namespace, action.incident, "job", action.attempt] = refused
        self.on_change(("Incident", namespace, action.incident))

    async def end(self, namespace: str, action: EndJob) -> None:
        """Deletes the Job with its pod; nothing where it is gone."""
        await self.writer.delete(JOBS, namespace, action.name)

    def forget(self, namespace: str, incident: str) -> None:
        """Forgets an Incident that was deleted."""
        for key in [key for key in self._known if key[:2] == (namespace, incident)]:
            del self._known[key]

    async def close(self) -> None:
        """Cancels the calls under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, key: Key, action: CallWebhook) -> None:
        address = allowed(self.addresses, action.url, key[0])
        if address is None:
            found = Errand(
                "Refused", f"{shown(action.url)} may not be called", self.clock.now(), reason=ADDRESS_NOT_ALLOWED
            )
        else:
            found = await self._answer(address, action)
        self._known[key] = found
        self.on_change(("Incident", *key[:2]))

    async def _answer(self, address: Address, action: CallWebhook) -> Errand:
        try:
            status = await self.caller.call(address, action.url, dict(action.payload), action.key)
        except Forbidden as error:
            return Errand("Refused", str(error)[:500], self.clock.now(), reason=ADDRESS_NOT_ALLOWED)
        except OpsloopError as error:
            return Errand("Failed", str(error)[:500], self.clock.now())
        if 200 <= status < 300:
            return Errand("Done", f"{shown(action.url)} answered {status}", self.clock.now())
        more = ", and redirects are not followed" if 300 <= status < 400 else ""
        return Errand("Failed", f"{shown(action.url)} answered {status}{more}", self.clock.now())

    async def _job(self, incident: Incident, name: str) -> Errand | None:
        """What became of the Job of this name, if it is the Incident's."""
        namespace = incident.metadata.namespace
        try:
            job = await self.reader.get(JOBS, namespace, name)
        except NotFound:
            return None
        except Forbidden as error:  # the right was taken away meanwhile: that must not keep the Incident from going on
            return Errand("Failed", f"Job {name} cannot be read: {error}"[:500], self.clock.now())
        owners = {owner.get("uid") for owner in job["metadata"].get("ownerReferences") or []}
        if incident.metadata.uid not in owners:
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
        return Errand("Failed", f"Job {name} failed: {why}"[:500], at, tail)

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
    for container in status.get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f"exit code {ended['exitCode']}"
    return ""
