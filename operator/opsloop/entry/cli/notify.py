"""`opsloop notify`: who is told of what, and whether it arrives. It reads the operator's own settings, so it is run in its pod.

kubectl -n opsloop-system exec deploy/opsloop -- opsloop notify test
"""

import argparse
import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp

from opsloop.adapters.pager import Receivers
from opsloop.core.notify.formats import FORMATS
from opsloop.core.notify.routing import Kind, Subject
from opsloop.entry.cli.out import say
from opsloop.entry.notifications import Notifications, connect_receivers, load_notifications, sample
from opsloop.entry.settings import load
from opsloop.errors import Invalid, OpsloopError

FAILED = 1
STEPS = ("trigger", "resolve")


def notify(arguments: argparse.Namespace) -> int:
    """Runs one of the commands below `notify`; 1 where a receiver did not take the test."""
    settings = load(os.environ)
    if arguments.file:
        settings = replace(settings, notifications_file=arguments.file)
    made = load_notifications(settings)
    if arguments.notify == "routes":
        return _routes(arguments, made)
    return asyncio.run(_test(_chosen(arguments.receiver, made), made))


def _chosen(names: Sequence[str], made: Notifications) -> list[str]:
    known = sorted(made.receivers)
    if not known:
        raise Invalid("no receiver is configured (OPSLOOP_NOTIFICATIONS_FILE, OPSLOOP_PAGER_URL)")
    for name in names:
        if name not in known:
            raise Invalid(f"--receiver {name}: no such receiver; there are {', '.join(known)}")
    return list(names) or known


async def _test(names: Sequence[str], made: Notifications) -> int:
    """Opens and ends an alert of its own at each receiver, and prints what each answered."""
    key = f"opsloop-test-{uuid4()}"
    async with aiohttp.ClientSession() as session:
        receivers = connect_receivers(made, session)
        answers = await asyncio.gather(*(_one(receivers, name, key) for name in names))
    for name, said in zip(names, answers, strict=True):
        for step, (taken, text) in zip(STEPS, said, strict=False):
            say(f"{'ok' if taken else 'FAILED':<7} {name:<20} {made.receivers[name].format:<13} {step:<8} {text}")
    return 0 if all(taken for said in answers for taken, _ in said) else FAILED


async def _one(receivers: Receivers, name: str, key: str) -> list[tuple[bool, str]]:
    said: list[tuple[bool, str]] = []
    for number, action in enumerate(STEPS, 1):
        try:
            said.append((True, await receivers.page(name, sample(action, number, datetime.now(UTC), key))))
        except OpsloopError as error:
            return [*said, (False, str(error))]
    return said


def _routes(arguments: argparse.Namespace, made: Notifications) -> int:
    """Prints who would hear of such a message."""
    kind: Kind = "Release" if arguments.release else "Incident"
    subject = Subject(arguments.namespace, kind, arguments.team, arguments.severity, arguments.reason)
    for name in made.routing.receivers_of(subject):
        one = made.receivers.get(name)
        kept = " (repeated while it is open)" if one is not None and FORMATS[one.format].resent else ""
        say(f"{name:<20} {one.format if one else 'not configured'}{kept}")
    return 0


def add_to(command: argparse.ArgumentParser) -> None:
    """The commands below `notify` and their arguments."""
    below = command.add_subparsers(dest="notify", required=True, metavar="WHAT")
    what = "send a test to each receiver, by the operator's own code, and print what each answered"
    test = below.add_parser("test", help=what, description=what)
    test.add_argument("--receiver", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    which = "say which receivers hear of a message"
    routes = below.add_parser("routes", help=which, description=which)
    add = routes.add_argument
    add("-n", "--namespace", required=True, metavar="NS", help="namespace of the service")
    add("--team", default="", metavar="TEAM", help="owner of the Incident (label team of the Release)")
    add("--severity", default="sev1", choices=("sev1", "sev2", "sev3", "sev4"), help="default: %(default)s")
    add("--reason", default="", metavar="REASON", help="reason of the message, for example Escalated")
    add("--release", action="store_true", help="of what a Release tells, not of an Incident")
    for each in (test, routes):
        each.add_argument("--file", default="", metavar="FILE", help="default: the file of OPSLOOP_NOTIFICATIONS_FILE")
