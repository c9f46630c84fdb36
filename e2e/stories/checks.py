"""What must hold after a shift, counted where it happened: the API server's audit log, Prometheus, the ledger."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from e2e.drill.shift import Shift
from e2e.harness import audit, gates, sli
from e2e.harness.progress import StageFailed

TICK = timedelta(seconds=5)
FORGED = "answers-70"  # not a name that an alert of a slow start could have taken
SLACK = timedelta(seconds=2)  # resolution of Prometheus and of the audit log, and one look of a busy machine


def acts_once(shift: Shift, rollbacks: int, promotions: int) -> None:
    """Each rollback and promotion happened once, and no gate was opened that had not been decided."""
    until = shift.marks["closed"]
    requests = audit.requests(audit.operator_user(shift.ops), shift.began, until)
    writes = audit.rollbacks(requests, shift.namespace, "answers")
    if len(writes) != rollbacks + promotions:
        raise StageFailed(f"{len(writes)} template writes in the audit log, not {rollbacks} + {promotions}: {writes}")
    decided = gates.decided_by_status(shift.versions, requests, shift.namespace, "answers")
    warm = gates.decided_by_status(shift.versions, requests, shift.namespace, "answers", warm=True)
    wrong = gates.undecided_openings(audit.requests(since=shift.began, until=until), decided, shift.namespace, warm)
    if wrong or not decided:
        raise StageFailed(f"gates were opened that no recorded step had decided: {wrong}; decided were {decided}")
    forbidden = audit.forbidden(requests)
    if forbidden:
        raise StageFailed(f"the operator asked for what it may not do: {forbidden[:5]}")
    opened = len(gates.openings(requests, shift.namespace))
    shift.progress.say(
        f"audit log: {len(writes)} template writes, {opened} gates opened, none undecided, no 403, {len(requests)} requests"
    )


def times(shift: Shift) -> None:
    """The Incident's times against Prometheus and the audit log, within one tick."""
    status = shift.incident()
    entries = {e["key"]: _time(e["at"]) for e in status["timeline"]}
    mitigated = sorted(at for k, at in entries.items() if k.startswith("mitigated-") and at <= entries["resolved-0"])
    people, operator = _template_writes(shift)
    breach, back = _breach_and_back(shift, status, entries["rollback-1"], entries["resolved-0"])
    pairs = {
        "change": (entries[_key(entries, "change-")], datetime.fromtimestamp(people[0].time, UTC)),
        "detected": (_time(status["detectedAt"]), breach),
        "rollback": (entries["rollback-1"], datetime.fromtimestamp(operator[0].time, UTC)),
        "mitigated": (mitigated[-1], back),  # after a relapse it is told once more
    }
    tolerance = shift.api.pace.seconds((TICK + SLACK).total_seconds())
    for name, (entry, instant) in pairs.items():
        off = (entry - instant).total_seconds()
        shift.progress.say(f"   {name}: told {entry:%H:%M:%S.%f}, measured {instant:%H:%M:%S.%f}, off {off:+.1f} s")
        if abs(off) > tolerance:
            raise StageFailed(f"{name} is told as {entry}, but was {instant}")


