"""`opsloop drill REL`: breaks a Release on purpose and follows its shift to the gate, in any namespace of any cluster."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from opsloop.adapters.desk import Desk
from opsloop.api.release import Release
from opsloop.core.drill.order import Grounds, Order
from opsloop.core.drill.plan import plan
from opsloop.core.drill.refusals import refusals
from opsloop.core.gate.report import INCONCLUSIVE
from opsloop.core.release.revisions import images_of, version_of
from opsloop.entry.cli import completion, gate
from opsloop.entry.cli.acts import release_of
from opsloop.entry.cli.found import found
from opsloop.entry.cli.options import Commands, command, seconds
from opsloop.entry.cli.out import ask, complain, say
from opsloop.errors import Invalid, OpsloopError
from opsloop.shell.drill.look import bad_template, check_case, grounds
from opsloop.shell.drill.putting_back import NotPutBack
from opsloop.shell.drill.run import BrokeOff, Drill
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import DEPLOYMENTS, Object

BROKE_OFF, NOT_PUT_BACK, STOPPED = 4, 5, 130
"""Exit codes beside those of the gate."""
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


def add_to(commands: Commands) -> None:
    """The command and its options."""
    what = "break a Release on purpose and follow its shift to the gate; says first what it will do"
    made = command(commands, "drill", drill, what)
    completion.releases(made.add_argument("release", metavar="REL", help="Release to break"))
    add = made.add_argument
    image = "[CONTAINER=]IMAGE"
    add("--bad-image", action="append", default=[], metavar=image, help="image that breaks it; may be repeated")
    add("--bad-patch", metavar="FILE", help="strategic merge patch of the pod template (YAML) that breaks it")
    add("--fix-image", action="append", required=True, metavar=image, help="image of the fix; may be repeated")
    add("--fix-version", default="", metavar="VERSION", help="version label of the fix; default: the tag of its image")
    case = "EvalCase of your own (YAML: request, expect, and what else its spec may have) that must tell bad and good apart"
    add("--case", metavar="FILE", help=f"{case}; default: what opsloop captures")

    add(
        "--intake",
        default="",
        metavar="URL",
        help="opsloop's intake: the tickets of --tickets are sent to it once it is detected",
    )
    add(
        "--intake-token",
        default="",
        metavar="FILE",
        help="token of whoever sends them (kubectl create token … --audience opsloop)",
    )

    def time(flag: str, default: float, help_: str) -> None:
        add(flag, type=seconds, default=default, metavar="TIME", help=f"{help_}; default: %(default)g s")

    time("--deadline", 600, "how long users may be harmed: after it the drill puts live back")
    time("--timeout", 1800, "how long to wait for the Incident's end, and for the fix")
    time("--learn-within", 180, "how long to wait for a proven EvalCase and the postmortem")
    add("--yes", action="store_true", help="do not ask; without a terminal it must be said")
    add("--dry-run", action="store_true", help="say what it would do, or why it cannot, and do nothing")
    gate.add_options(made)


async def drill(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Says what it will do, does it after a yes, and returns the gate's exit code. Raises Invalid where it cannot work here."""
    release = await release_of(arguments, cluster)
    arguments.incident = ""
    desk = _desk(arguments)
    before = await _grounds(arguments, cluster, release)
    tell = _telling(arguments)
    why_not = refusals(before)
    if not why_not or arguments.dry_run:
        for text in plan(before):
            tell(text)
    if why_not:
        raise Invalid(f"the drill cannot work here: {'; '.join(why_not)}")
    if arguments.dry_run:
        return 0
    await _confirm(arguments, release)
    clock = gate.sources_of(arguments, cluster).clock
    code, incident = await _run(Drill(cluster, clock, before.order, asyncio.sleep, tell, desk))
    if code:
        return code
    arguments.incident = incident
    tell(f"gate: opsloop gate -n {arguments.namespace} --incident {incident}")
    try:
        return await gate.gate(arguments, cluster)
    except OpsloopError as error:  # not 2, which says that nothing was written
        complain(f"the drill was played, and the gate could not judge it: {error}")
        return INCONCLUSIVE


async def _run(one: Drill) -> tuple[int, str]:
    """(exit code, Incident): 0 where the gate may judge."""
    task = asyncio.ensure_future(one.run())

    def stop() -> None:
        if one.leaving:
            one.say("live is being put back; wait for it")
        else:
            task.cancel()

    with _on_signals(stop):
        try:
            return 0, await task
        except asyncio.CancelledError:
            return STOPPED, ""
        except NotPutBack as error:
            complain(str(error))
            return NOT_PUT_BACK, ""
        except BrokeOff as error:
            complain(f"the drill broke off: {error}")
            return BROKE_OFF, ""


