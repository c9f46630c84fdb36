"""Thousands of wrong bodies and objects against one operator: whatever they are, the next alert is filed.

Bodies go to the real server on localhost. Objects lie in an API server in memory, which holds them to no schema: so they are
worse than what an API server lets in.
"""

import asyncio
import copy
import json
import random
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from opsloop.core.codec import ENTRY, LEDGER, QUEUE, decode_ledger, dump_alert, dump_ticket, pack
from opsloop.core.reported import Alert
from opsloop.core.runbook.rights import Identity
from opsloop.entry import openapi
from opsloop.entry.http_server import in_json, listen
from opsloop.entry.intake_http import intake_routes
from opsloop.entry.settings import Settings
from opsloop.entry.wiring import Operator
from opsloop.errors import Invalid, OpsloopError
from opsloop.names import INBOX, TICKET_QUEUE, TICKETS
from opsloop.names import LEDGER as LEDGER_LABEL
from opsloop.shell.intake.inbox import Inbox
from opsloop.shell.ports import CONFIGMAPS, Object
from opsloop.shell.reconcile.reconciler import reconcile
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from opsloop.simulator.fakes.ports import FakeAccess, FakePorts
from opsloop.simulator.loop import LeapLoop, run
from tests.builders import yamls
from tests.builders.correlation import NOW, alert, ticket
from tests.fakes.telemetry import FakeTelemetry
from tests.poison.mutations import mutated, sent
from tests.sim.shift import Shift

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "shell" / "intake" / "cases"
PAYLOADS = ROOT / "tests" / "core" / "tickets" / "desks"
EACH = 50  # bodies or objects in one namespace, before the good alert that has to be filed
HANGS = 15.0  # seconds
TICKET = {
    "id": "HD-1",
    "subject": "Wrong answers",
    "body": "since this morning",
    "example": {"asked": "a", "expected": "b"},
}
OWNED = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
)  # the API server sees to these itself
KEPT = (("kind",), ("metadata",), *(("metadata", field) for field in OWNED))


@dataclass
class Outcome:
    """What became of them."""

    sent: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)  # exceptions of one object's own reconcile
    wrong: list[str] = field(default_factory=list)  # what must not be
    seconds: float = 0.0

    def __str__(self) -> str:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        answers = ", ".join(f"{count} × {status}" for status, count in sorted(self.answers.items()))
        faults = f"; faults of their own: {dict(self.faults.most_common(5))}" if self.faults else ""
        return f"{self.sent} in {self.seconds:.0f} s: {answers}; {len(self.wrong)} wrong{faults}; peak memory of the process {peak} MiB"


class Anybody(FakeAccess):
    """Every token is valid."""

    async def review_token(self, token: str, audience: str) -> Identity | None:
        return Identity("system:serviceaccount:shop:sender")


