"""What a team that may write Runbooks reaches with opsloop's rights, on a real cluster: its own Deployment, its own namespace, its own
account, and the addresses that the administrator allowed. Nothing else.

Runs where OPSLOOP_CONTRACT_KUBECONFIG names a cluster; the Job takes the operator's image, which `e2e.cluster images` puts there.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from opsloop.adapters.clock import SystemClock
from opsloop.adapters.kube import Kube
from opsloop.adapters.webhook import WebhookCaller
from opsloop.api.errand import Job
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.actions import CallWebhook, EndJob, StartJob
from opsloop.core.errands.job import job_name
from opsloop.core.facts import Address, Errand
from opsloop.core.incident.errands import manifest
from opsloop.core.runbook.rights import RIGHTS, identity
from opsloop.shell.ports import INCIDENTS, JOBS, PODS, Object, Resource
from opsloop.shell.reconcile.errands import Errands
from tests.builders import yamls
from tests.builders.objects import at as second
from tests.builders.objects import release
from tests.contract.admission.objects import at, named
from tests.contract.admission.server import KUBECONFIG

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG names no cluster"),
]
IMAGE = "opsloop/opsloop:dev"
NAMESPACES, ACCOUNTS = Resource("v1", "Namespace", "namespaces"), Resource("v1", "ServiceAccount", "serviceaccounts")
RBAC = "rbac.authorization.k8s.io/v1"
ROLES, BINDINGS = Resource(RBAC, "Role", "roles"), Resource(RBAC, "RoleBinding", "rolebindings")
CRDS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions")
OURS = [yamls.load(path.read_text()) for path in sorted((Path(__file__).resolve().parents[2] / "crds").glob("*.yaml"))]
RULES = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["answers"], "verbs": ["patch"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]
MILD = {"kind": "alerts", "at": "2026-11-23T14:00:00.250Z", "severity": "sev3"}
PROBE = """
import json, os, ssl, urllib.error, urllib.request
print("uid", os.getuid())
try:
    open("/x", "w")
    print("root can be written")
except OSError:
    print("root is read-only")
open("/tmp/x", "w").write("x")
there = "/var/run/secrets/kubernetes.io/serviceaccount"
print("token", os.path.exists(there))
if os.path.exists(there):
    trust = ssl.create_default_context(cafile=there + "/ca.crt")
    for namespace in (open(there + "/namespace").read(), os.environ["OTHER"]):
        url = "https://%s:%s/api/v1/namespaces/%s/pods" % (os.environ["HOST"], os.environ["PORT"], namespace)
        ask = urllib.request.Request(url, headers={"Authorization": "Bearer " + open(there + "/token").read()})
        try:
            print("pods", urllib.request.urlopen(ask, context=trust, timeout=10).status)
        except urllib.error.HTTPError as error:
            print("pods", error.code)
"""


@dataclass
class Tenant:
    """A namespace that enforces the Pod Security Standard "restricted", with a Runbook's account, and another team's beside it."""

    kube: Kube
    own: str
    other: str
    incident: Incident
    errands: Errands

    async def allowed(self, type_: str, namespace: str, item: Release) -> bool:
        """What opsloop asks the API server of the Runbook's account before it acts."""
        right, account = RIGHTS[type_], identity(self.own, "runbook")
        return await self.kube.allowed(account, right.verb, right.group, right.plural, namespace, right.object_of(item))

    async def outcome(self, type_: str) -> Errand:
        """What came of the errand, at its end."""
        for _ in range(180):
            found = await self.errands.of(self.running(type_))
            if found is not None and found.state != "Going":
                return found
            await asyncio.sleep(0.5)
        raise AssertionError(f"the {type_} did not end")

    def running(self, type_: str) -> Incident:
        """The Incident with a play of this type that runs."""
        play = {"runbook": "b", "step": 0, "type": type_, "attempt": 1, "state": "Running", "requestedAt": second(0)}
        status = self.incident.status.model_validate({"plays": [play]})
        return self.incident.model_copy(update={"status": status})


@pytest_asyncio.fixture
async def tenant() -> AsyncIterator[Tenant]:
    kube = await Kube.connect(KUBECONFIG)
    mark = uuid.uuid4().hex[:8]
    own, other = f"tenant-{mark}", f"tenant-other-{mark}"
    for document in OURS:
        await kube.apply(CRDS, "", document)
    for name in (own, other):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        await kube.create(NAMESPACES, "", {"metadata": {"name": name, "labels": labels}})
        await kube.create(ACCOUNTS, name, {"metadata": {"name": "runbook"}})
    await kube.create(ROLES, own, {"metadata": {"name": "runbook"}, "rules": RULES})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runbook"}
    subject = {"kind": "ServiceAccount", "name": "runbook", "namespace": own}
    await kube.create(BINDINGS, own, {"metadata": {"name": "runbook"}, "roleRef": ref, "subjects": [subject]})
    stored = await kube.create(INCIDENTS, own, named("answers-1", at("Incident", signal=MILD)))
    errands = Errands(kube, kube, kube, WebhookCaller(), SystemClock(), lambda key: None)
    try:
        yield Tenant(kube, own, other, Incident.model_validate(stored), errands)
    finally:
        await errands.close()
        for name in (own, other):
            await kube.delete(NAMESPACES, "", name)
        await kube.close()


