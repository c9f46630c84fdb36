"""Every example of docs/notifications.md: rendered by the chart, read by the operator, and delivered as each format wants it."""

import json
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from opsloop.core.notify.formats import FORMATS
from opsloop.entry.notifications import connect_receivers, load_notifications, sample
from opsloop.entry.settings import Settings
from tests.builders import yamls
from tests.builders.objects import at
from tests.core.notify.test_formats import schema
from tools import generate

PAGE = generate.ROOT / "docs" / "notifications.md"
TEXT = PAGE.read_text()
EXAMPLES: list[str] = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
HELM = generate.helm()
MOUNTED = "/var/run/secrets/opsloop-notifications"
needs_helm = pytest.mark.skipif(not HELM, reason="no helm: $HELM, ~/.cache/opsloop/bin or the PATH")


def configured(example: str, folder: Path) -> Path:
    """The file that the chart mounts, with its Secrets below `folder` instead."""
    values = folder / "values.yaml"
    values.write_text(example)
    command = [
        str(HELM),
        "template",
        "opsloop",
        str(generate.CHART),
        "--kube-version",
        "1.34.0",
        "--set",
        "image.repository=r.example/opsloop,crds.install=false",
        "-f",
        str(values),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    documents = [document for document in yamls.load_all(done.stdout) if document]
    (file,) = (d["data"]["notifications.json"] for d in documents if "notifications.json" in (d.get("data") or {}))
    (pod,) = (d["spec"]["template"]["spec"] for d in documents if d["kind"] == "Deployment")
    mounted = {v["name"]: v for v in pod["volumes"]}
    for source in mounted.get("notifications-access", {}).get("projected", {}).get("sources", []):
        for item in source["secret"]["items"]:
            path = folder / item["path"]
            path.parent.mkdir(exist_ok=True)
            path.write_text("https://hooks.example/s3cr3t" if item["path"].endswith("/url") else "s3cr3t")
    into = folder / "notifications.json"
    into.write_text(file.replace(MOUNTED, str(folder)))
    return into


@pytest.fixture
async def desk() -> AsyncIterator[tuple[str, list[tuple[str, Any]]]]:
    got: list[tuple[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        got.append((request.path, await request.json()))
        return web.Response(status=202)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site.name, got
    await runner.cleanup()


@needs_helm
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: ",".join(sorted(set(re.findall(r"format: (\w+)", e)))))
async def test_an_example_is_rendered_read_and_delivered(
    example: str, tmp_path: Path, desk: tuple[str, list[tuple[str, Any]]]
) -> None:
    address, got = desk
    made = load_notifications(Settings(notifications_file=str(configured(example, tmp_path))))
    here = {
        name: one.model_copy(update={"url": address, "url_file": "", "tls": type(one.tls)()})
        for name, one in made.receivers.items()
    }
    async with aiohttp.ClientSession() as session:
        port = connect_receivers(replace(made, receivers=here), session)
        for name, one in here.items():
            for number, action in enumerate(("trigger", "resolve"), 1):
                got.clear()
                assert (await port.page(name, sample(action, number, at(0)))).startswith("202")
                for path, body in got:
                    if one.format != "template":
                        schema("opsgenie-acts" if path.endswith("/close") else one.format).validate(body)
                assert got


def test_every_format_has_its_example() -> None:
    assert {name for example in EXAMPLES for name in re.findall(r"format: (\w+)", example)} == set(FORMATS)


def test_the_fields_of_plain_json_are_those_that_are_sent() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    shown = json.loads(block)
    sent = {**sample("trigger", 1, at(0)), "cluster": "", "links": {}}
    assert shown.keys() == sent.keys()
    schema("json").validate({**shown, "decidedAt": shown["startedAt"], "sentAt": shown["startedAt"], "links": {}})
