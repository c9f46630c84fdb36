"""Ports that the gate asks for evidence; a source that fails becomes `Missing`, which is never a pass."""

import json
from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from opsloop.core.gate.evidence import Missing, Options
from opsloop.errors import Forbidden, Invalid, NotFound, OpsloopError, Unavailable
from opsloop.shell.ports import Clock, Prober, Reader, RuleSource, Telemetry, Writer

T = TypeVar("T")


class Raw(Protocol):
    """Any path of the API server; used for its service and pod proxies."""

    async def raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline of one call, in seconds
    ) -> tuple[int, bytes]:
        """(status, body). Unavailable where no answer came; `timeout` in seconds."""
        ...


class Cluster(Reader, Writer, Raw, Protocol):
    """The API server with its proxies; writes start and remove quarantined pods and Stops, and say what people
    say about an Incident."""

    async def exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any,
        timeout: float,  # noqa: ASYNC109
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """(status, headers, body). Unavailable where no answer came; `timeout` in seconds."""
        ...

    def forward(self, namespace: str, pod: str, port: int) -> AbstractAsyncContextManager[int]:
        """A port of 127.0.0.1 that leads to this port of the pod. Forbidden or Unavailable where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """A Service behind the API server's proxy, written as `[NAMESPACE/]NAME:PORT`."""

    namespace: str
    name: str
    port: str

    @classmethod
    def parse(cls, text: str, namespace: str) -> "Address":
        """Invalid where it is not such an address."""
        where, _, service = text.rpartition("/")
        name, colon, port = service.partition(":")
        if not name or not colon or not port.isdigit():
            raise Invalid(
                f"{text!r} is not a service address; write for example prometheus:9090 or monitoring/prometheus:9090"
            )
        return cls(where or namespace, name, port)

    @property
    def base(self) -> str:
        """Path on the API server."""
        return f"/api/v1/namespaces/{self.namespace}/services/{self.name}:{self.port}/proxy"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Sources:
    """Ports and addresses of the evidence. `patience`: seconds in which a quarantined pod must get ready; `pause`: between tries."""

    cluster: Cluster
    telemetry: Telemetry
    rules: RuleSource
    prober: Prober  # asks a pod by its name, through the API server's proxy
    clock: Clock
    namespace: str
    alertmanager: Address
    pager: Address | None  # a receiver that keeps its pages; None: the drill's, else what the receivers answered
    options: Options = field(default_factory=Options)
    patience: float = 90.0
    pause: float = 1.0


async def or_missing(source: str, asking: Awaitable[T]) -> T | Missing:
    """The answer, or Missing with the error of `source`. Other exceptions than OpsloopError and ValidationError pass."""
    try:
        return await asking
    except OpsloopError as error:
        return Missing(f"{source}: {error}")
    except ValidationError as error:
        first = error.errors()[0]
        return Missing(f"{source}: {'.'.join(map(str, first['loc']))}: {first['msg']}")


async def get_json(cluster: Raw, address: Address, path: str, query: Mapping[str, str] | None = None) -> Any:
    """GET of a Service through the API server's proxy."""
    status, body = await cluster.raw("GET", address.base + path, query)
    what = f"GET {path} of {address}"
    if not 200 <= status < 300:
        kind = {401: Forbidden, 403: Forbidden, 404: NotFound}.get(status, Unavailable if status >= 500 else Invalid)
        raise kind(f"{what}: {status} {body[:200].decode(errors='replace')}")
    try:
        return json.loads(body)
    except ValueError as error:
        raise Invalid(f"{what}: not JSON: {body[:80]!r}") from error
