"""Asks the API server what a ServiceAccount may do."""

import json

from opsloop.core.runbook.rights import identity
from opsloop.errors import OpsloopError
from opsloop.shell.evidence.sources import Raw

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


async def may(
    reader: Raw, namespace: str, account: tuple[str, str], right: tuple[str, str, str], name: str = ""
) -> bool | None:
    """Whether `account` (namespace, name) has `right` (group, resource with subresource, verb) in a namespace, on one object or on each.

    None where nobody says: the caller may create no SubjectAccessReview, or no answer came.
    """
    (home, user), (group, resource, verb) = account, right
    plural, _, sub = resource.partition("/")
    wanted = {
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": sub,
        "namespace": namespace,
        "name": name,
    }
    attributes = {key: value for key, value in wanted.items() if value}
    spec = {**identity(home, user).review, "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    try:
        code, answer = await reader.raw("POST", REVIEWS, None, None, review)
    except OpsloopError:
        return None
    return bool(json.loads(answer).get("status", {}).get("allowed")) if 200 <= code < 300 else None
