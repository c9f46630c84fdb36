"""The world outside of opsloop: Kubernetes, users, Prometheus, Alertmanager and people, step by step in fake time."""

import asyncio
import collections
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Final

from opsloop.core.codec import encode_entries
from opsloop.core.facts import ProbeReply
from opsloop.core.reported import Alert, Ticket
from opsloop.errors import Unavailable
from opsloop.names import CANARY, GATE, INBOX
from opsloop.shell.ports import CONFIGMAPS, DEPLOYMENTS, PODS, RELEASES, Object, Resource, Sample, Series
from opsloop.simulator import history
from opsloop.simulator.alerting import Alerting
from opsloop.simulator.answers import answer
from opsloop.simulator.fakes.gateway import Weak
from opsloop.simulator.fakes.prober import Asked, FakeProber
from opsloop.simulator.kube.cluster import WatchedCluster
from opsloop.simulator.kube.controllers import Controllers
from opsloop.simulator.kube.pods import Image, is_ready, is_true
from opsloop.simulator.kube.routes import NOBODY, accept, receivers
from opsloop.simulator.loop import LeapClock
from opsloop.simulator.prometheus.store import Store, milliseconds
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from opsloop.simulator.scraping import Scraper
from opsloop.simulator.service import Counter, Service, Tally, Traffic

NS: Final = "shop"
STEP: Final = 5  # seconds
AGE: Final = timedelta(days=4)  # of what runs when the simulation begins


def image(version: str) -> str:
    """The image of a version; its tag names it."""
    return f"registry.example/app:{version}"


def version_of(pod_or_template: Object) -> str:
    """The version that a pod or template runs, without a digest that admission added."""
    name: str = pod_or_template["spec"]["containers"][0]["image"]
    return name.partition("@")[0].rpartition(":")[2]


class Telemetry(ModelTelemetry):
    """The port over the model; unavailable while Prometheus is down."""

    down: Callable[[], bool] = staticmethod(lambda: False)

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        """As the port says."""
        self._refuse()
        return await super().instant(query, at)

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        """As the port says."""
        self._refuse()
        return await super().range(query, start, end, step)

    async def samples(self, query: str, at: datetime) -> list[Series]:
        """As the port says."""
        self._refuse()
        return await super().samples(query, at)

    def _refuse(self) -> None:
        if self.down():
            raise Unavailable("connection refused")


@dataclass(slots=True)
class Shared:
    """Errors that all versions of a service have for a while; or requests that are slow, where it says so."""

    service: str  # "" for every service
    ratio: float
    until: float
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Leaving:
    """A pod that was deleted and still answers: endpoints are late, clients keep connections, it drains."""

    name: str
    service: str
    version: str
    ip: str
    until: float


@dataclass(slots=True)
class Later:
    """Something that happens at a time."""

    at: float
    do: Callable[[], None] = field(compare=False)


