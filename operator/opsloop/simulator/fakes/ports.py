"""One fake of every port, ready for the composition root."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from opsloop.api.slo import DEFAULT_SOURCE
from opsloop.core.alert_rules import AlertRule
from opsloop.core.decision import Event
from opsloop.core.facts import Address
from opsloop.core.notify.routing import Routing
from opsloop.core.runbook.rights import Identity
from opsloop.errors import OpsloopError
from opsloop.shell.ports import Object, ObjectKey, Ports, Source, Telemetry
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from opsloop.simulator.fakes.gateway import Gateway
from opsloop.simulator.fakes.pager import FakePager
from opsloop.simulator.fakes.prober import FakeProber


class FakeAccess:
    """Access port: no token is valid, and every account may do everything unless `allows` is False."""

    def __init__(self) -> None:
        self.allows = True

    async def review_token(self, token: str, audience: str) -> Identity | None:
        return None

    async def may(self, verb: str, group: str, plural: str, namespace: str) -> bool:
        return self.allows

    async def allowed(self, who: Identity, verb: str, group: str, plural: str, namespace: str, name: str = "") -> bool:
        return self.allows


class FakeCaller:
    """Caller port. `called` lists (URL, key); `answers` are statuses or errors in turn, the last one again and again."""

    def __init__(self) -> None:
        self.called: list[tuple[str, str]] = []
        self.payloads: list[Object] = []
        self.answers: list[int | OpsloopError] = [200]

    async def call(self, address: Address, url: str, payload: Object, key: str) -> int:
        self.called.append((url, key))
        self.payloads.append(payload)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OpsloopError):
            raise answer
        return answer


@dataclass
class FakeLogs:
    """Logs port: the same text of every pod."""

    text: str = "done\n"

    async def tail(self, namespace: str, pod: str, lines: int) -> str:
        return "\n".join(self.text.splitlines()[-lines:])


class FakeEvents:
    """Events port. `posted` lists (object's name, reason)."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []

    async def post(self, obj: Object, event: Event) -> None:
        self.posted.append((obj["metadata"]["name"], event.reason))


class FakeInstruments:
    """Instruments port. `on_reconciled` is called after each reconcile with its key and result; `pages` counts calls."""

    def __init__(self) -> None:
        self.on_reconciled: Callable[[ObjectKey, str], None] = lambda key, result: None
        self.pages: Counter[tuple[str, str]] = Counter()
        self.queries: Counter[tuple[str, str]] = Counter()
        self.undelivered_at: dict[str, int] = {}
        self.aside: Counter[str] = Counter()
        self.incidents_deleted = 0
        self.corrections: Counter[str] = Counter()
        self.rollouts: Counter[tuple[str, str]] = Counter()
        self.commands: Counter[tuple[str, str]] = Counter()
        self.stages: Counter[tuple[str, str]] = Counter()
        self.entries_filed: list[float] = []
        self.rollbacks: Counter[tuple[str, str]] = Counter()
        self.holds: Counter[str] = Counter()
        self.checks: Counter[tuple[str, str]] = Counter()
        self.incidents: Counter[tuple[str, str]] = Counter()
        self.reached: list[tuple[str, float]] = []

    def reconciled(self, key: ObjectKey, result: str, seconds: float) -> None:
        self.on_reconciled(key, result)

    def stage(self, kind: str, stage: str, seconds: float) -> None:
        self.stages[kind, stage] += 1

    def filed(self, seconds: float) -> None:
        self.entries_filed.append(seconds)

    def asked(self, source: str, result: str, seconds: float) -> None:
        self.queries[source, result] += 1

    def page(self, receiver: str, action: str, result: str) -> None:
        self.pages[action, result] += 1

    def set_aside(self, what: str, count: int) -> None:
        self.aside[what] += count

    def correction(self, result: str) -> None:
        self.corrections[result] += 1

    def incident_deleted(self, namespace: str) -> None:
        self.incidents_deleted += 1

    def rollout_ended(self, namespace: str, release: str, result: str, seconds: float | None) -> None:
        self.rollouts[release, result] += 1

    def rollback_ended(self, namespace: str, release: str, result: str, seconds: float | None) -> None:
        self.rollbacks[release, result] += 1

    def check_ended(self, namespace: str, check: str, result: str) -> None:
        self.checks[check, result] += 1

    def hold_ended(self, namespace: str, reason: str, seconds: float) -> None:
        self.holds[reason] += 1

    def incident_opened(self, namespace: str, signal: str, severity: str) -> None:
        self.incidents[signal, severity] += 1

    def incident_reached(self, namespace: str, until: str, seconds: float) -> None:
        self.reached.append((until, seconds))

    def command_answered(self, command: str, reason: str) -> None:
        self.commands[command, reason] += 1

    def undelivered(self, receiver: str, count: int) -> None:
        self.undelivered_at[receiver] = count

    @property
    def pages_undelivered(self) -> int:
        return sum(self.undelivered_at.values())


@dataclass
class FakeRules:
    """RuleSource: `failure` is raised where it is set."""

    known: list[AlertRule] = field(default_factory=list)
    failure: OpsloopError | None = None

    async def rules(self) -> list[AlertRule]:
        if self.failure:
            raise self.failure
        return list(self.known)


@dataclass
class FakePorts:
    """All fakes around one cluster, each of which a test may look into."""

    cluster: FakeCluster
    telemetry: Telemetry
    clock: FakeClock = field(default_factory=FakeClock)
    access: FakeAccess = field(default_factory=FakeAccess)
    rules: FakeRules = field(default_factory=lambda: FakeRules())
    others: dict[str, Source] = field(default_factory=dict)  # sources beside the one of `telemetry` and `rules`
    prober: FakeProber = field(default_factory=FakeProber)
    pager: FakePager = field(default_factory=FakePager)
    routing: Routing = field(default_factory=Routing)
    caller: FakeCaller = field(default_factory=FakeCaller)
    logs: FakeLogs = field(default_factory=FakeLogs)
    events: FakeEvents = field(default_factory=FakeEvents)
    instruments: FakeInstruments = field(default_factory=FakeInstruments)
    gateway: Gateway | None = None  # the process's own way to the cluster, where it has one

    def ports(self) -> Ports:
        api = self.gateway or self.cluster
        return Ports(
            reader=api,
            writer=api,
            intake=self.gateway.unfenced() if self.gateway else self.cluster,
            watcher=api,
            access=self.access,
            sources={DEFAULT_SOURCE: Source(self.telemetry, self.rules), **self.others},
            prober=self.prober,
            pager=self.pager,
            routing=self.routing,
            caller=self.caller,
            logs=self.logs,
            events=self.events,
            clock=self.clock,
            instruments=self.instruments,
        )
