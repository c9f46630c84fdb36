"""Releases with a history, Incidents and EvalCases for reports; times are days before NOW."""

from datetime import UTC, datetime, timedelta
from typing import Any

from opsloop.api.evalcase import EvalCase
from opsloop.api.history import HistoryEntry
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.report.facts import Window
from tests.builders import objects

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(days=30), NOW)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def digest(version: str) -> str:
    return version.removeprefix("v").zfill(16)


def entry(what: str, version: str, days: float, **more: Any) -> HistoryEntry:
    return HistoryEntry.model_validate(
        {"what": what, "version": version, "digest": digest(version), "at": ago(days), **more}
    )


def release(
    *history: HistoryEntry, since: float | None = 365, episodes: int = 0, name: str = "answers", namespace: str = "shop"
) -> Release:
    known = None if since is None else ago(since)
    made = objects.release(name)
    status = made.status.model_copy(update={"history": list(history), "history_since": known, "last_episode": episodes})
    meta = made.metadata.model_copy(update={"namespace": namespace})
    return made.model_copy(update={"status": status, "metadata": meta})


def incident(name: str, days: float, namespace: str = "shop", version: str = "", **status: Any) -> Incident:
    """A sev1 whose harm began so many days ago, was noticed after 10 s, mitigated after 60 s and resolved after 90 s."""
    onset = ago(days)
    times = {
        name: onset + timedelta(seconds=after)
        for name, after in (("onset_at", 0), ("detected_at", 10), ("mitigated_at", 60), ("resolved_at", 90))
    }
    made = objects.incident(name, {"phase": "Resolved", "severity": "sev1"})
    cause = {"kind": "bad_release", "release": made.spec.release, "revision": digest(version), "version": version}
    told = {**made.status.dump(), **({"cause": cause} if version else {})}
    changed = type(made.status).model_validate(told).model_copy(update={**times, **status})
    meta = made.metadata.model_copy(update={"namespace": namespace})
    return made.model_copy(update={"status": changed, "metadata": meta})


def case(name: str, *caught: tuple[str, float], origin: str = "answers-1", dark: bool = True) -> EvalCase:
    """An EvalCase of answers that caught these (version, days ago)."""
    spec = {
        "release": "answers",
        "request": {"path": "/ask", "port": 8080},
        "expect": {"status": 200},
        "origin": {"kind": "regression", "incident": origin},
        "proof": {"bad": digest("v2"), "good": digest("v1")},
    }
    found = [
        {"release": "answers", "version": v, "digest": digest(v), "at": ago(days), "dark": dark} for v, days in caught
    ]
    body = {"metadata": {"name": name, "namespace": "shop"}, "spec": spec, "status": {"caught": found}}
    return EvalCase.model_validate(body)