async def test_its_account_reaches_its_own_deployment_and_no_other_and_no_other_namespace(tenant: Tenant) -> None:
    own, foreign = release("answers"), release("billing", workloadRef={"name": "billing"})
    for type_ in ("rollback", "scale", "restart"):
        assert await tenant.allowed(type_, tenant.own, own)
        assert not await tenant.allowed(type_, tenant.own, foreign), "another Deployment"
        assert not await tenant.allowed(type_, tenant.other, own), "another namespace"
    for type_ in ("abortCanary", "freeze", "webhook"):
        assert not await tenant.allowed(type_, tenant.own, own), "what nobody gave it"
    assert await tenant.allowed("job", tenant.own, own) and not await tenant.allowed("job", tenant.other, own)
    assert await tenant.kube.may("create", "batch", "jobs", tenant.own), "opsloop itself"


async def run(tenant: Tenant, job: dict[str, Any]) -> tuple[Errand, Object]:
    """What became of a Job, with its pod."""
    name = job_name("answers-1", 0, 1)
    asked = Job.model_validate({"image": IMAGE, "command": ["python3", "-c", PROBE], "deadline": "1m", **job})
    variables = {"OTHER": tenant.other, "HOST": "kubernetes.default.svc", "PORT": "443"}
    body = manifest(name, tenant.incident, "runbook", asked, variables)
    await tenant.errands.start(tenant.own, StartJob("Incident", "answers-1", "job-1", body))
    await tenant.errands.start(
        tenant.own, StartJob("Incident", "answers-1", "job-1", body)
    )  # as after a crash: nothing
    ended = await tenant.outcome("job")
    (pod,) = await tenant.kube.list(PODS, tenant.own, {"batch.kubernetes.io/job-name": name})
    return ended, pod


async def test_a_job_runs_restricted_as_the_runbooks_account_and_without_its_token(tenant: Tenant) -> None:
    ended, pod = await run(tenant, {})
    assert ended.state == "Done", ended
    assert ended.tail.splitlines() == ["uid 65534", "root is read-only", "token False"]
    assert pod["spec"]["serviceAccountName"] == "runbook"
    await tenant.errands.end(tenant.own, EndJob("answers-1", job_name("answers-1", 0, 1)))


async def test_with_its_token_a_job_reaches_what_the_account_may_and_no_other_namespace(tenant: Tenant) -> None:
    ended, _ = await run(tenant, {"token": True})
    assert ended.state == "Done", ended
    assert ended.tail.splitlines()[2:] == ["token True", "pods 200", "pods 403"]


async def test_a_job_is_ended_by_its_deadline(tenant: Tenant) -> None:
    sleeps = {
        "command": ["python3", "-c", "import time; print('begun', flush=True); time.sleep(300)"],
        "deadline": "5s",
    }
    ended, _ = await run(tenant, sleeps)
    assert ended.state == "Failed" and "deadline" in ended.message, ended
    assert ended.tail == "begun", "its log is still there"


async def test_a_job_as_somebody_else_or_with_more_than_restricted_is_refused_by_the_api_server(tenant: Tenant) -> None:
    """What no step can ask for; if it ever could, the namespace's own standard would still refuse it."""
    body = manifest("j", tenant.incident, "runbook", Job(image=IMAGE), {})
    body["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    created = await tenant.kube.create(JOBS, tenant.own, body)  # the standard judges pods, not what makes them
    for _ in range(40):
        said = (await tenant.kube.get(JOBS, tenant.own, created["metadata"]["name"])).get("status", {})
        if await tenant.kube.list(PODS, tenant.own, {"batch.kubernetes.io/job-name": "j"}):
            raise AssertionError(f"a privileged pod was created: {said}")
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "allowed", [pytest.param(False, id="that nobody allowed"), pytest.param(True, id="not as internal")]
)
async def test_a_webhook_into_the_cluster_is_never_called(tenant: Tenant, allowed: bool) -> None:
    service = await tenant.kube.get(Resource("v1", "Service", "services"), "default", "kubernetes")
    url = f"https://{service['spec']['clusterIP']}/version"
    tenant.errands.addresses = (Address(url),) if allowed else (Address("https://hooks.example.com/"),)
    tenant.errands.call(tenant.own, CallWebhook("Incident", "answers-1", "webhook-1", url, {}, "k"))
    ended = await tenant.outcome("webhook")
    assert (ended.state, ended.reason) == ("Refused", "AddressNotAllowed")
    assert ("private address" in ended.message) == allowed
