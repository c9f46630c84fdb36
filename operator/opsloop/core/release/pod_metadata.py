"""Labels and annotations of one's own, which the canary's pods and live pods have while a canary runs, and no longer.

The canary's pods have them from their creation on, by the template of their own Deployment. Live pods get them by a patch each,
and lose them by another: the user's template would replace all of them. What a pod got stands in an annotation of that same
patch, so that whoever finds a marked pod can put it back, wherever the process died. A key that a pod has from elsewhere is left
as it is: a Service may select pods by it.

What a canary began with stays: pods of the canary would be replaced for another set of labels.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from opsloop.api.pod_metadata import Added, PodMetadata, PodMetadataRecord
from opsloop.api.release import ReleaseStatus
from opsloop.api.target import Target
from opsloop.core import conditions
from opsloop.core.actions import MarkPods
from opsloop.core.decision import SOONEST_LOOK
from opsloop.core.facts import LivePod, ReleaseFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder
from opsloop.core.release.rollout_state import refusal_of
from opsloop.names import LIVE_METADATA

# Named reasons
AS_WRITTEN = "AsWritten"  # canary and live pods get the labels and annotations of the spec while a canary runs
KEY_IN_USE = "KeyInUse"  # pod template, selector or live pods have such a key: it is left out there
PODS_REFUSED = "PodsRefused"  # the API server does not let opsloop label live pods, or does not answer in time

CONDITION = "MetadataFits"  # condition: False while something of it is left out or refused
MOST_AT_ONCE = 50  # pods that one look patches: its other writes wait for them

NOTHING = Added()
Noted = Mapping[str, tuple[str, str | None]]


def record(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Records what pods have in addition while the present canary runs: before the first of its pods is created."""
    facts, status = builder.facts, builder.status
    target, known, spec = status.target, status.pod_metadata, facts.release.spec.strategy.canary
    wishes = (spec.canary_metadata or PodMetadata(), spec.live_metadata or PodMetadata())
    taken = _taken(facts, status, workload)
    canary, live = (_without(wish, taken) for wish in wishes)
    if any(wish.labels or wish.annotations for wish in wishes) or conditions.get(status.conditions, CONDITION):
        _tell(builder, wishes, (canary, live))
    if not facts.release.status.live and facts.live_pods:  # an earlier Release of its name has left them marked
        known = PodMetadataRecord(since=builder.now, marked=True)
        builder.set(pod_metadata=known)
    if target is None or not _is_beside_live(target) or target.digest not in facts.templates:
        return
    if known is not None and (known.digest, known.since) == (target.digest, target.started_at):
        return
    is_there = facts.canary is not None and facts.canary.digest == target.digest
    goes = target.started_at == builder.now  # one that is there when its target is recorded is deleted by that look
    if is_there and not goes:
        canary = NOTHING  # its pods are there without, from before an upgrade, and would be replaced
    marked = bool(known and known.marked) or not live.is_empty
    if canary.is_empty and not marked:
        builder.set(pod_metadata=None)
        return
    new = PodMetadataRecord(digest=target.digest, since=target.started_at, canary=canary, live=live, marked=marked)
    builder.set(pod_metadata=new)


def of_canary(status: ReleaseStatus, target: Target) -> Added:
    """What pods of the target's canary have in addition."""
    known = status.pod_metadata
    return known.canary if known is not None and known.digest == target.digest else NOTHING


def keep(builder: ReleaseBuilder) -> None:
    """Live pods have what is recorded while the canary runs, and what they had before once it is over.

    While the Deployment gets the canary's template its old pods go as they are, and the new ones are not marked.
    """
    target, known = builder.status.target, builder.status.pod_metadata
    if target is None or not _is_beside_live(target):
        take_off(builder)
    elif known is not None and known.marked and target.state != "Promoting" and builder.facts.stop is None:
        _patch(builder, known, known.live)


def take_off(builder: ReleaseBuilder) -> None:
    """Puts marked pods back as they were; forgets the record where none is left."""
    known = builder.status.pod_metadata
    if known is None:
        return
    if not (known.marked and _patch(builder, known, NOTHING)):
        builder.set(pod_metadata=None)


