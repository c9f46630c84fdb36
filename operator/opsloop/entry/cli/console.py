"""`opsloop console`: the console of an install on a port of this machine, through the API server, and what signs in there.

What `kubectl port-forward` does, but each connection goes to a pod that is ready then: it goes on where a pod ends. It ends with Ctrl+C.
Exit codes: 2 where there is no console, or it cannot be reached; 130 at the end.
"""

import argparse
import asyncio
import contextlib
import json
import threading
import webbrowser
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from opsloop.core.doctor.cluster import watches
from opsloop.entry.cli.options import Commands, command
from opsloop.entry.cli.out import complain, say
from opsloop.errors import Forbidden, Invalid, NotFound, OpsloopError, Unavailable
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import DEPLOYMENTS, PODS, Object

OWN = {"app.kubernetes.io/name": "opsloop"}
LOCAL, PORT = "127.0.0.1", 8082
PORT_SET, AUDIENCE_SET = "OPSLOOP_CONSOLE_PORT", "OPSLOOP_CONSOLE_AUDIENCE"
ANSWER_SECONDS = 10.0  # for the console's form, asked before anything is printed
TOKEN_SECONDS = 3600  # that a token of --account is valid for
CHUNK = 64 * 1024
MOST = 32  # connections at once: a browser opens six
TURN_ON = "helm upgrade opsloop charts/opsloop --reuse-values --set console.enabled=true -n {}"


@dataclass(frozen=True, slots=True)
class Install:
    """Where a console is: namespace and name of its Deployment, labels of its pods, its port, and the audience of its tokens ("" =
    the API server's own)."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    port: int
    audience: str


def add_to(commands: Commands) -> None:
    """Adds the command."""
    what = "the console in your browser, through the API server, and what signs in there; Ctrl+C ends it"
    made = command(commands, "console", console, what)
    add = made.add_argument
    add("--install", default="", metavar="NS", help="namespace of opsloop; default: of the one that looks after -n")
    add("--port", type=int, default=PORT, metavar="PORT", help="port of this machine, 0 = any; default: %(default)s")
    add(
        "--account",
        default="",
        metavar="[NS/]NAME",
        help="ServiceAccount to sign in as: prints a token of it, for an hour",
    )
    add("--open", action="store_true", help="open the address in a browser")


async def console(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Runs until it is interrupted. Raises OpsloopError with what to do."""
    where = await found(cluster, arguments.namespace, arguments.install)
    await answers(cluster, where)
    token = await _token(cluster, where, arguments.namespace, arguments.account) if arguments.account else ""
    async with listening(cluster, where, arguments.port) as port:
        address = f"http://{LOCAL}:{port}/namespaces/{arguments.namespace}"
        for line in told(where, address, token):
            say(line)
        if arguments.open:  # a browser of a terminal returns when it ends, and nothing waits for that
            threading.Thread(target=_open, args=(address,), daemon=True).start()
        await asyncio.Event().wait()
    return 0


def _open(address: str) -> None:
    try:
        found = webbrowser.open(address)
    except (webbrowser.Error, OSError) as error:
        complain(f"no browser could be started ({error}); open the address yourself")
        return
    if not found:
        complain("no browser was found; open the address yourself")


def told(where: Install, address: str, token: str) -> list[str]:
    """The address, and what to paste there."""
    if token:
        return [address, "", "sign in with this token, valid for an hour:", token, "", "Ctrl+C ends it"]
    audience = f" --audience {where.audience}" if where.audience else ""
    how = f"kubectl -n NAMESPACE create token SERVICEACCOUNT{audience}"
    who = "with a token of somebody who may list Releases there (role view), or --account NS/NAME has it printed here:"
    return [address, "", f"sign in {who}", f"  {how}", "", "Ctrl+C ends it"]


# --- where it is


async def found(cluster: Cluster, namespace: str, install: str = "") -> Install:
    """The console of the install that looks after a namespace. Raises Invalid, NotFound or Forbidden with what to do."""
    try:
        operators = await cluster.list(DEPLOYMENTS, install, OWN)
    except Forbidden as error:
        raise Forbidden(
            f"{error}; --install NS names opsloop's namespace, where listing Deployments is enough"
        ) from error
    if not operators:
        raise NotFound(f"no Deployment has the label app.kubernetes.io/name=opsloop{f' in namespace {install}' if install else ''}: is opsloop installed?")  # fmt: skip
    looking = [one for one in operators if install or watches(one, namespace)]
    if not looking:
        there = ", ".join(sorted(one["metadata"]["namespace"] for one in operators))
        raise NotFound(f"no opsloop looks after namespace {namespace}; there is one in {there}: give --install NS")
    opened = [made for one in looking if (made := _install(one)) is not None]
    if not opened:
        space = looking[0]["metadata"]["namespace"]
        raise Invalid(f"the console of opsloop in namespace {space} is off: {TURN_ON.format(space)}")
    return opened[0]