def _breach_and_back(
    shift: Shift, status: dict[str, Any], rolled_back: datetime, until: datetime
) -> tuple[datetime, datetime]:
    """When Prometheus showed the breach of the tier that fired, and the SLI back after the rollback."""
    objective = sli.objective_of(shift.release())
    tier = objective.tier(status["burn"])

    def span(query: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        return shift.api.span(shift.namespace, query, start, end, step)

    windows = {
        window: sli.points(span, objective, window, shift.broke, until.timestamp())
        for window in {tier.long, tier.short, objective.head}
    }
    breach = sli.visible(objective, tier, windows[tier.long], windows[tier.short], shift.broke)
    back = sli.back(objective, windows[objective.head], rolled_back.timestamp())
    if breach is None or back is None:
        raise StageFailed(f"Prometheus shows no {'return of the SLI' if breach else 'breach'} until {until}")
    return datetime.fromtimestamp(breach, UTC), datetime.fromtimestamp(back, UTC)


def _template_writes(shift: Shift) -> tuple[list[audit.Request], list[audit.Request]]:
    """PATCHes of Deployment answers since the break: (by others, by the operator)."""
    user = audit.operator_user(shift.ops)
    writes = audit.rollbacks(audit.requests(since=shift.broke), shift.namespace, "answers")
    return [r for r in writes if r.user != user], [r for r in writes if r.user == user]


def _key(entries: dict[str, datetime], prefix: str) -> str:
    return next(k for k in entries if k.startswith(prefix))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def storm_is_on_one_incident(shift: Shift) -> None:
    """Every alert that Alertmanager listed on answers and web is in the ledger of answers-1, once; catalog's is not."""
    others = {i["metadata"]["name"]: i.get("status") or {} for i in shift.incidents()}
    merged = [name for name, status in others.items() if status.get("mergedInto") == "answers-1"]
    held = ["answers-1", *(name for name in merged if has_ledger(shift, name))]
    ledger = [alert for name in held for alert in ledger_of(shift, name)]
    ledger_keys = {a["fp"] for a in ledger}
    listed_keys = {f for f, a in shift.alerts.items() if a["labels"].get("service") in ("answers", "web")}
    missing, foreign = listed_keys - ledger_keys, [a for a in ledger if a["labels"].get("service") == "catalog"]
    count = shift.incident()["alerts"]["count"]
    if missing or foreign or count != len(ledger_keys):
        raise StageFailed(
            f"lost {len(missing)} of {len(listed_keys)}, foreign {len(foreign)}, counted {count} of {len(ledger_keys)}"
        )
    apart = sorted(set(others) - {"answers-1", *merged})
    if apart != ["catalog-1"]:
        raise StageFailed(f"besides answers-1 there should be catalog-1 alone; there is {apart}")
    one_page(shift)
    shift.progress.say(
        f"ledger: {len(ledger_keys)} distinct alerts, none of the {len(listed_keys)} listed is lost; one page"
    )


def pages(shift: Shift) -> list[dict[str, Any]]:
    """What the paging service took. Raises StageFailed without an answer."""
    answers: list[dict[str, Any]] = []

    def look() -> tuple[object, str]:
        answer = shift.api.service(shift.namespace, "receiver:8080", "/pages")
        answers.extend([answer] if isinstance(answer, dict) else [])
        return answers, "no answer"

    shift.progress.wait("the paging service to list its pages", 20, look)
    return list(answers[0]["pages"])


def one_page(shift: Shift) -> None:
    """The paging service holds pages of one key."""
    taken = pages(shift)
    if len({p["dedup_key"] for p in taken}) != 1:
        raise StageFailed(f"there should be pages of one key: {taken}")


def has_ledger(shift: Shift, incident: str) -> bool:
    """Whether an alert or a ticket was ever filed into this Incident: one that burnt and was merged at once has none."""
    return shift.api.get("configmaps", shift.namespace, f"{incident}-ledger") is not None


def ledger_of(shift: Shift, incident: str) -> list[dict[str, Any]]:
    """The alerts in an Incident's ledger, as they are stored."""
    configmap = shift.api.get("configmaps", shift.namespace, f"{incident}-ledger")
    if configmap is None:
        raise StageFailed(f"there is no ledger of {incident}")
    packed = next(iter(configmap["binaryData"].values()))
    content = json.loads(gzip.decompress(base64.b64decode(packed)))
    return list(content["alerts"])


def forge(shift: Shift) -> None:
    """Write an Incident and statuses by hand, as an administrator could, that tell of a perfect shift."""
    now = datetime.now(UTC)
    at = [
        (now - timedelta(seconds=s)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for s in (200, 150, 100, 60)
    ]
    incident = {
        "apiVersion": "opsloop.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {"name": FORGED},
        "spec": {
            "release": "answers",
            "service": "answers",
            "title": "forged",
            "signal": {"kind": "alerts", "at": at[0], "severity": "sev3", "message": "forged"},  # sev1 is refused
        },
    }
    shift.apply([incident])
    live = shift.status()["live"]
    status = {
        "phase": "Resolved",
        "severity": "sev1",
        "onsetAt": at[0],
        "detectedAt": at[1],
        "mitigatedAt": at[2],
        "resolvedAt": at[3],
        "burn": {"long": "1m", "short": "5s", "factor": 14.4, "burnLong": 20, "burnShort": 20, "errorRatio": 0.2,
                 "bad": 300, "total": 1500, "objective": 0.99},
        "cause": {"kind": "bad_release", "release": "answers", "revision": "0" * 16, "version": "v2", "confidence": 1},
        "alerts": {"count": 54, "firing": 0},
        "page": {"state": "Sent", "severity": "sev1", "dedupKey": "forged", "decidedAt": at[1], "sentAt": at[1]},
        "rollback": {"release": "answers", "fromDigest": "0" * 16, "toDigest": live, "attempt": 1, "at": at[1]},
        "blocked": ["0" * 16],
        "evalCase": "answers-1-regression",
        "fix": {"digest": live, "version": "v4", "at": at[3], "casePassed": True},
    }  # fmt: skip
    patch = json.dumps({"status": status})
    shift.api.kubectl(
        "-n", shift.namespace, "patch", "incident", FORGED, "--subresource=status", "--type=merge", "-p", patch
    )