def is_marked(pod: LivePod) -> bool:
    """True where it has labels of one's own, or the record of them."""
    return LIVE_METADATA in pod.labels or LIVE_METADATA in pod.annotations


def marked_by(pod: LivePod) -> str:
    """The Release that had it marked; empty where its record cannot be read."""
    return str(_read(pod).get("release", ""))


def patch(pod: LivePod, wanted: Added, release: str) -> tuple[Mapping[str, Any], ...]:
    """The JSON patch by which a pod has `wanted` in addition to what it has without; empty where it does already.

    What somebody has changed on it since is left as it is, and so is a key that it has from elsewhere.
    """
    now, noted = _as_is(pod), _noted_on(pod)
    then = {kind: _restored(now[kind], noted[kind]) for kind in now}
    fits = {kind: {k: value for k, value in asked.items() if k not in then[kind]} for kind, asked in _by_kind(wanted)}
    if not any(fits.values()) and not is_marked(pod):
        return ()
    if LIVE_METADATA in pod.labels and marked_by(pod) == release and _has_already(noted, then, wanted):
        return ()
    if any(fits.values()):
        notes: dict[str, Any] = {"release": release}
        for kind, added in fits.items():
            notes |= {kind: {key: [value, None] for key, value in sorted(added.items())}}
            then[kind] |= added
        then["labels"][LIVE_METADATA] = "true"
        then["annotations"][LIVE_METADATA] = json.dumps(notes, separators=(",", ":"))
    operations = [op for kind in now for op in _operations(f"/metadata/{kind}", now[kind], then[kind])]
    return ({"op": "test", "path": "/metadata/resourceVersion", "value": pod.version}, *operations)


# --- parts


def _is_beside_live(target: Target) -> bool:
    return target.is_active and not target.direct and not target.back


def _taken(
    facts: ReleaseFacts, status: ReleaseStatus, workload: WorkloadFacts
) -> tuple[frozenset[str], frozenset[str]]:
    """Keys of labels, and of annotations, that pods have already or are selected by: as live runs, and as the target would."""
    target = status.target
    templates = [workload.template, facts.templates.get(target.digest, {}) if target else {}]
    metadata = [template.get("metadata") or {} for template in templates]
    labels = {key for one in metadata for key in one.get("labels") or {}}
    annotations = {key for one in metadata for key in one.get("annotations") or {}}
    return frozenset(labels | set(workload.selector) | workload.selector_keys), frozenset(annotations)


def _without(wish: PodMetadata, taken: tuple[frozenset[str], frozenset[str]]) -> Added:
    labels, annotations = taken
    return Added(
        labels={key: value for key, value in wish.labels.items() if key not in labels},
        annotations={key: value for key, value in wish.annotations.items() if key not in annotations},
    )


def _kept(builder: ReleaseBuilder) -> tuple[str, list[str]]:
    """A live pod that has keys of liveMetadata from elsewhere, with another value, and all such keys of live pods."""
    known, target = builder.status.pod_metadata, builder.status.target
    if known is None or target is None or known.digest != target.digest or not _is_beside_live(target):
        return "", []
    first, keys = "", set[str]()
    for pod in builder.facts.live_pods or ():
        now, noted = _as_is(pod), _noted_on(pod)
        for kind, asked in _by_kind(known.live):
            own = _restored(now[kind], noted[kind])
            found = {key for key, value in asked.items() if own.get(key, value) != value and key not in noted[kind]}
            keys |= {f"{kind.removesuffix('s')} {key}" for key in found}
            first = first or (pod.name if found else "")
    return first, sorted(keys)


