"""Labels and annotations of one's own that pods have while a canary runs."""

from pydantic import Field

from opsloop.api.meta import Label, Model, Text, Time
from opsloop.api.schema import matches, rules

MOST = 16  # keys of each kind, for one sort of pods
# A qualified name, as Kubernetes takes it for the key of a label or an annotation
QUALIFIED = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
# Prefixes of others, and the labels by which ReplicaSets, StatefulSets and DaemonSets own their pods
RESERVED = r"(^|\.)(opsloop\.dev|kubernetes\.io|k8s\.io)/|^(pod-template-hash|controller-revision-hash)$"

NAMED = (
    f"self.all(k, size(k) <= 253 && {matches(QUALIFIED, 'k')})",
    "the key of a label or an annotation is a name as Kubernetes takes it, for example track or example.com/track",
)
FREE = (
    f"self.all(k, !{matches(RESERVED, 'k')})",
    "keys under opsloop.dev, kubernetes.io and k8s.io, and pod-template-hash, are not for you to set; write one of your own,"
    " for example track",
)


class Added(Model):
    """Labels and annotations, as they are recorded."""

    labels: dict[str, Text] = Field(default_factory=dict, max_length=MOST, description="Labels by key.")
    annotations: dict[str, Text] = Field(default_factory=dict, max_length=MOST, description="Annotations by key.")

    @property
    def is_empty(self) -> bool:
        """True where it names nothing."""
        return not (self.labels or self.annotations)


class PodMetadata(Model):
    """Labels and annotations that pods have in addition while a canary runs."""

    labels: dict[str, Label] = Field(
        default_factory=dict,
        max_length=MOST,
        description="Labels, none of which the pod template has; no selector of the Deployment may ask for one.",
        json_schema_extra=rules(NAMED, FREE),
    )
    annotations: dict[str, Text] = Field(
        default_factory=dict,
        max_length=MOST,
        description="Annotations, none of which the pod template has.",
        json_schema_extra=rules(NAMED, FREE),
    )


class PodMetadataRecord(Model):
    """What pods have in addition while one canary runs, recorded before any has it."""

    digest: str = Field(
        default="", max_length=64, description="Digest of the target whose canary it is; empty at adoption."
    )
    since: Time = Field(description="Time at which that target was recorded, or the Deployment adopted.")
    canary: Added = Field(default_factory=Added, description="What the canary's pods have in addition.")
    live: Added = Field(default_factory=Added, description="What live pods have in addition.")
    marked: bool = Field(
        default=False, description="Whether live pods may have some of it, from this canary or an earlier one."
    )