class Rig:
    """One operator over an API server in memory; reconciles are asked for one by one."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome, self.clock = outcome, FakeClock(NOW)
        self.cluster = FakeCluster(clock=self.clock)
        self.operator = Operator(FakePorts(self.cluster, FakeTelemetry(), self.clock).ports(), Settings())
        self.runtime = self.operator.runtime
        self.inbox = Inbox(self.cluster, self._stored, window=0.0)

    def _stored(self, namespace: str, names: Any) -> None:
        for name in names:
            self.runtime.inbox.expect(namespace, name)

    async def file(self, namespace: str) -> None:
        """One good alert is stored and filed, whatever else is there."""
        good = alert("Good", f"good-{namespace}", severity="critical")
        await self.inbox.put_alerts(namespace, [good])
        for _ in range(4):
            try:
                async with asyncio.timeout(HANGS * 4):
                    await reconcile(self.runtime, ("Namespace", namespace, namespace))
            except Exception as error:
                self.outcome.faults[f"Namespace: {type(error).__name__}: {error!s:.80}"] += 1
            self.clock.advance(11)
        found = [
            o
            for (plural, ns, _), o in self.cluster._objects.items()
            if (plural, ns) == (CONFIGMAPS.plural, namespace)
            and (o["metadata"].get("labels") or {}).get(LEDGER_LABEL)
            and _holds(o, good)
        ]
        if not found:
            self.outcome.wrong.append(f"namespace {namespace} is stopped")


def _holds(ledger: Object, good: Alert) -> bool:
    """True where this alert is filed in the ledger, whichever Incident it was found to belong to."""
    try:
        return any(a.fingerprint == good.fingerprint for a in decode_ledger(ledger.get("binaryData") or {}).alerts)
    except Invalid:
        return False


async def bodies(count: int, seed: int) -> Outcome:
    """Wrong bodies, over HTTP."""
    outcome, dice = Outcome(), random.Random(seed)
    rig = Rig(outcome)
    seeds = [
        json.loads((CASES / name).read_text())
        for name in ("10-labels.json", "grafana-managed.json", "huge-annotation-batch.json")
    ]
    desks: list[tuple[str, Any]] = [
        (f"tickets/{name}", json.loads((PAYLOADS / f"{name}.json").read_text()))
        for name in ("github", "jira", "zendesk")
    ]
    desks += [("tickets/mail", (PAYLOADS / name).read_bytes()) for name in ("mail.eml", "away.eml")]
    app = web.Application(middlewares=[in_json(openapi.routes)])
    app.add_routes(intake_routes(Anybody(), rig.inbox))
    server = await listen(app, 0, "127.0.0.1")
    started = time.monotonic()
    async with ClientSession(f"http://127.0.0.1:{server.port}", timeout=ClientTimeout(total=HANGS)) as client:
        for n in range(count):
            namespace = f"shop-{n // EACH}"
            route, value = dice.choice(
                [
                    ("tickets", TICKET),
                    *desks,
                    *(("alerts", body) for body in seeds),
                    ("api/v2/alerts", seeds[0]["alerts"]),
                ]
            )
            data, headers = sent(value if isinstance(value, bytes) else mutated(value, dice), dice)
            await _send(client, f"/v1/namespaces/{namespace}/{route}", data, headers, outcome)
            if n % EACH == EACH - 1 or n == count - 1:
                await rig.file(namespace)
                rig.cluster._objects.clear()
                rig.runtime.ledgers.forget(namespace)
    await server.cleanup()
    outcome.seconds = time.monotonic() - started
    return outcome


async def _send(client: ClientSession, path: str, data: bytes, headers: dict[str, str], outcome: Outcome) -> None:
    outcome.sent += 1
    try:
        async with client.post(path, data=data, headers={"Authorization": "Bearer t", **headers}) as answer:
            await answer.read()
            outcome.answers[answer.status] += 1
            if answer.status >= 500 and not (answer.status == 503 and "Retry-After" in answer.headers):
                outcome.wrong.append(f"{answer.status} for {data[:300]!r}")
    except TimeoutError:
        outcome.wrong.append(f"no answer within {HANGS:.0f} s for {data[:300]!r}")
    except (ClientError, ValueError) as error:  # a head that the client itself does not send
        outcome.answers[0] += 1
        if not isinstance(error, ValueError):
            outcome.wrong.append(f"{error!r} for {data[:300]!r}")


def _examples() -> list[Object]:
    files = ("release", "incident", "runbook", "evalcase")
    texts = ((ROOT / "docs" / "examples" / f"{name}.yaml").read_text() for name in files)
    kinds = [item for text in texts for item in yamls.load_all(text) if item["apiVersion"].startswith("opsloop.dev")]
    alerts, one = [dump_alert(alert("A", "web"))], dump_ticket(ticket("Wrong answers"))
    queued = one | {"category": "bug", "severity": "sev3", "route": "web"}
    contents = (
        ("opsloop-inbox-x", INBOX, "true", ENTRY, {"alerts": alerts, "tickets": [one]}),
        ("answers-1-ledger", LEDGER_LABEL, "answers-1", LEDGER, {"alerts": alerts, "tickets": []}),
        (TICKET_QUEUE, TICKETS, "true", QUEUE, {"tickets": [queued]}),
    )
    maps = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": n, "labels": {label: v}},
            "binaryData": {key: content},
        }
        for n, label, v, key, content in contents
    ]
    return [*kinds, *maps]


def played() -> list[Object]:
    """Everything of the four kinds that was ever stored in one shift, from a bad version to its fix."""
    found: list[Object] = []
    shift = Shift()
    laws = shift.shop.cluster.on_store

    def keep(stored: Object) -> None:
        laws(stored)
        if stored["kind"] in ("Release", "Incident", "Runbook", "EvalCase"):
            found.append(copy.deepcopy(stored))

    shift.shop.cluster.on_store = keep
    run(shift.play(), LeapLoop())
    return found


async def objects(count: int, seed: int) -> Outcome:
    """Wrong objects of the four kinds, and wrong ConfigMaps of opsloop's own, beside a shift that has ended well."""
    stored = await asyncio.to_thread(played)  # in a loop of its own, in fake time
    outcome, dice, examples = Outcome(), random.Random(seed), (_examples(), stored)
    rig, started = Rig(outcome), time.monotonic()
    for n in range(count):
        namespace = f"shop-{n // EACH}"
        if n % EACH == 0:
            for whole in {(one["kind"], one["metadata"]["name"]): one for one in stored}.values():
                sound = {**whole, "metadata": {**whole["metadata"], "namespace": namespace}}
                rig.runtime.cache.put(whole["kind"], rig.cluster.seed(copy.deepcopy(sound)))
        await _put(rig, namespace, n, _wrong(dice.choice(dice.choice(examples)), namespace, dice))
        if n % EACH == EACH - 1 or n == count - 1:
            await rig.file(namespace)
            rig = Rig(outcome)
    outcome.seconds = time.monotonic() - started
    return outcome


