"""A real API server with our CRDs, as far as admission is concerned; OPSLOOP_CONTRACT_KUBECONFIG names it."""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.builders import yamls
from tests.contract.admission.objects import Object

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG", "")
CRDS = Path(__file__).resolve().parents[3] / "crds"
PLURALS = {"Release": "releases", "Incident": "incidents", "Runbook": "runbooks", "EvalCase": "evalcases"}
GROUP = "/apis/opsloop.dev/v1alpha1"


class Api:
    """Just enough of an API client to see what the server answers."""

    def __init__(self) -> None:
        from kubernetes import client, config

        config.load_kube_config(KUBECONFIG)
        self.client = client.ApiClient()

    def call(self, method: str, path: str, body: Any = None, kind: str = "json", user: str = "") -> tuple[int, Object]:
        """HTTP status and decoded answer."""
        headers = {"Accept": "application/json", "Content-Type": f"application/{kind}"}
        if user:
            headers["Impersonate-User"] = user
        sent = json.dumps(body) if kind.endswith("yaml") else body  # JSON is YAML
        answer = self.client.call_api(method, self.client.configuration.host + path, headers, sent)
        decoded: Object = json.loads(answer.read())
        return int(answer.status), decoded

    def apply(self, path: str, body: Object) -> Object:
        """Server-side apply."""
        status, answer = self.call(
            "PATCH",
            f"{path}/{body['metadata']['name']}?fieldManager=admission-test&force=true",
            body,
            "apply-patch+yaml",
        )
        assert status in (200, 201), answer
        return answer


@contextmanager
def own_namespace(api: Api) -> Iterator[str]:
    """A namespace of its own, with the CRDs served and established."""
    for path in sorted(CRDS.glob("*.yaml")):
        api.apply("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yamls.load(path.read_text()))
    name = f"admission-{uuid.uuid4().hex[:8]}"
    assert api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})[0] == 201
    until(lambda: all(api.call("GET", f"{GROUP}/namespaces/{name}/{plural}")[0] == 200 for plural in PLURALS.values()))
    yield name
    api.call("DELETE", f"/api/v1/namespaces/{name}")


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "the API server did not get there"
        time.sleep(0.2)


def create(api: Api, namespace: str, body: Object, dry: bool = True, user: str = "") -> tuple[int, Object]:
    """What the server says to a creation, which by default is a dry run."""
    query = "?fieldValidation=Strict" + ("&dryRun=All" if dry else "")
    return api.call("POST", f"{GROUP}/namespaces/{namespace}/{PLURALS[body['kind']]}{query}", body, user=user)
