"""The manifests as they are rendered: nothing cluster-wide, every placeholder replaced, rules that a team would write."""

import re
from functools import cache
from typing import Any

import pytest

from e2e.demo.helpdesk.__main__ import LAME_DUCK
from e2e.demo.render import MANIFESTS, files, main, render
from tests.builders import yamls

PARTS = {"web": 2, "answers": 4, "catalog": 2, "shoppers": 1, "receiver": 1}
NAMESPACED = {"Deployment", "Service", "ConfigMap", "ServiceAccount", "Role", "RoleBinding"}


@cache
def _rendered() -> list[dict[str, Any]]:
    return list(yamls.load_all(render("story-7", "ops-3", 12)))


def _one(kind: str, name: str) -> dict[str, Any]:
    (found,) = [item for item in _rendered() if item["kind"] == kind and item["metadata"]["name"] == name]
    return found


def _rules() -> list[dict[str, Any]]:
    groups = yamls.load(_one("ConfigMap", "alert-rules")["data"]["helpdesk.yml"])["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_object_is_namespaced_and_in_the_namespace_asked_for() -> None:
    assert {item["kind"] for item in _rendered()} <= NAMESPACED
    assert {item["metadata"]["namespace"] for item in _rendered()} == {"story-7"}
    subjects = [subject for item in _rendered() for subject in item.get("subjects", ())]
    assert {subject["namespace"] for subject in subjects} == {"story-7"}


def test_no_placeholder_is_left_and_a_name_like_another_placeholder_stays() -> None:
    assert "demo-shop" not in render("story-7", "ops-3", 1)
    swapped = render("opsloop-system", "demo-shop", 1)
    assert "http://opsloop-intake.demo-shop.svc:8080/v1/namespaces/opsloop-system/alerts" in swapped


def test_the_seed_reaches_the_catalog_and_nobody_else() -> None:
    for name in PARTS:
        (container,) = _one("Deployment", name)["spec"]["template"]["spec"]["containers"]
        seeds = [entry["value"] for entry in container.get("env", ()) if entry["name"] == "CATALOG_SEED"]
        assert seeds == (["12"] if name == "catalog" else [])


def _variables(load: float, patience: float) -> dict[str, dict[str, str]]:
    """Part → its environment, for a machine of this speed."""
    items = yamls.load_all(render("story-7", "ops-3", 12, load, patience))
    containers = [i["spec"]["template"]["spec"]["containers"][0] for i in items if i["kind"] == "Deployment"]
    return {c["name"]: {entry["name"]: entry["value"] for entry in c.get("env", ())} for c in containers}


def test_a_slow_machine_gets_fewer_questions_and_longer_time_outs() -> None:
    variables = _variables(0.6, 1.7)
    assert variables["shoppers"]["RATE"] == "18.0"
    assert {name for name, env in variables.items() if env.get("PATIENCE") == "1.70"} == {"web", "answers", "shoppers"}
    as_written = _variables(1.0, 1.0)
    assert (as_written["shoppers"]["RATE"], as_written["web"]["PATIENCE"]) == ("30.0", "1.00")


def test_every_manifest_is_listed_for_kustomize() -> None:
    assert set(files()) == set(MANIFESTS.glob("*.yaml")) - {MANIFESTS / "kustomization.yaml"}


@pytest.mark.parametrize("name", ["Shop", "", "a_b", "-x"])
def test_a_name_that_no_namespace_can_have_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--namespace={name}"]) == 2
    assert "cannot be the name of a namespace" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "replicas"), PARTS.items())
def test_a_part_is_scraped_probed_limited_and_not_root(name: str, replicas: int) -> None:
    spec = _one("Deployment", name)["spec"]
    template, (container,) = spec["template"], spec["template"]["spec"]["containers"]
    assert spec["replicas"] == replicas and spec["selector"]["matchLabels"] == {"app": name}
    assert container["name"] == name and container["image"] == "opsloop/helpdesk:v1"
    assert template["metadata"]["annotations"] == {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    assert {"requests", "limits"} <= container["resources"].keys()
    assert container["readinessProbe"]["periodSeconds"] == 1
    assert template["spec"]["terminationGracePeriodSeconds"] > int(LAME_DUCK.get(name, "3")) + 5, (
        "lame duck and drain fit in"
    )
    assert _one("Service", name)["spec"]["selector"] == {"app": name}


def test_prometheus_sees_only_its_own_namespace() -> None:
    config = yamls.load(_one("ConfigMap", "prometheus")["data"]["prometheus.yml"])
    job = next(job for job in config["scrape_configs"] if "kubernetes_sd_configs" in job)
    assert [one["job_name"] for one in config["scrape_configs"] if one is not job] == ["opsloop"], (
        "beside it the operator"
    )
    assert job["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"own_namespace": True}}]
    assert config["global"]["scrape_interval"] == config["global"]["evaluation_interval"] == "1s"


def test_alertmanager_sends_all_to_the_intake_as_itself() -> None:
    config = yamls.load(_one("ConfigMap", "alertmanager")["data"]["alertmanager.yml"])
    (webhook,) = config["receivers"][0]["webhook_configs"]
    assert webhook["url"] == "http://opsloop-intake.ops-3.svc:8080/v1/namespaces/story-7/alerts"
    assert webhook["send_resolved"] is True
    volumes = _one("Deployment", "alertmanager")["spec"]["template"]["spec"]["volumes"]
    (token,) = [volume["projected"]["sources"][0]["serviceAccountToken"] for volume in volumes if "projected" in volume]
    assert token == {"audience": "opsloop", "expirationSeconds": 3600, "path": "token"}


@pytest.mark.parametrize(
    ("role", "resource", "account"),
    [
        pytest.param("alert-sender", "alerts", "alertmanager", id="Alertmanager sends alerts"),
        pytest.param("ticket-sender", "tickets", "helpdesk-tickets", id="the help desk sends tickets"),
    ],
)
def test_those_who_report_may_do_that_and_nothing_else(role: str, resource: str, account: str) -> None:
    assert _one("Role", role)["rules"] == [{"apiGroups": ["opsloop.dev"], "resources": [resource], "verbs": ["create"]}]
    assert [subject["name"] for subject in _one("RoleBinding", role)["subjects"]] == [account]


def test_every_alert_has_what_a_person_and_a_machine_need() -> None:
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    alerts = [rule for rule in _rules() if "alert" in rule]
    for alert in alerts:
        assert alert["labels"].keys() == {"severity", "team"}
        assert alert["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"[1-9]s|10s", alert["for"])
        used = alert["expr"].split(" > ")[0]
        assert used in recorded or alert["alert"] == "CatalogIndexStale"
    assert len({(alert["alert"], alert["labels"]["severity"]) for alert in alerts}) == len(alerts)


def test_v2_can_raise_fifty_alerts_when_counted_by_service_route_and_pod() -> None:
    series = {"service": 2, "route": 2 * 2, "pod": 4 + 2}
    scopes = [rule["expr"].split(":")[0] for rule in _rules() if "alert" in rule]
    assert sum(series[scope] for scope in scopes if scope in series) == 54
