"""EvalCases with their Release, revisions, ticket and quarantined pods, with the values of the drill."""

from datetime import UTC, datetime, timedelta
from typing import Any

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import EvalCase, EvalCaseSpec, EvalCaseStatus, Origin, ProofPair
from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release, ReleaseSpec, ReleaseStatus, WorkloadRef
from opsloop.api.reported import LinkedTicket, TicketExample
from opsloop.api.revision import Revision
from opsloop.api.slo import Sli, Slo
from opsloop.api.strategy import EvalAsk, Evals
from opsloop.core.evalcase.quarantine import pod_name
from opsloop.core.facts import EvalCaseFacts, PodFacts

T0 = datetime(2026, 1, 5, 10, 0, 0, tzinfo=UTC)
BAD, GOOD = "badbadbadbadbad2", "900d900d900d9001"
CASE = "answers-1-regression"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def template(image: str = "shop:v1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "labels": {"app": "answers", "team": "search", "pod-template-hash": "5c9f"},
            "annotations": {"prometheus.io/scrape": "true", "sidecar.istio.io/inject": "true"},
        },
        "spec": {
            "containers": [
                {
                    "name": "answers",
                    "image": image,
                    "env": [{"name": "TOPIC", "value": "returns"}],
                    "ports": [{"containerPort": 8080, "hostPort": 80}],
                    "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
                }
            ],
            **spec,
        },
    }


def release(evals: Evals | None = None, **status: Any) -> Release:
    known = Evals(port=8080, ask=EvalAsk(path="/ask?q={{asked}}"), quarantine="auto")
    spec = ReleaseSpec(
        workload_ref=WorkloadRef(name="answers"),
        version="v1",
        images={"answers": "shop:v1"},
        slo=Slo(objective=0.99, sli=Sli(bad="b", total="t")),
        evals=evals or known,
    )
    return Release(metadata=ObjectMeta(name="answers", namespace="shop"), spec=spec, status=ReleaseStatus(**status))


def revision(digest: str, number: int, version: str, reason: str = "Adopted", **more: Any) -> Revision:
    return Revision(digest=digest, number=number, version=version, reason=reason, first_seen=T0, **more)


def case(
    name: str = CASE,
    kind: str = "regression",
    generation: int = 1,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    status: EvalCaseStatus | None = None,
    **spec: Any,
) -> EvalCase:
    values: dict[str, Any] = {
        "release": "answers",
        "request": EvalRequest(path="/ask?q=refund", port=8080),
        "expect": EvalExpect(field="answer", equals="After 14 days."),
        "must_pass": kind == "regression",
        "origin": Origin.model_validate({"kind": kind, "incident": "answers-1" if kind == "regression" else ""}),
        "proof": ProofPair(bad=BAD, good=GOOD) if kind == "regression" else None,
    }
    meta = ObjectMeta(
        name=name, namespace="shop", generation=generation, labels=labels or {}, annotations=annotations or {}
    )
    return EvalCase(metadata=meta, spec=EvalCaseSpec(**{**values, **spec}), status=status or EvalCaseStatus())


def proven(**changes: Any) -> EvalCaseStatus:
    return EvalCaseStatus(**{"observed_generation": 1, "proven": "True", "reason": "Proven", **changes})


def pod(digest: str, attempt: int = 1, ready: bool = True, ip: str = "10.0.0.7", **more: Any) -> PodFacts:
    name = pod_name(CASE, digest, attempt)
    return PodFacts(name, digest, ip, containers_ready=ready, in_traffic=False, ready=ready, **more)


def facts(**changes: Any) -> EvalCaseFacts:
    values: dict[str, Any] = {
        "case": case(),
        "release": release(),
        "templates": {BAD: template("shop:v2"), GOOD: template("shop:v1")},
        "pods": (),
        "outcomes": {},
        "service_selectors": ({"app": "answers"}, {}),
    }
    return EvalCaseFacts(**{**values, **changes})


def ticket(**changes: Any) -> LinkedTicket:
    values: dict[str, Any] = {
        "id": "T-5",
        "subject": "Wrong answers since this morning",
        "category": "wrong-answer",
        "severity": "sev2",
        "route": "search-team",
        "score": 0.92,
        "received_at": at(30),
        "example": TicketExample(asked="When is a refund paid?", got="In June.", expected=" After 14 days. "),
    }
    return LinkedTicket(**{**values, **changes})
