"""The console on the drill's cluster, in a headless Chromium: a shift seen by somebody who may list its namespace, and by somebody who may not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from e2e.browser import fetch
from e2e.cluster import paths
from e2e.drill import stages
from e2e.drill.prepare import clear, install_operator, prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories.shifts import story_shift

INTO = paths.CACHE / "console"  # pictures; docs/images has some of them
NASTY = "<script>alert('note')</script><img src=x onerror=alert('img')>"
SECONDS = 420.0  # for one look at all pages
TICKET = {
    "id": "HD-666",
    "subject": NASTY,
    "body": f"{NASTY} answers are wrong since this morning: returns take 30 days?",
}


def console(api: Client, name: str, seed: int) -> None:
    """A shift up to the rejected second version; then every page in each scheme and size, with nothing wrong on any."""
    browser = fetch.ensure()
    shift = story_shift(api, name, seed)
    shift.extra_tickets = [{**TICKET, "expect_link": False}]
    prepare(shift)
    install_operator(shift, console={"enabled": True}, replicas=2)
    _accounts(shift)
    stages.break_it(shift)
    stages.storm(shift, stages.NO_KILLS)
    stages.detect(shift)
    _write(shift)
    _look(shift, browser, "open", ("fleet", "incident"), schemes=["light"], sizes=["wide"])
    stages.mitigate(shift, stages.NO_KILLS)
    stages.learn(shift)
    stages.refuse_v3(shift)
    _strangers(shift)
    _look(shift, browser, "over", tuple(_pages(shift)), live=True)
    clear(shift)


def _pages(shift: Shift) -> dict[str, str]:
    space = f"/namespaces/{shift.namespace}"
    incident = f"{space}/incidents/answers-1"
    return {
        "fleet": "/", "namespace": space, "release": f"{space}/releases/answers?hours=1", "incident": incident,
        "postmortem": f"{incident}/postmortem", "login": "/login",
    }  # fmt: skip


def _accounts(shift: Shift) -> None:
    """`viewer` may view the namespace, `stranger` nothing."""
    meta, rbac = {"namespace": shift.namespace}, "rbac.authorization.k8s.io"
    accounts: list[Object] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**meta, "name": name}}
        for name in ("viewer", "stranger")
    ]
    bound = {
        "apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": {**meta, "name": "viewer"},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": shift.namespace}],
    }  # fmt: skip
    shift.apply([*accounts, bound])


def _token(shift: Shift, account: str, *more: str) -> str:
    return shift.api.kubectl("-n", shift.namespace, "create", "token", account, *more).strip()


def _write(shift: Shift) -> None:
    """What people write into an Incident, at its worst."""
    spec = {
        "notes": [{"author": NASTY[:100], "text": NASTY}],
        "owner": NASTY[:100],
        "links": ["https://wiki.example/x"],
    }
    patch = json.dumps({"spec": spec})
    shift.api.kubectl("-n", shift.namespace, "patch", "incident", "answers-1", "--type=merge", "-p", patch)


def _strangers(shift: Shift) -> None:
    """Who may list nothing sees nothing, and a token for the API server is none for the console."""
    own = ("--audience", "opsloop-console")
    wanted = {
        "viewer": (_token(shift, "viewer", *own), 200),
        "stranger": (_token(shift, "stranger", *own), 403),
        "viewer's token of the API server": (_token(shift, "viewer"), 401),
    }
    with shift.api.port_forward(shift.ops, "svc/opsloop-console", 8082) as base:
        for who, (token, status) in wanted.items():
            request = urllib.request.Request(
                f"{base}{_pages(shift)['release']}", headers={"Authorization": f"Bearer {token}"}
            )
            try:
                found = urllib.request.urlopen(request, timeout=30).status
            except urllib.error.HTTPError as error:
                found = error.code
            if found != status:
                raise StageFailed(f"{who}: {found} in place of {status}")
    shift.progress.say("a viewer sees the Release, a stranger gets 403, a token for another audience 401")


def _look(
    shift: Shift, browser: fetch.Browser, when: str, names: tuple[str, ...], live: bool = False, **more: Any
) -> None:
    """Raises StageFailed with all that is wrong on a page."""
    into = INTO / when
    into.mkdir(parents=True, exist_ok=True)
    pages = {name: path for name, path in _pages(shift).items() if name in names}
    holds = {"fleet": ["answers", "web", "catalog"], "incident": ["Timeline", NASTY], "release": ["v3", "Rejected"]}
    asked: dict[str, Any] = {"token": _token(shift, "viewer", "--audience", "opsloop-console"), "pages": pages, "into": str(into), "holds": holds, **more}  # fmt: skip
    if live:
        asked["live"] = {"path": pages["incident"], "text": "night shift"}
    with shift.api.port_forward(shift.ops, "svc/opsloop-console", 8082) as base:
        wrong = _run(shift, browser, {**asked, "base": base})
    if wrong:
        raise StageFailed("the console in Chromium:\n" + "\n".join(wrong[:30]))
    shift.progress.say(f"{len(pages)} pages in Chromium ({when}): nothing is wrong on them; pictures in {into}")


def _run(shift: Shift, browser: fetch.Browser, asked: dict[str, Any]) -> list[str]:
    """What is wrong; once a page is open (READY), the Incident gets an assignee, which must appear on it."""
    path = os.pathsep.join((str(paths.REPO), browser.environment["PYTHONPATH"]))
    process = subprocess.Popen(
        [sys.executable, "-m", "e2e.browser.look"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path(paths.REPO),
        env={**os.environ, **browser.environment, "PYTHONPATH": path},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(asked))
    process.stdin.close()
    wrong = []
    try:
        for line in process.stdout:
            if line.strip() != "READY":
                wrong.append(line.rstrip())
                continue
            patch = json.dumps({"spec": {"assignee": "night shift"}})
            shift.api.kubectl("-n", shift.namespace, "patch", "incident", "answers-1", "--type=merge", "-p", patch)
        code = process.wait(timeout=shift.api.pace.seconds(SECONDS))
    finally:
        process.kill()
    return wrong or ([f"exit code {code}"] if code else [])