def _wrong(example: Object, namespace: str, dice: random.Random) -> Object:
    kept = KEPT if example["kind"] != "ConfigMap" else (*KEPT, ("metadata", "labels"), ("binaryData",))
    whole = {**example, "metadata": {**example["metadata"], "namespace": namespace}}
    body: Object = mutated(whole, dice, kept)
    if example["kind"] == "ConfigMap":
        for key, content in body.get("binaryData", {}).items():
            body["binaryData"][key] = pack(_storable(content)) if dice.random() < 0.9 else "H4sIAAAA"
    return body


def _storable(content: Any) -> Any:
    """Without what cannot be encoded at all."""
    return json.loads(json.dumps(content).replace("\\ud800", "?"))


async def _put(rig: Rig, namespace: str, n: int, body: Object) -> None:
    rig.outcome.sent += 1
    kind = body["kind"]
    if kind != "ConfigMap":
        body["metadata"]["name"] = f"{body['metadata']['name']}-{n}"
    stored = rig.cluster.seed(body)
    if kind == "ConfigMap":
        rig.runtime.inbox.expect(namespace)
        if CONFIGMAPS.kind == kind and TICKET_QUEUE in body["metadata"]["name"]:
            rig.runtime.ledgers.forget(namespace)
        return
    try:
        rig.runtime.cache.put(kind, stored)
        async with asyncio.timeout(HANGS):
            await reconcile(rig.runtime, (kind, namespace, stored["metadata"]["name"]))
    except OpsloopError:
        pass
    except TimeoutError:
        rig.outcome.wrong.append(f"{kind} hangs: {json.dumps(body)[:300]}")
    except Exception as error:  # it stops this object, and no other one
        rig.outcome.faults[f"{kind}: {type(error).__name__}: {error!s:.80}"] += 1