def _tell(builder: ReleaseBuilder, wishes: tuple[PodMetadata, PodMetadata], fits: tuple[Added, Added]) -> None:
    left_out = sorted(
        {
            f"{word} {key}"
            for wish, fit in zip(wishes, fits, strict=True)
            for word, asked, given in (
                ("label", wish.labels, fit.labels),
                ("annotation", wish.annotations, fit.annotations),
            )
            for key in asked
            if key not in given
        }
    )
    known = builder.status.pod_metadata
    refusal = refusal_of(builder.facts, "pods", known.digest) if known else None
    first, kept = _kept(builder)
    if left_out or kept:
        texts = {
            f"left out, since the Deployment's pod template or its selector has it: {', '.join(left_out)}": left_out,
            f"left as it is on live pods that have it from elsewhere, such as {first}: {', '.join(kept)}": kept,
        }
        said = "; ".join(text for text, keys in texts.items() if keys)
        builder.condition(CONDITION, False, KEY_IN_USE, f"{said}; take another key")
    elif refusal is not None:
        builder.condition(CONDITION, False, PODS_REFUSED, f"live pods do not get liveMetadata: {refusal.message}")
    else:
        builder.condition(
            CONDITION, True, AS_WRITTEN, "canary and live pods get what the spec says while a canary runs"
        )


def _patch(builder: ReleaseBuilder, known: PodMetadataRecord, wanted: Added) -> bool:
    """True where a pod is not as wanted, or none is known yet."""
    facts, name = builder.facts, builder.facts.release.metadata.name
    if facts.live_pods is None:
        builder.look_again(SOONEST_LOOK)
        return True
    patches = [(pod.name, operations) for pod in facts.live_pods if (operations := patch(pod, wanted, name))]
    if not patches:
        if facts.live_pods_due is not None:
            builder.look_again(facts.live_pods_due)
        return False
    refusal = refusal_of(facts, "pods", known.digest)
    if refusal is not None and builder.now < refusal.again_at:
        builder.look_again(refusal.again_at - builder.now)
        return True
    builder.execute(MarkPods(name, tuple(patches[:MOST_AT_ONCE]), not wanted.is_empty, known.digest))
    builder.look_again(SOONEST_LOOK)
    return True


def _read(pod: LivePod) -> Mapping[str, Any]:
    """What the pod's annotation says of its marks; empty where it has none, or somebody wrote something else there."""
    try:
        read = json.loads(pod.annotations.get(LIVE_METADATA, "{}"))
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _as_is(pod: LivePod) -> dict[str, dict[str, str]]:
    return {"labels": dict(pod.labels), "annotations": dict(pod.annotations)}


def _by_kind(added: Added) -> tuple[tuple[str, Mapping[str, str]], ...]:
    return (("labels", added.labels), ("annotations", added.annotations))


def _noted_on(pod: LivePod) -> dict[str, dict[str, tuple[str, str | None]]]:
    read = _read(pod)
    return {kind: _noted(read.get(kind)) for kind in ("labels", "annotations")}


def _noted(kind: Any) -> dict[str, tuple[str, str | None]]:
    """Key → what it was set to, and what it is put back to. Whoever may write pods may write anything there."""
    pairs = kind.items() if isinstance(kind, dict) else ()
    return {str(key): (pair[0], pair[1]) for key, pair in pairs if _is_pair(pair)}


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], str | None)


def _has_already(noted: Mapping[str, Noted], own: Mapping[str, Mapping[str, str]], wanted: Added) -> bool:
    """True where it has all of it but what it has from elsewhere, and nothing more. Nobody's change of it is written over."""
    given = {kind: {key: value for key, (value, _) in noted[kind].items()} for kind in noted}
    return not wanted.is_empty and given == {
        kind: {key: value for key, value in asked.items() if key in noted[kind] or key not in own[kind]}
        for kind, asked in _by_kind(wanted)
    }


def _restored(now: Mapping[str, str], noted: Noted) -> dict[str, str]:
    """As it was before it was marked; a value that somebody has written since stays."""
    ours = {key: before for key, (value, before) in noted.items() if now.get(key) == value}
    kept = {key: value for key, value in now.items() if key != LIVE_METADATA and key not in ours}
    return kept | {key: before for key, before in ours.items() if before is not None}


def _operations(path: str, now: Mapping[str, str], then: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    if not now:
        if then:
            yield {"op": "add", "path": path, "value": dict(sorted(then.items()))}
        return
    for key in sorted({*now, *then}):
        place = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in then:
            yield {"op": "remove", "path": place}
        elif now.get(key) != then[key]:
            yield {"op": "add", "path": place, "value": then[key]}
