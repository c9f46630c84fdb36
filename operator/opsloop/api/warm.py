"""Last-good kept warm, as the status of a Release has it."""

from typing import Literal

from pydantic import Field

from opsloop.api.meta import Digest, Model, Time
from opsloop.api.strategy import HttpRoute


class WarmPods(Model):
    """Pods of last-good that are kept warm, or were last."""

    digest: Digest = Field(description="Digest of the revision that the pods run.")
    version: str = Field(default="", max_length=128, description="Version label of that revision.")
    beside: Digest = Field(description="Digest of the revision whose promotion they are kept for.")
    state: Literal["Starting", "Warm", "Serving", "Over"] = Field(
        description="Starting until the pods are ready, Warm while they are ready and dark, Serving from a rollback until the"
        " Deployment is available, Over when they are gone or go."
    )
    replicas: int = Field(ge=1, le=1000, description="Number of pods that are kept.")
    pods: int = Field(
        default=0, ge=0, description="Number of these pods that may be in traffic, as decided; 0 while dark."
    )
    route: HttpRoute | None = Field(
        default=None,
        description="What the spec said of the HTTPRoute when they were to take traffic; absent where pods make the weights.",
    )
    routed: int = Field(
        default=0, ge=0, le=100, description="Weight that they are to have on the HTTPRoute, in percent, as decided."
    )
    since: Time = Field(description="Time at which it was decided to keep them.")
    until: Time | None = Field(
        default=None,
        description="Time until which they are kept; absent until the promoted template is on the Deployment.",
    )
    opened_at: Time | None = Field(default=None, description="Time at which it was decided that they take traffic.")
    served_at: Time | None = Field(default=None, description="Time at which all of them were seen in traffic.")
    ended_at: Time | None = Field(default=None, description="Time from which they leave the traffic, or go.")
    reason: str = Field(default="", max_length=64, description="Named reason for the state.")
    message: str = Field(default="", max_length=1024, description="Explanation of the state.")
