"""Where a drill cannot work it says what would be right, and its plan says what it would do."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.core.drill.order import Grounds, Order, appliers_of, own_case
from opsloop.core.drill.plan import plan
from opsloop.core.drill.refusals import refusals
from opsloop.core.gate.evidence import Missing, SliPoint
from opsloop.core.release.revisions import with_images
from tests.builders.objects import T0, V1, V2, V3, incident, release_spec, runbook, template

GOOD = template("shop:v1")
STAMP = "2026-01-01T12:00:00Z"


def condition(type_: str, status: str, reason: str = "Said", message: str = "as it says") -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": STAMP}


def revision(digest: str, number: int, version: str, **more: Any) -> dict[str, Any]:
    images = {"answers": f"shop:{version}"}
    return {"digest": digest, "number": number, "version": version, "images": images, "reason": "Adopted", "firstSeen": STAMP, **more}  # fmt: skip


PROVEN = revision(V1, 1, "v1", provenAt=STAMP)
BLOCKED = {"reason": "RolledBack", "incident": "answers-0", "at": STAMP}


def release(spec: dict[str, Any] | None = None, meta: dict[str, Any] | None = None, **status: Any) -> Release:
    told = {
        "live": V1,
        "revisions": [PROVEN],
        "observedGeneration": 1,
        "conditions": [condition("TelemetryKnown", "True")],
    }
    return Release.model_validate(
        {
            "metadata": {"name": "answers", "namespace": "shop", "generation": 1, **(meta or {})},
            "spec": release_spec(**(spec or {})),
            "status": {**told, **status},
        }
    )


def ready(book: Runbook, status: str = "True", message: str = "auto: plays are answered") -> Runbook:
    told = book.status.model_validate({"conditions": [condition("Ready", status, "Said", message)]})
    return book.model_copy(update={"status": told})


def book(status: str = "True", message: str = "ready", match: dict[str, Any] | None = None, **safety: Any) -> Runbook:
    made = runbook(**safety)
    spec = made.spec.model_validate({**made.spec.dump(), "match": match or {"causes": ["bad_release"]}})
    return ready(made.model_copy(update={"spec": spec}), status, message)


def order(**changes: Any) -> Order:
    return replace(
        Order(
            namespace="shop",
            release="answers",
            workload="answers",
            good=GOOD,
            bad=with_images(GOOD, {"answers": "shop:v2"})[0],
            before=("v1", {"answers": "shop:v1"}),
            fix=("v4", {"answers": "shop:v4"}),
            deadline=timedelta(minutes=10),
            patience=timedelta(minutes=30),
            learning=timedelta(minutes=3),
        ),
        **changes,
    )


def grounds(**changes: Any) -> Grounds:
    return replace(
        Grounds(
            order=order(),
            release=release(),
            replicas=4,
            paused=False,
            runbooks=(book(),),
            incidents=(incident("answers-1", {"phase": "Resolved"}),),
            stops=(),
            rights=(),
            events=SliPoint(T0, 0, 1800),
            rules=12,
            least_alerts=1,
        ),
        **changes,
    )


def test_a_service_in_order_is_not_refused() -> None:
    assert refusals(grounds()) == []


REFUSED: list[Any] = [
    pytest.param({"stops": ("Stop shop/emergency: we are moving",)}, "we are moving): opsloop resume", id="a Stop in the namespace"),
    pytest.param({"release": release(conditions=[condition("Stopped", "True", message="opsloop is stopped in all namespaces")])}, "stopped in all namespaces", id="a Stop for all namespaces"),
    pytest.param({"release": release(meta={"generation": 2})}, "has not looked at the latest spec", id="opsloop does not run"),
    pytest.param({"release": release({"guard": True})}, "without spec.guard", id="a guarded Release holds a bad template back"),
    pytest.param({"paused": True}, "kubectl rollout resume", id="a paused Deployment"),
    pytest.param({"replicas": 0}, "scale it up first", id="a Deployment without pods"),
    pytest.param({"release": release({"slo": None})}, "has no spec.slo", id="no SLO"),
    pytest.param({"release": release({"slo": {"objective": 0.99, "sli": {"good": "g[{{window}}]", "total": "t[{{window}}]"}, "tiers": [{"long": "1m", "short": "5s", "factor": 2, "severity": "sev3"}]}})}, "no tier of severity sev1", id="an SLO that pages nobody"),
    pytest.param({"release": release(conditions=[condition("TelemetryKnown", "False", "NoSeries", "no series")])}, "is not read (NoSeries: no series)", id="telemetry that is not known"),
    pytest.param({"events": Missing("Prometheus: 404")}, "--prometheus", id="Prometheus cannot be asked from here"),
    pytest.param({"events": SliPoint(T0, 0, 0)}, "nobody uses answers", id="no traffic"),
    pytest.param({"events": SliPoint(T0, 90, 900)}, "10.00% of the last minute's events are bad", id="it is broken already"),
    pytest.param({"rules": 0}, "--min-alerts 0", id="no rule could fire"),
    pytest.param({"release": release(revisions=[revision(V1, 1, "v1")])}, "not proven last-good", id="no proven last-good"),
    pytest.param({"release": release(live=V3)}, "is not the live revision", id="a template that opsloop has not adopted"),
    pytest.param({"release": release(target={"digest": V3, "version": "v3", "state": "Stepping", "startedAt": STAMP})}, "opsloop rollout wait answers", id="a canary in progress"),
    pytest.param({"release": release({"paused": True})}, "opsloop resume answers", id="a paused Release"),
    pytest.param({"release": release(conditions=[condition("Frozen", "True", message="until noon")])}, "until noon", id="frozen canaries"),
    pytest.param({"incidents": (incident("answers-1", {"phase": "Mitigated"}),)}, "answers-1 is not resolved", id="an open Incident"),
    pytest.param({"incidents": (incident("catalog-1"),)}, "catalog-1 is not resolved", id="an open Incident of a dependency"),
    pytest.param({"runbooks": ()}, "there is no Runbook", id="no Runbook"),
    pytest.param({"runbooks": (book(match={"causes": ["config"]}),)}, "spec.match.causes lacks bad_release", id="a Runbook for another cause"),
    pytest.param({"runbooks": (book(match={"severities": ["sev2"]}),)}, "spec.match.severities lacks sev1", id="a Runbook for another severity"),
    pytest.param({"runbooks": (book(match={"releaseLabels": {"team": "a"}}),)}, "lacks the labels team=a", id="a Runbook for other Releases"),
    pytest.param({"runbooks": (book(mode="dryRun"),)}, "dryRun", id="a Runbook that only says what it would do"),
    pytest.param({"runbooks": (book("False", "ServiceAccount runbook lacks patch on deployments"),)}, "lacks patch on deployments", id="a Runbook whose account may not"),
    pytest.param({"runbooks": (runbook(),)}, "not looked at it yet", id="a Runbook that nobody has looked at"),
    pytest.param({"order": order(bad=GOOD)}, "is the live one", id="a bad version that is live already"),
    pytest.param({"release": release(revisions=[PROVEN, revision(V2, 2, "v2", blocked=BLOCKED)])}, f"opsloop unblock answers {V2}", id="a bad version that is blocked already"),
    pytest.param({"order": order(fix=("v1", {"answers": "shop:v1"}))}, "that is no fix", id="a fix that is live already"),
    pytest.param({"order": order(fix=("v2", {"answers": "shop:v2"}))}, "images of the bad version", id="a fix that is the bad version"),
    pytest.param({"order": order(fix=("v1", {"answers": "shop:v4"}))}, "--fix-version", id="a fix by the name of what is live"),
    pytest.param({"order": order(fix=("v4", {"web": "shop:v4"}))}, "no container web", id="a fix of another container"),
    pytest.param({"release": release(revisions=[PROVEN, revision(V3, 2, "v3", blocked=BLOCKED)]), "order": order(fix=("v3", {"answers": "shop:v3"}))}, f"opsloop unblock answers {V3}", id="a fix that is blocked"),
    pytest.param({"rights": ("patch deployments.apps answers in namespace shop",)}, "you may not patch deployments.apps answers in namespace shop", id="a right that is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "says"), REFUSED)
def test_refused_with_what_would_be_right(changes: dict[str, Any], says: str) -> None:
    (sentence,) = refusals(grounds(**changes))
    assert says in sentence


def test_every_reason_is_told_at_once() -> None:
    found = refusals(grounds(runbooks=(), replicas=0, rights=("list incidents in namespace shop",)))
    assert len(found) == 3


NOT_REFUSED: list[Any] = [
    pytest.param({"runbooks": (book(mode="approve"),)}, id="a person may approve the rollback"),
    pytest.param({"runbooks": (book(match={"causes": ["config"]}), book())}, id="one Runbook of two fits"),
    pytest.param({"incidents": (incident("search-1"),)}, id="an Incident of a service that it does not depend on"),
    pytest.param({"incidents": (incident("answers-1", {"mergedInto": "catalog-1"}),)}, id="an Incident that was merged into another"),
    pytest.param({"rules": 0, "least_alerts": 0}, id="no rules, and no alert is asked for"),
    pytest.param({"rules": Missing("Prometheus: 404")}, id="the rules cannot be read, which stops nothing"),
    pytest.param({"events": SliPoint(T0, 9, 900)}, id="errors within the budget"),
]  # fmt: skip


@pytest.mark.parametrize("changes", NOT_REFUSED)
def test_not_refused(changes: dict[str, Any]) -> None:
    assert refusals(grounds(**changes)) == []


def test_the_plan_names_objects_changes_deadline_harm_and_the_way_out() -> None:
    text = "\n".join(plan(grounds()))
    for part in (
        "break answers in namespace shop on purpose",
        "Deployment answers, without a canary: /spec/containers/0/image: shop:v1 → shop:v2",
        "up to all 4 pods (now 30 events per second)",
        "sev1 (1m & 5s at 14.4): 9s after the first bad event if all are bad, never where less than 0.144 of them are",
        "one real page",
        "Runbook bad-release, at most 10m",
        "spec.version v1 → v4, spec.images answers=shop:v4",
        "Ctrl-C",
        "kubectl -n shop rollout undo deployment/answers",
    ):
        assert part in text, text


def test_the_plan_says_what_a_person_must_do_and_what_the_gate_cannot_see() -> None:
    steps = {"canary": {"steps": [{"weight": 20, "approve": True}, {"weight": 100}]}}
    evals = {"port": 8080, "quarantine": "never"}
    text = "\n".join(
        plan(grounds(runbooks=(book(mode="approve"),), release=release({"strategy": steps, "evals": evals})))
    )
    assert "mode approve" in text and "opsloop approve answers" in text and "quarantine: never" in text


def test_the_plan_warns_of_tools_that_would_write_back_and_of_a_fix_without_a_case() -> None:
    argo = {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/answers"}}}
    flux = {"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "shop", "app": "answers"}}}
    assert appliers_of(argo, flux, {"metadata": {}}) == ("Argo CD", "Flux")
    text = "\n".join(plan(grounds(appliers=("Argo CD",), release=release({"evals": {"port": 8080}}))))
    assert "Argo CD applies these objects" in text and "the fix is held until an EvalCase gates it" in text


@given(st.sampled_from(REFUSED), st.sampled_from(REFUSED))
def test_two_reasons_never_make_none(one: Any, other: Any) -> None:
    assert refusals(grounds(**{**one.values[0], **other.values[0]}))


def test_a_case_of_the_caller_is_a_regression_case_of_the_incident_whatever_it_says_itself() -> None:
    own = {"request": {"path": "/", "port": 8080}, "expect": {"status": 200}, "repeats": 9, "release": "web"}
    made = own_case(order(case=own), "answers-1", V2, V1)
    assert made["metadata"]["name"] == "answers-1-regression"
    assert made["spec"]["release"] == "answers" and made["spec"]["repeats"] == 9
    assert made["spec"]["origin"] == {"kind": "regression", "incident": "answers-1"}
    assert made["spec"]["proof"] == {"bad": V2, "good": V1}
