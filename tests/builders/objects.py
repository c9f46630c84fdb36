"""Small objects with sensible defaults, so that a test names only what it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from opsloop.api.evalcase import EvalCase, EvalCaseSpec
from opsloop.api.incident import BurnSignal, Incident, IncidentSpec, IncidentStatus, Signal
from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release, ReleaseSpec, ReleaseStatus
from opsloop.api.runbook import Runbook, RunbookSpec
from opsloop.api.slo import Tier
from opsloop.core.facts import AdmissionAnswer, IncidentFacts, ReleaseFacts, ReleaseView, WorkloadFacts
from opsloop.core.readings import Reading, Readings, TierVerdict, Unknown, Value, Verdict
from opsloop.core.release import revisions
from opsloop.core.reported import Ledger

T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
TIER = Tier(long=timedelta(minutes=1), short=timedelta(seconds=5), factor=14.4, severity="sev1")


def at(seconds: float) -> datetime:
    """T0 plus seconds."""
    return T0 + timedelta(seconds=seconds)


def template(image: str = "shop:v1", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "answers", **labels}},
        "spec": {"containers": [{"name": "answers", "image": image}]},
    }


def digest(image: str = "shop:v1") -> str:
    return revisions.digest(template(image))


V1, V2, V3, V4 = (digest(f"shop:v{n}") for n in (1, 2, 3, 4))


def release_spec(version: str = "v1", **changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "workloadRef": {"name": "answers"},
        "version": version,
        "images": {"answers": f"shop:{version}"},
        "strategy": {"canary": {"analysis": {"window": "10s", "minEvents": 10}}},
        "slo": {
            "objective": 0.99,
            "sli": {"good": "g[{{window}}]", "total": "t[{{window}}]"},
            "tiers": [{"long": "1m", "short": "5s", "factor": 14.4, "severity": "sev1"}],
            "resolveAfter": "15s",
            "bakeTime": "20s",
        },
        "dependsOn": ["catalog"],
    }
    return {**spec, **changes}


def release(
    name: str = "answers", version: str = "v1", status: ReleaseStatus | None = None, meta: dict[str, Any] | None = None,
    **changes: Any,
) -> Release:  # fmt: skip
    return Release(
        metadata=ObjectMeta(name=name, namespace="shop", uid=f"uid-{name}", generation=1, **(meta or {})),
        spec=ReleaseSpec.model_validate(release_spec(version, **changes)),
        status=status or ReleaseStatus(),
    )


def workload(
    image: str = "shop:v1",
    settled: bool = True,
    replicas: int = 4,
    manager: str = "kubectl-set",
    available: int | None = None,
) -> WorkloadFacts:
    return WorkloadFacts(
        name="answers",
        uid="uid-d",
        template=template(image),
        digest=digest(image),
        replicas=replicas,
        selector={"app": "answers"},
        settled=settled,
        available=replicas if available is None else available,
        manager=manager,
    )


AS_ASKED = {digest(f"shop:v{n}"): AdmissionAnswer(template=template(f"shop:v{n}")) for n in range(1, 10)}
"""The API server stores every template as it is."""


def release_facts(item: Release, **changes: Any) -> ReleaseFacts:
    facts = ReleaseFacts(
        release=item,
        workload=workload(),
        canary=None,
        templates={},
        incidents=(),
        readings=Readings(),
        cases=(),
        eval_outcome=None,
        answers=AS_ASKED,
    )
    return replace(facts, **changes)


def value(error_ratio: float, total: float = 1000, coverage: float = 1.0) -> Value:
    return Value(bad=error_ratio * total, total=total, coverage=coverage)


def verdict(error_ratio: float | None, when: datetime = T0) -> Verdict:
    """One tier of 14.4 on a 99 % objective; None is unknown telemetry."""
    if error_ratio is None:
        unknown: Reading = Unknown("NoSeries")
        tier = TierVerdict(TIER, None, unknown, unknown, None, None)
        return Verdict(when, 0.99, (tier,), "unknown", None, None, "NoSeries")
    reading, burn = value(error_ratio), error_ratio / 0.01
    tier = TierVerdict(TIER, burn > 14.4, reading, reading, burn, burn)
    band: Literal["ok", "slow", "fast"] = "fast" if burn > 14.4 else "slow" if burn > 1 else "ok"
    firing = tier if tier.firing else None
    return Verdict(when, 0.99, (tier,), band, firing, burn <= 1, "Read", burning=burn > 14.4)


def readings(error_ratio: float | None, when: datetime = T0, **changes: Any) -> Readings:
    return replace(Readings(verdict=verdict(error_ratio, when)), **changes)


BURN = BurnSignal(
    long="1m",
    short="5s",
    factor=14.4,
    burn_long=20,
    burn_short=20,
    error_ratio=0.2,
    bad=200,
    total=1000,
    objective=0.99,
)


def incident(name: str = "answers-1", status: dict[str, Any] | None = None, **meta: Any) -> Incident:
    """An Incident that a burn opened at T0; `status` in camel case."""
    return Incident(
        metadata=ObjectMeta(name=name, namespace="shop", uid=f"uid-{name}", generation=1, **meta),
        spec=IncidentSpec(
            release=name.rsplit("-", 1)[0],
            service=name.rsplit("-", 1)[0],
            title="answers burns its error budget",
            signal=Signal(kind="burn", at=T0, severity="sev1", burn=BURN, message="burn rate 20"),
        ),
        status=IncidentStatus.model_validate(status or {}),
    )


def runbook(name: str = "bad-release", **safety: Any) -> Runbook:
    spec = {
        "match": {"causes": ["bad_release"]},
        "steps": [{"type": "rollback", "timeout": "2m"}],
        "safety": safety,
        "serviceAccountName": "runbook",
    }
    return Runbook(
        metadata=ObjectMeta(name=name, namespace="shop", generation=1), spec=RunbookSpec.model_validate(spec)
    )


def view(item: Release, seen: Readings | None = None) -> ReleaseView:
    live = revisions.find(item.status.revisions, item.status.live)
    return ReleaseView(item, seen or Readings(), live.live_since if live else None)


def incident_facts(item: Incident, root: ReleaseView | None, **changes: Any) -> IncidentFacts:
    facts = IncidentFacts(
        incident=item,
        root=root,
        releases=(root,) if root else (),
        incidents=(),
        runbooks=(runbook(),),
        eval_cases=(),
        ledger=Ledger(),
        postmortem=None,
    )
    return replace(facts, **changes)


def evalcase(name: str = "answers-1-regression", proven: str = "True", **spec: Any) -> EvalCase:
    base: dict[str, Any] = {
        "release": "answers",
        "request": {"path": "/ask?q=x", "port": 8080},
        "expect": {"field": "answer", "equals": "right"},
        "mustPass": True,
        "origin": {"kind": "regression", "incident": "answers-1"},
        "proof": {"bad": V2, "good": V1},
    }
    return EvalCase.model_validate(
        {
            "metadata": {"name": name, "namespace": "shop", "generation": 1},
            "spec": EvalCaseSpec.model_validate({**base, **spec}).dump(),
            "status": {"proven": proven, "observedGeneration": 1},
        }
    )
