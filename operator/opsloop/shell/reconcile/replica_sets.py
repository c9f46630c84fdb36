"""Which ReplicaSets ran which revision: their names begin the names of the pods, by which an SLI is told apart."""

from collections.abc import Mapping

from opsloop.api.release import Release
from opsloop.core.release import identity, revisions
from opsloop.core.slo import promql
from opsloop.core.slo.objectives import objectives
from opsloop.names import CANARY, REVISION, WARM
from opsloop.shell.ports import REPLICASETS, Object
from opsloop.shell.reconcile.manifests import is_owned
from opsloop.shell.runtime import Runtime

_HASH = "pod-template-hash"


async def replica_sets(
    runtime: Runtime, release: Release, deployment: Object | None, canary: Object | None, warm: Object | None = None
) -> Mapping[str, tuple[str, ...]]:
    """Digest → names of the ReplicaSets of the Deployment, of its canary and of its warm pods, oldest first.

    Listed where the SLI is told by pods, when a Deployment has changed, and until those of both templates are there.
    """
    slo = release.spec.slo
    if slo is None or deployment is None or not any(promql.wants_pods(one.sli) for one in objectives(slo)):
        return {}
    ignored = release.spec.ignore_stamps
    key = (_generation(deployment), _generation(canary), _generation(warm), tuple(ignored))
    wanted = {_revision_of(deployment["spec"]["template"], release)}
    wanted |= {_recorded(one) for one in (canary, warm) if one}
    before, found = runtime.replica_sets.get(release.key, (None, {}))
    if before != key or not wanted <= set(found):
        found = await _listed(runtime, release, deployment, {CANARY: canary, WARM: warm})
        runtime.replica_sets[release.key] = (key, found)
    return found


async def _listed(
    runtime: Runtime, release: Release, deployment: Object, others: Mapping[str, Object | None]
) -> dict[str, tuple[str, ...]]:
    namespace, name = release.key
    own = await runtime.reader.list(REPLICASETS, namespace, deployment["spec"]["selector"].get("matchLabels", {}))
    pairs = [(_digest(one, release), one) for one in own if is_owned(one, {deployment["metadata"].get("uid")})]
    for key, other in others.items():
        ours = await runtime.reader.list(REPLICASETS, namespace, {key: name}) if other else []
        pairs += [(_recorded(one), one) for one in ours if other and is_owned(one, {other["metadata"].get("uid")})]
    found: dict[str, tuple[str, ...]] = {}
    for digest, one in sorted(pairs, key=lambda pair: str(pair[1]["metadata"].get("creationTimestamp", ""))):
        found[digest] = (*found.get(digest, ()), one["metadata"]["name"])
    return found


def _generation(obj: Object | None) -> tuple[str, int] | None:
    return (obj["metadata"].get("uid", ""), obj["metadata"].get("generation", 0)) if obj else None


def _recorded(obj: Object) -> str:
    """The digest that opsloop wrote on a template of the canary."""
    return str(obj["spec"]["template"]["metadata"]["labels"].get(REVISION, ""))


def _digest(obj: Object, release: Release) -> str:
    """The revision of a ReplicaSet's template, which is the Deployment's with one more label."""
    template = obj["spec"]["template"]
    labels = {key: value for key, value in template["metadata"].get("labels", {}).items() if key != _HASH}
    return _revision_of({**template, "metadata": {**template["metadata"], "labels": labels}}, release)


def _revision_of(template: Object, release: Release) -> str:
    """Digest of the revision that the template is of; its own for one that is not known yet."""
    ignored = release.spec.ignore_stamps
    known = identity.identify(template, release.status.revisions, {}, ignored)
    return known or revisions.digest(template, ignored)