@contextlib.contextmanager
def _on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` instead of ending, for each signal that would end the process and can be caught here."""
    loop, caught = asyncio.get_running_loop(), []
    for name in SIGNALS:
        number = getattr(signal, name, None)
        with contextlib.suppress(
            NotImplementedError, RuntimeError, ValueError
        ):  # another system, or not the main thread
            if number is not None:
                loop.add_signal_handler(number, stop)
                caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def _telling(arguments: argparse.Namespace) -> Callable[[str], None]:
    """Lines for the person: on stdout beside the table, else on stderr. A reader that is gone stops no drill."""
    where = complain if arguments.json or arguments.output != "table" else say

    def tell(text: str) -> None:
        with contextlib.suppress(OSError):
            where(text)

    return tell


async def _confirm(arguments: argparse.Namespace, release: Release) -> None:
    """Raises Invalid where nobody said yes."""
    name = release.metadata.name
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise Invalid(f"{name} would be broken on purpose: say --yes where no terminal can be asked")
    typed = await asyncio.to_thread(ask, f"Type {name} to break it, anything else to leave it: ")
    if typed != name:
        raise Invalid(f"nothing was done: {name} was not typed")


def _desk(arguments: argparse.Namespace) -> Desk | None:
    """Raises Invalid where one of the options is there without the others."""
    given = [name for name in ("intake", "intake_token") if getattr(arguments, name)]
    if not given:
        return None
    if len(given) == 1 or not arguments.tickets:
        raise Invalid("--intake, --intake-token and --tickets belong together: where, as whom, and what is sent")
    return Desk(arguments.intake, arguments.intake_token, arguments.namespace)


async def _grounds(arguments: argparse.Namespace, cluster: Cluster, release: Release) -> Grounds:
    namespace, name = arguments.namespace, release.spec.workload_ref.name
    deployment = await found(cluster, DEPLOYMENTS, namespace, name)
    bad = _images("--bad-image", arguments.bad_image, deployment)
    fix = _images("--fix-image", arguments.fix_image, deployment)
    patch = _mapping("--bad-patch", arguments.bad_patch) if arguments.bad_patch else None
    if not bad and patch is None:
        raise Invalid("name what breaks it: --bad-image [CONTAINER=]IMAGE or --bad-patch FILE")
    order = Order(
        namespace=namespace,
        release=release.metadata.name,
        workload=name,
        good=deployment["spec"]["template"],
        bad=await bad_template(cluster, namespace, deployment, bad, patch),
        before=(release.spec.version, release.spec.images),
        fix=(arguments.fix_version or version_of(fix, {}, ""), {**release.spec.images, **fix}),
        deadline=timedelta(seconds=arguments.deadline),
        patience=timedelta(seconds=arguments.timeout),
        learning=timedelta(seconds=arguments.learn_within),
        case=_case(arguments.case, release) if arguments.case else None,
        tickets=gate.ticket_bodies(arguments.tickets) if arguments.intake else (),
    )
    if order.case is not None and order.bad != order.good:
        await check_case(cluster, order)
    return await grounds(gate.sources_of(arguments, cluster), order, release, deployment)


def _images(option: str, given: Sequence[str], deployment: Object) -> dict[str, str]:
    """Container → image. Raises Invalid where a container must be named or is not there."""
    containers = list(images_of(deployment["spec"]["template"]))
    found: dict[str, str] = {}
    for text in given:
        name, equals, image = text.rpartition("=")
        if not equals and len(containers) != 1:
            raise Invalid(f"{option} {text}: write CONTAINER=IMAGE, the Deployment has {', '.join(containers)}")
        name = name or containers[0]
        if name not in containers:
            raise Invalid(f"{option} {text}: the Deployment has no container {name}, but {', '.join(containers)}")
        found[name] = image
    return found


def _case(path: str, release: Release) -> Mapping[str, Any]:
    """Request and expectation; of a whole EvalCase its spec. The port is that of spec.evals where none is named. Raises Invalid."""
    content = _mapping("--case", path)
    spec = content["spec"] if isinstance(content.get("spec"), dict) else content
    if missing := [field for field in ("request", "expect") if field not in spec]:
        raise Invalid(f"--case {path}: {' and '.join(missing)} missing")
    own = {k: v for k, v in spec.items() if k not in ("release", "origin", "proof", "mustPass")}
    if release.spec.evals and isinstance(own["request"], dict):
        own["request"] = {"port": release.spec.evals.port, **own["request"]}
    return own


def _mapping(option: str, path: str) -> Mapping[str, Any]:
    """The YAML of a file. Raises Invalid."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"{option} {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid(f"{option} {path}: not YAML ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(content, dict):
        raise Invalid(f"{option} {path}: not a mapping of fields")
    return content
