"""Revisions of a Release: pod templates that were live or tried, and why one is refused."""

from typing import Annotated

from pydantic import Field

from opsloop.api.meta import Digest, Model, Name, Text, Time
from opsloop.api.schema import map_list

MOST_ADDRESSES = 128  # of pods of one revision
MOST_ALSO = 16  # digests under which one revision was stored, and paths that are left out of its digest
LONGEST_PATH = 256
Path = Annotated[str, Field(max_length=LONGEST_PATH)]


class Blocked(Model):
    """Record that a revision is refused as a target."""

    reason: str = Field(
        max_length=64, description="Named reason, for example RolledBack, EvalFailed or AnalysisFailed."
    )
    message: str = Field(default="", max_length=1024, description="Explanation with the evidence.")
    incident: str = Field(default="", max_length=253, description="Incident that had the revision blocked, if any.")
    at: Time = Field(description="Time at which the revision was blocked.")


class PodAddress(Model):
    """Address that a pod of a revision had."""

    ip: str = Field(max_length=45, description="IP address of the pod.")
    since: Time = Field(description="Time at which the pod was first seen with it.")
    until: Time | None = Field(default=None, description="Time at which the pod was gone; absent while it is there.")


class Revision(Model):
    """Pod template that is or was live, or was tried as a canary."""

    digest: Digest = Field(description="Digest of the pod template.")
    number: int = Field(ge=1, description="Number of the revision within the Release, from 1.")
    version: str = Field(
        max_length=128,
        description="Version label from the spec, or the image's tag if the Deployment was changed directly.",
    )
    images: dict[str, Text] = Field(default_factory=dict, max_length=64, description="Images by container name.")
    also: list[Digest] = Field(
        default_factory=list,
        max_length=MOST_ALSO,
        description="Digests under which the API server stored the same revision, because it or admission changed the template.",
    )
    left_out: list[Path] = Field(
        default_factory=list,
        max_length=MOST_ALSO,
        description="JSON pointers to fields of the template that admission fills differently at each write; the digest leaves them out.",
    )
    base_images: dict[str, Text] = Field(
        default_factory=dict,
        max_length=64,
        description="Images that containers had before opsloop set them, by container name; the next target starts from these.",
    )
    base: str = Field(
        default="",
        max_length=64,
        description="Digest of the revision whose template a templatePatch was merged into; the next target starts from it.",
    )
    patch: str = Field(default="", max_length=64, description="Digest of that templatePatch; empty without one.")
    replica_sets: list[Name] = Field(
        default_factory=list,
        max_length=8,
        description="ReplicaSets that ran the revision, live or as a canary, oldest first; their pods' names tell its events apart.",
    )
    addresses: list[PodAddress] = Field(
        default_factory=list,
        max_length=MOST_ADDRESSES,
        description="Addresses of its pods, noted where no label of the SLI names a pod: they tell its events apart by the label instance.",
        json_schema_extra=map_list("ip"),
    )
    reason: str = Field(
        max_length=32, description="Origin of the revision: Adopted, Canaried, Direct, Drifted or Remembered."
    )
    manager: str = Field(
        default="", max_length=128, description="Field manager that wrote the template, if it was not opsloop."
    )
    shipped_without_canary: bool = Field(
        default=False,
        description="Whether the revision became live by a direct change of the Deployment, without a canary.",
    )
    rollback_unsafe: bool = Field(
        default=False,
        description="Whether nothing may be rolled back across this revision: its pod template, or the Release while it asked"
        ' for it, has the annotation opsloop.dev/rollback-safe: "false", for example after a schema migration.',
    )
    never_ran: bool = Field(
        default=False,
        description="Whether no pod of the revision was ever available on the Deployment, so that another one serves.",
    )
    live_since: Time | None = Field(default=None, description="Time at which the revision last became live.")
    served_since: Time | None = Field(
        default=None, description="Time from which its canary took traffic, the last time that it was one."
    )
    exposed_since: Time | None = Field(
        default=None,
        description="Time at which its first pod was available after it last became live; absent where nobody watched.",
    )
    rolled_out_at: Time | None = Field(
        default=None, description="Time from which no pod of an older revision was left, after that."
    )
    first_seen: Time = Field(description="Time at which opsloop first observed the revision.")
    proven_at: Time | None = Field(
        default=None,
        description="Time at which the revision had met the SLO for the bake time while live, which makes it last-good.",
    )
    blocked: Blocked | None = Field(
        default=None, description="Reason for refusing the revision as a target; absent if it is allowed."
    )
