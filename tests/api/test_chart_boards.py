"""The Grafana boards of the chart: none unless asked for, and then each as a ConfigMap that holds it unchanged."""

import json
import subprocess
from typing import Any

import pytest

from tests.builders import yamls
from tools import boards, generate

HELM = generate.helm()
needs_helm = pytest.mark.skipif(not HELM, reason="no helm: $HELM, ~/.cache/opsloop/bin or the PATH")


def rendered(*sets: str) -> list[dict[str, Any]]:
    flags = [flag for one in ("image.repository=r.example/opsloop", *sets) for flag in ("--set", one)]
    command = [str(HELM), "template", "opsloop", str(generate.CHART), "-n", "ops", "--kube-version", "1.34.0", *flags]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [one for one in yamls.load_all(out) if one and "-board-" in one["metadata"]["name"]]


@needs_helm
def test_there_are_none_unless_they_are_asked_for() -> None:
    assert rendered() == []


@needs_helm
def test_each_board_is_a_config_map_that_grafanas_sidecar_finds() -> None:
    made = rendered(
        "dashboards.enabled=true", "dashboards.namespace=monitoring", "dashboards.annotations.grafana_folder=opsloop"
    )
    assert {one["metadata"]["name"] for one in made} == {
        f"opsloop-board-{name.removesuffix('.json')}" for name in boards.boards()
    }
    for one in made:
        assert one["metadata"]["namespace"] == "monitoring"
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"] == {"grafana_folder": "opsloop"}
        ((name, text),) = one["data"].items()
        assert json.loads(text) == json.loads(boards.boards()[name.removeprefix("opsloop-")])