def _install(deployment: Object) -> Install | None:
    spec, meta = deployment["spec"], deployment["metadata"]
    settings: dict[str, str] = {}
    for container in spec["template"]["spec"].get("containers") or ():
        settings |= {one["name"]: str(one.get("value") or "") for one in container.get("env") or ()}
    port = settings.get(PORT_SET, "")
    if not port.isdigit() or not int(port):
        return None
    labels = (spec.get("selector") or {}).get("matchLabels") or {}
    return Install(meta["namespace"], meta["name"], labels, int(port), settings.get(AUDIENCE_SET, ""))


async def _ready(cluster: Cluster, where: Install) -> str:
    """The name of a pod that is ready. Raises Unavailable."""
    pods = await cluster.list(PODS, where.namespace, where.labels)
    ready = sorted(str(one["metadata"]["name"]) for one in pods if _is_ready(one))
    if not ready:
        look = f"kubectl -n {where.namespace} get pods; docs/operator-down.md has what goes without it"
        raise Unavailable(f"no pod of Deployment {where.namespace}/{where.name} is ready ({len(pods)} there): {look}")
    return ready[0]


def _is_ready(pod: Object) -> bool:
    said: Sequence[Object] = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in said)
    return ready and not pod["metadata"].get("deletionTimestamp")


async def answers(cluster: Cluster, where: Install) -> None:
    """Asks for the console's form once. Raises Unavailable or Forbidden with what to do."""
    pod = await _ready(cluster, where)
    patience = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with cluster.forward(where.namespace, pod, where.port) as port:
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as session,
                session.get(f"http://{LOCAL}:{port}/login", headers={"Connection": "close"}) as answer,
            ):
                if answer.status == 200:
                    return
                why = f"answers {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = f"gives no answer ({type(error).__name__})"
    raise Unavailable(
        f"port {where.port} of pod {where.namespace}/{pod} {why}: kubectl -n {where.namespace} logs {pod}"
    )


async def _token(cluster: Cluster, where: Install, namespace: str, account: str) -> str:
    """A token of a ServiceAccount that the console takes. Raises Invalid or Forbidden."""
    space, _, name = account.rpartition("/")
    space = space or namespace
    audiences = {"audiences": [where.audience]} if where.audience else {}
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {**audiences, "expirationSeconds": TOKEN_SECONDS},
    }
    code, answer = await cluster.raw(
        "POST", f"/api/v1/namespaces/{space}/serviceaccounts/{name}/token", None, None, body
    )
    if code == 403:
        raise Forbidden(f"--account {space}/{name}: you may not create serviceaccounts/token in namespace {space}")
    if code == 404:
        make = f"kubectl -n {space} create serviceaccount {name} && kubectl -n {space} create rolebinding {name} --clusterrole view --serviceaccount {space}:{name}"
        raise Invalid(f"--account {space}/{name}: there is no such ServiceAccount; {make}")
    if code // 100 != 2:
        raise Unavailable(f"--account {space}/{name}: the API server answers {code}")
    return str(json.loads(answer)["status"]["token"])


# --- the port


@contextlib.asynccontextmanager
async def listening(cluster: Cluster, where: Install, port: int) -> AsyncIterator[int]:
    """A port of 127.0.0.1 whose connections each lead to a pod that is ready then. Raises Invalid where the port is taken."""
    open_: set[asyncio.Task[None]] = set()

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_.add(task)
        try:
            if len(open_) <= MOST:
                await _through(cluster, where, reader, writer)
        except OpsloopError as error:
            complain(str(error))
        finally:
            open_.discard(task)
            writer.close()

    try:
        server = await asyncio.start_server(passed, LOCAL, port)
    except OSError as error:
        raise Invalid(f"port {port} of {LOCAL} cannot be had ({error.strerror}): --port 0 takes a free one") from error
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)


async def _through(
    cluster: Cluster, where: Install, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One connection, until either side ends it."""
    pod = await _ready(cluster, where)
    async with cluster.forward(where.namespace, pod, where.port) as port:
        theirs, ours = await asyncio.open_connection(LOCAL, port)
        ways = [asyncio.create_task(_copy(reader, ours)), asyncio.create_task(_copy(theirs, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            ours.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
