"""A real API server takes docs/examples/ as they are: `apply --dry-run=server` of each, which stores nothing.

Runs where OPSLOOP_CONTRACT_KUBECONFIG names a cluster that has the CRDs.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.builders import yamls

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG", "")
pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG names no cluster")

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "docs" / "examples").glob("*.yaml"))
RESOURCES = {"Release": "releases", "Incident": "incidents", "Runbook": "runbooks", "EvalCase": "evalcases",
             "ServiceAccount": "serviceaccounts", "Role": "roles", "RoleBinding": "rolebindings"}  # fmt: skip
DOCUMENTS = [document for path in EXAMPLES for document in yamls.load_all(path.read_text())]


@pytest.mark.parametrize("document", [pytest.param(d, id=f"{d['kind']} {d['metadata']['name']}") for d in DOCUMENTS])
def test_the_api_server_takes_an_example_with_no_field_unknown(document: dict[str, Any]) -> None:
    from kubernetes import client, config

    config.load_kube_config(KUBECONFIG)
    api = client.ApiClient()
    group = document["apiVersion"]
    base = f"/apis/{group}" if "/" in group else f"/api/{group}"
    path = f"{base}/namespaces/default/{RESOURCES[document['kind']]}/{document['metadata']['name']}"
    query = "?dryRun=All&fieldManager=examples&force=true&fieldValidation=Strict"
    headers = {"Accept": "application/json", "Content-Type": "application/apply-patch+yaml"}
    answer = api.call_api("PATCH", api.configuration.host + path + query, headers, json.dumps(document))
    said = json.loads(answer.read())
    assert answer.status in (200, 201), said.get("message", said)
    assert said["metadata"]["name"] == document["metadata"]["name"]