class World:
    """One namespace of services. Made inside of the loop whose time it runs in; time 0 is `start`."""

    def __init__(
        self, seed: int, start: datetime, services: tuple[Service, ...], live: dict[str, str], labelled: bool = True
    ) -> None:
        """`live` names the version that each service runs from the start; `labelled`: metrics name the version."""
        self.random, self.start, self.services, self.labelled = Random(seed), start, services, labelled
        loop = asyncio.get_running_loop()
        self.now: Callable[[], float] = loop.time
        self.clock = LeapClock(loop, start - AGE)
        self.cluster = WatchedCluster(self.clock)
        self.controllers = Controllers(self.cluster, self.clock, NS, self._image, self.now, self._rng("kube"))
        self.cluster.on_store = self._stored
        self.cluster.on_gone = self._deleted
        self.watchers: list[Callable[[Object], None]] = []
        self.store = Store()
        begin = milliseconds(start)
        thresholds = {s.name: s.timing.threshold for s in services if s.timing}
        self.scraper = Scraper(self.store, NS, begin, self._rng("scrapes"), thresholds)
        self.telemetry = Telemetry(self.store, self.clock)
        self.telemetry.down = lambda: self.scraper.weakness.down
        self.prober, self.asked = FakeProber(), collections.Counter[tuple[str, str]]()  # (app, version) → eval requests
        midnight = float(start.hour * 3600 + start.minute * 60 + start.second)
        self.traffic = {
            s.name: Traffic(s, self._rng(s.name), midnight, clock=Random(f"clock {seed} {s.name}")) for s in services
        }
        self.alerting = Alerting(services)
        self.on_ship: Callable[[str, str], None] | None = None
        self.story: list[tuple[float, str]] = []
        self.on_tell: Callable[[float, str], None] = lambda at, text: None
        self.after_step: list[Callable[[], None]] = []
        self.shared: list[Shared] = []
        self.drain = 0.0  # seconds for which a deleted pod goes on answering, and is scraped
        self._leaving: dict[str, Leaving] = {}
        self.api = Weak()
        self.orders: list[str] = []  # what happens to the operator's replicas: "kill", "start", "depose"
        self._later: list[Later] = []
        self._inbox = itertools.count(1)
        self._pods: dict[str, list[tuple[str, str]]] | None = None
        self._shares: dict[str, dict[str, float]] = {}  # Service → pod → share, of Services behind a route
        self._build(live, begin, midnight)

    def _rng(self, name: str) -> Random:
        return Random(f"{self.random.random()} {name}")

    def _build(self, live: dict[str, str], begin: int, midnight: float) -> None:
        for service in self.services:
            if service.settings:
                self.configure(service.settings, "helm")
            self.cluster.seed(deployment(service, live[service.name]))
            selector = {"app": service.name}
            meta = {"name": service.name, "namespace": NS}
            self.cluster.seed({"kind": "Service", "metadata": meta, "spec": {"selector": selector}})
        self._settling = True
        for _ in range(5):
            self.controllers.touch()
            self.controllers.step()
        self._settling = False
        self.clock.advance(AGE.total_seconds())
        for service in self.services:
            pods = {}
            for name, version in self.pods_of(service.name):
                stored = self.cluster.find(PODS, NS, name)
                assert stored is not None
                target = self.scraper.target(name, service.name, self._label(stored), self.controllers.ip(name))
                pods[name] = (self.scraper.offset(name, STEP), target.labels)
                self.traffic[service.name].first_request[version] = -AGE.total_seconds()
            errors = service.versions[live[service.name]].errors
            random = self._rng("history")
            self.traffic[service.name].counters = history.fill(
                self.store, begin, service, pods, errors, midnight, random
            )
            if service.timing is not None:
                slow = service.versions[live[service.name]].slow
                history.fill_times(self.store, begin, service.timing, pods, slow, self.traffic[service.name])
        self.store.advance(begin)

    def _image(self, name: str) -> Image:
        if self._settling:
            return Image(starts=0.0)
        tag = name.partition("@")[0].rpartition(":")[2]
        return next((s.versions[tag].image for s in self.services if tag in s.versions), Image())

    # time

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Something that happens then."""
        self._later.append(Later(seconds, do))
        self._later.sort(key=lambda later: later.at)

    def start_plus(self, seconds: float) -> datetime:
        """Wall time so many seconds after the start."""
        return self.start + timedelta(seconds=seconds)

    def tell(self, text: str) -> None:
        """A line of the story."""
        self.story.append((self.now(), text))
        self.on_tell(self.now(), text)

    def step(self) -> None:
        """The last `STEP` seconds: users first, then what happens now, controllers, scrapes and alerts."""
        now = self.now()
        self._leaving = {name: pod for name, pod in self._leaving.items() if pod.until > now}
        leaving = self._leaving.values()
        ready = {
            s.name: [*self.pods_of(s.name), *((p.name, p.version) for p in leaving if p.service == s.name)]
            for s in self.services
        }
        if now:
            self._serve(now, ready)
        while self._later and self._later[0].at <= now:
            self._later.pop(0).do()
        self.shared = [fault for fault in self.shared if fault.until > now]
        self.controllers.step()
        accept(self.cluster)
        self.scraper.scrape(now, STEP, self._processes())
        self._alert(now)
        for look in self.after_step:
            look()

    def _serve(self, now: float, ready: dict[str, list[tuple[str, str]]]) -> None:
        for service in self.services:
            fine = quick = 1.0
            for fault in self.shared:
                if fault.service in ("", service.name):
                    fine, quick = (fine, quick * (1 - fault.ratio)) if fault.slow else (fine * (1 - fault.ratio), quick)
            for name in service.depends:
                fine *= 1 - self._harm_of(name) * service.share
            shares = self._shares.get(service.name)
            self.traffic[service.name].serve(now, STEP, ready[service.name], 1 - fine, 1 - quick, shares)

    def _harm_of(self, name: str) -> float:
        """What a dependency's bad answers are more than its budget."""
        other = self.traffic[name]
        return other.ratio if other.ratio > 3 * other.service.budget else 0.0

    def _processes(self) -> dict[str, tuple[str, str, str, Counter]]:
        """Running processes by pod, as service discovery finds them."""
        found = {}
        for pod in self.cluster.all("pods"):
            name, service = pod["metadata"]["name"], self._service_of(pod)
            if service in self.traffic and is_true(pod, "ContainersReady"):
                counters = self.traffic[service].counters
                counter = counters.get(name) or counters.setdefault(name, Counter())
                found[name] = (service, self._label(pod), self.controllers.ip(name), counter)
        for gone in self._leaving.values():
            label, counters = gone.version if self.labelled else "", self.traffic[gone.service].counters
            found[gone.name] = (gone.service, label, gone.ip, counters.get(gone.name) or Counter())
        return found

    def _label(self, pod: Object) -> str:
        return version_of(pod) if self.labelled else ""

    def _alert(self, now: float) -> None:
        recent = {name: _since(traffic.tallies, now - 60) for name, traffic in self.traffic.items()}
        ready = {name: len(self.pods_of(name)) for name in self.traffic if self._wanted(name)}
        alerts = self.alerting.look(now, self.clock.now(), recent, ready)
        if alerts:
            self.report(tuple(alerts))

    # what runs

    def pods_of(self, service: str) -> list[tuple[str, str]]:
        """(name, version) of the pods in traffic: those of the Service, or where an HTTPRoute has it those that it reaches."""
        if self._pods is None:
            self._pods = {name: [] for name in self.traffic}
            self._shares = self._routed()
            for pod in self.cluster.all("pods"):
                name, app = pod["metadata"]["name"], self._service_of(pod)
                reached = self._shares.get(app)
                if app in self._pods and is_ready(pod) and (reached is None or name in reached):
                    self._pods[app].append((name, version_of(pod)))
        return self._pods[service]

    def _service_of(self, pod: Object) -> str:
        """By its label; a canary behind a route does not have that, but its Deployment is named after it."""
        app: str = pod["metadata"].get("labels", {}).get("app", "")
        return app or self.controllers.deployment_of(pod["metadata"]["name"]).removesuffix("-canary")

    def _routed(self) -> dict[str, dict[str, float]]:
        """Service → pod → share of its requests, where an HTTPRoute's rule has the Service."""
        services = {service["metadata"]["name"]: service for service in self.cluster.all("services")}
        found = {}
        for rule in (rule for route in self.cluster.all("httproutes") for rule in route["spec"]["rules"]):
            names = {ref["name"] for ref in rule.get("backendRefs") or []}
            for name in names & set(self.traffic):
                shares = receivers(rule, services, self.cluster.all("pods"))
                found[name] = {pod: share for pod, share in shares.items() if pod != NOBODY}
        return found

    def _wanted(self, service: str) -> int:
        stored = self.cluster._objects[DEPLOYMENTS.plural, NS, service]
        return int(stored["spec"].get("replicas", 1))

    def live(self, service: str) -> str:
        """The version in the Deployment's template."""
        return version_of(self.get(DEPLOYMENTS, service)["spec"]["template"])

    def open_canaries(self) -> list[Object]:
        """Canary pods whose gate is open."""
        return [p for p in self.cluster.all("pods") if CANARY in p["metadata"].get("labels", {}) and is_true(p, GATE)]

    def get(self, resource: Resource, name: str) -> Object:
        """A stored object. KeyError where it is not there."""
        stored = self.cluster.find(resource, NS, name)
        if stored is None:
            raise KeyError(name)
        return stored

    def _answer(self, pod: Object, asked: Asked) -> ProbeReply:
        """A pod's reply to an eval request."""
        app, version = self._service_of(pod), version_of(pod)
        known = self.traffic[app].service.versions.get(version) if app in self.traffic else None
        self.asked[app, version] += 1
        return answer(asked, known is not None and known.harm, self.asked[app, version] - 1)

    def _stored(self, obj: Object) -> None:
        if obj["kind"] in ("Pod", "Deployment", "HTTPRoute", "Service"):
            self.controllers.touch()
            self._pods = None
        if obj["kind"] == "Pod":
            self.prober.pods[obj.get("status", {}).get("podIP", "")] = partial(self._answer, obj)
        for watcher in self.watchers:
            watcher(obj)

    def _deleted(self, obj: Object) -> None:
        if obj["kind"] in ("Pod", "Deployment", "HTTPRoute", "Service"):
            self._pods = None
            self.controllers.touch()
        if obj["kind"] == "Pod":
            self._leave(obj)
            self.controllers.forget(obj["metadata"]["name"])
        elif obj["kind"] == "ReplicaSet":
            self.controllers.touch()

    def _leave(self, pod: Object) -> None:
        """A pod that was in traffic goes on for as long as pods take to leave it; behind an HTTPRoute it does not."""
        name, service = pod["metadata"]["name"], pod["metadata"].get("labels", {}).get("app", "")
        if self.drain and service in self.traffic and service not in self._shares and is_ready(pod):
            ip, until = pod["status"].get("podIP", ""), self.now() + self.drain
            self._leaving[name] = Leaving(name, service, version_of(pod), ip, until)

    # people and tools

    def push(self, service: str, version: str, manager: str = "kubectl-set") -> None:
        """`kubectl set image`: a change past the Release."""
        stored = self.get(DEPLOYMENTS, service)
        template = stored["spec"]["template"]
        template["spec"]["containers"][0]["image"] = image(version)
        stored["metadata"]["managedFields"] = [self._entry(manager, {"f:spec": {"f:template": {}}})]
        self.cluster.seed(stored)

    def ship(self, service: str, version: str, **spec: Any) -> None:
        """Edits the Release: the ordinary way. `on_ship` hears of it where there is no opsloop."""
        if self.on_ship is not None:
            self.on_ship(service, version)
            return
        stored = self.get(RELEASES, service)
        stored["spec"] |= {"version": version, "images": {service: image(version)}, **spec}
        self.cluster.seed(stored)

    def change(self, service: str, **spec: Any) -> None:
        """Changes fields of the Deployment's spec, such as paused or replicas."""
        stored = self.get(DEPLOYMENTS, service)
        stored["spec"] |= spec
        if "replicas" in spec:
            manager = "kube-controller-manager"  # as the autoscaler writes
            others = [e for e in stored["metadata"].get("managedFields", []) if e["manager"] != manager]
            scaled = {**self._entry(manager, {"f:spec": {"f:replicas": {}}}), "subresource": "scale"}
            stored["metadata"]["managedFields"] = [*others, scaled]
        self.cluster.seed(stored)

    def configure(self, name: str, manager: str) -> None:
        """Somebody writes a ConfigMap."""
        before = self.cluster.find(CONFIGMAPS, NS, name) or {"metadata": {}, "data": {"edits": "0"}}
        others = [e for e in before["metadata"].get("managedFields", []) if e["manager"] != manager]
        meta = {"name": name, "namespace": NS, "managedFields": [*others, self._entry(manager, {"f:data": {}})]}
        data = {"edits": str(int(before["data"]["edits"]) + 1)}
        self.cluster.seed({"kind": "ConfigMap", "metadata": meta, "data": data})

    def _entry(self, manager: str, written: Object) -> Object:
        """An entry of managedFields, as of now."""
        return {"manager": manager, "time": self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"), "fieldsV1": written}

    def annotate(self, resource: Resource, name: str, **annotations: str) -> None:
        """Sets annotations of opsloop's on an object."""
        stored = self.get(resource, name)
        held = stored["metadata"].get("annotations", {})
        stored["metadata"]["annotations"] = held | {f"opsloop.dev/{k}": v for k, v in annotations.items()}
        self.cluster.seed(stored)

    def report(self, alerts: tuple[Alert, ...] = (), tickets: tuple[Ticket, ...] = ()) -> None:
        """Stores inbox entries that the intake has answered 2xx for."""
        number = next(self._inbox)
        for part, data in enumerate(encode_entries(alerts, tickets)):
            meta = {"name": f"opsloop-inbox-{number}-{part}", "namespace": NS, "labels": {INBOX: "true"}}
            self.cluster.seed({"kind": "ConfigMap", "metadata": meta, "binaryData": data})

    def outage(self, service: str, ratio: float, seconds: float) -> None:
        """All versions of a service ("" = of every service) err for a while."""
        self.shared.append(Shared(service, ratio, self.now() + seconds))

    def delete_pods(self, names: Iterable[str]) -> None:
        """Pods are deleted; their Deployments start others."""
        for name in names:
            self.controllers.faults.sick.discard(name)
            self.cluster.remove(PODS, NS, name)

    def restart(self, seconds: float) -> None:
        """The operator is killed, and starts again after a while."""
        self.orders.append("kill")
        self.at(self.now() + seconds, lambda: self.orders.append("start"))

    def hand_over(self, seconds: float) -> None:
        """The operator loses the Lease, and its other replica takes it after a while."""
        self.orders.append("depose")
        self.at(self.now() + seconds, lambda: self.orders.append("start"))

    def weaken(self, weak: Weak, seconds: float) -> None:
        """The API server serves the operator badly for a while."""
        self._set_api(weak)
        self.at(self.now() + seconds, lambda: self._set_api(Weak()))

    def _set_api(self, weak: Weak) -> None:
        for part in fields(Weak):
            setattr(self.api, part.name, getattr(weak, part.name))

    def slowness(self, service: str, ratio: float, seconds: float) -> None:
        """This share of the requests of all versions of a service ("" = of every service) is slow for a while."""
        self.shared.append(Shared(service, ratio, self.now() + seconds, slow=True))

    def down(self, service: str, seconds: float) -> None:
        """No pod of the service's Deployments answers for a while."""
        names = {service, f"{service}-canary"}
        self.controllers.faults.down |= names
        self.controllers.touch()

        def back() -> None:
            self.controllers.faults.down -= names
            self.controllers.touch()

        self.at(self.now() + seconds, back)


def _since(tallies: list[Tally], at: float) -> list[Tally]:
    """The newest tallies, those after a time."""
    found = []
    for tally in reversed(tallies):
        if tally.at <= at:
            break
        found.append(tally)
    return found


def deployment(service: Service, version: str) -> Object:
    """The Deployment of a service."""
    labels = {"app": service.name}
    container = {"name": service.name, "image": image(version), "ports": [{"containerPort": 8080}]}
    pod: Object = {"containers": [container]}
    if service.settings:
        pod["volumes"] = [{"name": "settings", "configMap": {"name": service.settings}}]
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": service.replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"kind": "Deployment", "metadata": {"name": service.name, "namespace": NS}, "spec": spec}
