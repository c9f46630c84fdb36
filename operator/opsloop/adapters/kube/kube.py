"""Reader, Writer and Access of `shell.ports` on one API server."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from opsloop import names
from opsloop.adapters.kube.failures import failure
from opsloop.adapters.kube.transport import JSON_PATCH, Counter, Transport, _nothing, load, load_in_cluster
from opsloop.core.runbook.rights import Identity, reviewed
from opsloop.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from opsloop.shell.ports import PODS, Labels, Object, Resource

APPLY = "application/apply-patch+yaml"  # JSON is YAML
STRATEGIC = "application/strategic-merge-patch+json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"  # 406 from a server that knows it not
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
WATCH_SECONDS = 600  # then what exists is listed again, as for everything that is watched (`shell.watch.resync.PERIOD`)
WATCH_SILENCE = 90.0
LOG_BYTES = 65536
PAGE = 50  # objects' metadata in one answer; annotations alone may be 256 KiB of each
Fence = Callable[[], None]


def _open() -> None:
    """Does nothing: no fence."""


class Kube:
    """Reader, Writer and Access. `fence` is called right before every write; it raises LeadershipLost without the Lease."""

    def __init__(self, transport: Transport, fence: Fence = _open, manager: str = names.FIELD_MANAGER) -> None:
        self._transport = transport
        self._fence = fence
        self._manager = manager

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - of the later calls, not of this one
        fence: Fence = _open,
        count: Counter = _nothing,
        manager: str = names.FIELD_MANAGER,
    ) -> "Kube":
        """From a kubeconfig file (None = KUBECONFIG or ~/.kube/config). Invalid where it cannot be read."""
        return cls(Transport(await load(kubeconfig, context), timeout, count), fence, manager)

    @classmethod
    def in_cluster(cls, timeout: float = 10.0, fence: Fence = _open, count: Counter = _nothing) -> "Kube":
        """From the pod's service account. Invalid outside of a pod."""
        return cls(Transport(load_in_cluster(), timeout, count), fence)

    def fenced(self, fence: Fence) -> "Kube":
        """The same connections behind another fence; the Lease elector itself writes without one."""
        return Kube(self._transport, fence, self._manager)

    @property
    def server(self) -> str:
        """Base URL of the API server."""
        return self._transport.server

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.close()

    # Reader

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object. NotFound where it is not there."""
        return await self._transport.call("get", "GET", _path(resource, namespace, name), resource.plural)

    async def metadata(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object's `metadata`: the API server sends a PartialObjectMetadata. NotFound where it is not there."""
        path = _path(resource, namespace, name)
        return await self._transport.call("get", "GET", path, resource.plural, accept=METADATA)

    async def list(self, resource: Resource, namespace: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        """All objects of a namespace ("" = all namespaces) with these labels, in one page: a continue token can expire."""
        query = {"labelSelector": ",".join(f"{k}={v}" for k, v in labels.items())} if labels else None
        answer = await self._transport.call("list", "GET", _path(resource, namespace), resource.plural, query)
        named = {"apiVersion": resource.api_version, "kind": resource.kind}  # items of built-in lists come without
        return [{**named, **item} for item in answer.get("items") or []]

    # Watcher

    async def watch(
        self, resource: Resource, namespace: str, labels: Mapping[str, str]
    ) -> AsyncGenerator[Sequence[Object], None]:
        """`metadata` of what exists with these labels, then of each that is created or changed, for WATCH_SECONDS."""
        path, selector = _path(resource, namespace), ",".join(f"{k}={v}" for k, v in labels.items())
        version, token = "", ""
        while True:
            page = {"labelSelector": selector, "limit": str(PAGE), **({"continue": token} if token else {})}
            listed = await self._transport.call("list", "GET", path, resource.plural, page, accept=METADATA_LIST)
            yield [_identity(item["metadata"]) for item in listed.get("items") or []]
            version, token = str(listed["metadata"]["resourceVersion"]), listed["metadata"].get("continue") or ""
            if not token:
                break
        query = {
            "labelSelector": selector,
            "watch": "true",
            "allowWatchBookmarks": "true",  # one a minute: a connection that says less is dead
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        stream = self._transport.stream(path, resource.plural, query, METADATA, WATCH_SECONDS, WATCH_SILENCE)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield [_identity(event["object"]["metadata"])]

    # Writer

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """AlreadyExists where the name is taken."""
        return await self._write("create", "POST", _path(resource, namespace), resource, _typed(resource, body))

    async def apply(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Server-side apply (field manager opsloop, force) of an object that opsloop owns."""
        path = _path(resource, namespace, body["metadata"]["name"])
        return await self._write("patch", "PATCH", path, resource, _typed(resource, body), APPLY, {"force": "true"})

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str = "", version: str = "", orphan: bool = False
    ) -> None:
        """Delete in the background; NotFound is success. With `uid`, only that very object: another one there is success.
        With `version`, only at that resourceVersion: any other is a Conflict. `orphan`: what it owns stays."""
        propagation = "Orphan" if orphan else "Background"
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if uid or version:
            wanted = {"uid": uid, "resourceVersion": version}
            body["preconditions"] = {field: value for field, value in wanted.items() if value}
        call = self._transport.call(
            "delete", "DELETE", _path(resource, namespace, name), resource.plural, None, body, before=self._fence
        )
        try:
            await call
        except NotFound:
            return
        except Conflict:  # of the precondition: that very object is gone
            if not uid or version:
                raise

    async def json_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        ops: Sequence[Object],
        dry_run: bool = False,
        strict: bool = False,
    ) -> Object:
        """JSON patch; a failed `test` (or a path that is not there any more) is a Conflict.

        `dry_run`: defaults and admission are applied as in a write, and nothing is stored. Invalid where a webhook has side effects.
        `strict`: a field that the API server does not know is Invalid, and not left out.
        """
        query = {**({"dryRun": "All"} if dry_run else {}), **({"fieldValidation": "Strict"} if strict else {})}
        path = _path(resource, namespace, name)
        return await self._write("patch", "PATCH", path, resource, list(ops), JSON_PATCH, query)

    async def replace(self, resource: Resource, namespace: str, body: Object) -> Object:
        """PUT of the whole object; the resourceVersion in its metadata makes a stale one a Conflict."""
        return await self._write(
            "update", "PUT", _path(resource, namespace, body["metadata"]["name"]), resource, _typed(resource, body)
        )

    async def replace_status(self, resource: Resource, namespace: str, body: Object) -> Object:
        """PUT of /status; the resourceVersion in its metadata makes a stale one a Conflict. Returns the stored object."""
        path = _path(resource, namespace, body["metadata"]["name"]) + "/status"
        return await self._write("update", "PUT", path, resource, _typed(resource, body))

    async def patch_pod_condition(
        self, namespace: str, pod: str, uid: str, condition: Object, labels: Labels | None = None
    ) -> Object:
        """Strategic merge of one status condition of that very pod (`uid` may be empty); another pod there is a Conflict.

        Labels come (None: go) in the same write: the API server takes metadata of pods by their subresource as well.

        The field manager says whether it opens or closes, so that an audit log at level Metadata tells them apart.
        """
        metadata = {**({"uid": uid} if uid else {}), **({"labels": dict(labels)} if labels else {})}
        body: Object = {"status": {"conditions": [condition]}, **({"metadata": metadata} if metadata else {})}
        manager = {"fieldManager": names.GATE_OPEN if condition.get("status") == "True" else names.GATE_CLOSE}
        path = _path(PODS, namespace, pod) + "/status"
        try:
            return await self._write("patch", "PATCH", path, PODS, body, STRATEGIC, manager)
        except Invalid as error:  # how the API server says that the uid is another pod's: "field is immutable"
            if uid and "metadata.uid" in str(error):
                raise Conflict(str(error)) from error
            raise

    # Access (asks, stores nothing: no fence)

    async def review_token(self, token: str, audience: str) -> Identity | None:
        """Whose token it is, if valid for the audience ("": the API server's own), else None. Unavailable where nobody can say."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, **({"audiences": [audience]} if audience else {})},
        }
        status = await self._ask("/apis/authentication.k8s.io/v1/tokenreviews", "tokenreviews", body)
        if not status.get("authenticated") or (audience and audience not in (status.get("audiences") or [])):
            return None
        return reviewed(status.get("user") or {})

    async def allowed(self, who: Identity, verb: str, group: str, plural: str, namespace: str, name: str = "") -> bool:
        """LocalSubjectAccessReview: the right to ask is a namespace's; SubjectAccessReview for "" = all namespaces. `plural` may be `releases/status`.
        Unavailable where nobody can say."""
        resource, _, subresource = plural.partition("/")
        attributes = {
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "namespace": namespace,
            "name": name,
        }
        spec = {**who.review, "resourceAttributes": {k: v for k, v in attributes.items() if v}}
        kind = "LocalSubjectAccessReview" if namespace else "SubjectAccessReview"
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"namespace": namespace} if namespace else {},
            "spec": spec,
        }
        plurals, within = f"{kind.lower()}s", f"namespaces/{namespace}/" if namespace else ""
        status = await self._ask(f"/apis/authorization.k8s.io/v1/{within}{plurals}", plurals, body)
        return bool(status.get("allowed"))

    async def may(self, verb: str, group: str, plural: str, namespace: str) -> bool:
        """SelfSubjectAccessReview: whether opsloop itself may."""
        attributes = {"verb": verb, "group": group, "resource": plural, "namespace": namespace}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool((await self._ask(path, "selfsubjectaccessreviews", body)).get("allowed"))

    # Logs

    async def tail(self, namespace: str, pod: str, lines: int) -> str:
        """The last lines of a pod's one container, at most LOG_BYTES of them."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = {"tailLines": str(lines), "limitBytes": str(LOG_BYTES)}
        status, headers, data = await self._transport.raw("GET", path, query, {"Accept": "*/*"})
        if status != 200:
            raise failure(f"get {path}", status, headers, data)
        return data.decode(errors="replace")

    # more

    async def token(self, namespace: str, service_account: str, audience: str, seconds: int = 3600) -> str:
        """A token of a service account for one audience (TokenRequest); the API server wants at least 600 s."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        spec = {"audiences": [audience], "expirationSeconds": seconds}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = await self._transport.call("create", "POST", path, "serviceaccounts/token", None, body)
        return str(answer["status"]["token"])

    async def raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 - one call's deadline in seconds
    ) -> tuple[int, bytes]:
        """(status, body) of any path, for the API server's service and pod proxies. Unavailable where no answer came."""
        status, _, data = await self._transport.raw(method, path, query, headers, body, timeout)
        return status, data

    async def exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any,
        timeout: float,  # noqa: ASYNC109
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """The same with the headers of the answer."""
        status, got, data = await self._transport.raw(method, path, None, headers, body, timeout)
        return status, tuple((str(name), str(value)) for name, value in got.items()), data

    def forward(self, namespace: str, pod: str, port: int) -> AbstractAsyncContextManager[int]:
        """A port of 127.0.0.1 that leads to this port of the pod, for one connection. Forbidden or Unavailable where there is none."""
        return self._transport.forward(namespace, pod, port)

    # inside

    async def _write(
        self,
        verb: str,
        method: str,
        path: str,
        resource: Resource,
        body: Any,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Object:
        merged = {"fieldManager": self._manager, **(query or {})}
        return await self._transport.call(
            verb, method, path, resource.plural, merged, body, content, before=self._fence
        )

    async def _ask(self, path: str, plural: str, body: Object) -> Object:
        try:
            answer = await self._transport.call("create", "POST", path, plural, None, body)
        except Forbidden as error:  # our own right to ask is missing: that says nothing about the caller
            raise Unavailable(f"the operator may not create {plural}: {error}") from error
        status: Object = answer.get("status") or {}
        return status


def _identity(metadata: Object) -> Object:
    """What is kept of an object's metadata: annotations and managedFields may be as long as whoever wrote them likes."""
    return {key: metadata.get(key, "") for key in ("namespace", "name", "uid")}


def _path(resource: Resource, namespace: str, name: str = "") -> str:
    root = "/apis/" if "/" in resource.api_version else "/api/"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{resource.api_version}{scope}/{resource.plural}" + (f"/{name}" if name else "")


def _typed(resource: Resource, body: Object) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}
