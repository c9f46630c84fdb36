"""Last-good kept warm, as people ask for it: pods of the revision to go back to, ready and without traffic, after a promotion."""

from datetime import timedelta

from pydantic import ConfigDict, Field

from opsloop.api.meta import Duration, Model
from opsloop.api.schema import longer_than_zero, milliseconds, rules

WAIT_IS_BOUNDED = (
    f"!has(self.wait) || {milliseconds('self.wait')} <= 3600000",
    "strategy.keepWarm.wait must be at most 1h, for example 1m: the promotion is written then, whether or not the pods are ready",
)


class KeepWarm(Model):
    """Pods of last-good beside a newly promoted version, so that a rollback has somewhere to send users at once."""

    model_config = ConfigDict(json_schema_extra=rules(WAIT_IS_BOUNDED))

    keep_for: Duration = Field(
        default=timedelta(minutes=30),
        alias="for",
        description="Time after a promotion for which pods of last-good are kept, ready and without traffic.",
        json_schema_extra=longer_than_zero("strategy.keepWarm.for"),
    )
    replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Number of these pods; defaults to half of the live pods, rounded up. After a rollback they have"
        " replicas / (live pods + replicas) of the traffic at once, behind an HTTPRoute all of it.",
    )
    wait: Duration = Field(
        default=timedelta(minutes=1),
        description="Longest time that a promotion waits until these pods are ready, before the Deployment gets its template.",
    )
