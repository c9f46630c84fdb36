"""What the experiments share: a namespace that goes away, opsloop's own Runtime on a real API server, a table."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from e2e.api import kubectl
from e2e.cluster import paths
from opsloop.adapters.kube.kube import Kube
from opsloop.shell.ports import Object
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.cache import Cache

JSON = "application/json"


class WallClock:
    """The clock port."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)


def world_of(kube: Kube) -> Runtime:
    """opsloop's Runtime with a real API server; what the experiments do not use is not there."""
    absent = cast(Any, None)
    return Runtime(
        reader=kube, writer=kube, access=kube, clock=WallClock(), cache=Cache(), readings=absent, inbox=absent, ledgers=absent,
        evals=absent, pages=absent, events=absent, enqueue=lambda key: None,
        reopen_grace=timedelta(minutes=30),
    )  # fmt: skip


@asynccontextmanager
async def namespace(name: str) -> AsyncIterator[Kube]:
    """A connection to the API server and a fresh namespace, which is deleted at the end whatever happens."""
    assert name.startswith("exp-")
    kubectl("delete", "namespace", name, "--ignore-not-found", seconds=180)
    kubectl("create", "namespace", name)
    kube = await Kube.connect(str(paths.KUBECONFIG))
    try:
        yield kube
    finally:
        await kube.close()
        kubectl("delete", "namespace", name, "--wait=false")


async def dry_run(kube: Kube, method: str, path: str, body: Any, content: str = JSON) -> tuple[int, Object]:
    """(status, answer) of a write that the API server carries out in every way but storing it."""
    query = {"dryRun": "All", "fieldManager": "opsloop"}
    status, answer = await kube.raw(method, path, query, {"Content-Type": content}, body)
    return status, json.loads(answer)


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Paths at which two templates differ; list items go by name."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        keys = sorted(set(wanted) | set(found))
        return [d for k in keys for d in differences(wanted.get(k), found.get(k), f"{path}.{k}" if path else k)]
    if (
        isinstance(wanted, list)
        and isinstance(found, list)
        and all(isinstance(i, dict) and "name" in i for i in wanted)
    ):
        return differences({i["name"]: i for i in wanted}, {i["name"]: i for i in found}, path)
    return [] if wanted == found else [path.replace("spec.containers.", "").replace("metadata.", "")]


def show(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """A Markdown table, aligned, on stdout."""
    cells = [[str(key) for key in rows[0]], *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    print("\n".join(["", title, "", lines[0], rule, *lines[1:]]), flush=True)


def require(holds: bool, sentence: str) -> None:
    """What opsloop relies on. Not an assert: it must hold under -O as well."""
    print(("  ok      " if holds else "  BROKEN  ") + sentence, flush=True)
    if not holds:
        raise SystemExit(f"opsloop relies on this, and it does not hold: {sentence}")
