"""Steps of a Runbook: what each type does, how long it may take, whether the SLI says that it helped, and what comes next."""

from datetime import timedelta
from typing import Literal

from pydantic import ConfigDict, Field

from opsloop.api.errand import Job, Webhook
from opsloop.api.meta import Duration, Model
from opsloop.api.schema import longer_than_zero, no_default, rules

StepType = Literal["rollback", "abortCanary", "scale", "restart", "freeze", "webhook", "job", "wait", "escalate"]
Next = Literal["next", "escalate"]

OWN_FIELDS = ("scale", "freeze", "webhook", "job")  # types that take a field of their name; the others take none
OF_ITS_TYPE = tuple(
    (
        f"has(self.{field}) == (self.type == '{field}')",
        f"a step of type {field} says in its field {field} what to do, and no other type has that field",
    )
    for field in OWN_FIELDS
)
UNVERIFIED = (
    "!(self.type in ['wait', 'escalate', 'freeze']) || !has(self.verify)",
    "verify: wait only reads the SLI, escalate leaves it to a person and freeze mends nothing, so they have no verify",
)
HOW_MANY = (
    "has(self.replicas) != has(self.percent)",
    "scale: say either replicas, the number of pods to have, or percent of the present number, for example 150",
)


class Scale(Model):
    """Number of pods that a step scale wants. It only ever adds pods."""

    model_config = ConfigDict(json_schema_extra=rules(HOW_MANY))

    replicas: int | None = Field(default=None, ge=1, le=10000, description="Number of pods to have.")
    percent: int | None = Field(
        default=None,
        ge=101,
        le=1000,
        description="Number of pods to have, in percent of the present number; rounded up.",
    )
    max: int = Field(default=100, ge=1, le=10000, description="Number of pods that is never exceeded.")


class Freeze(Model):
    """Time in which no new canary starts."""

    duration: Duration = Field(
        default=timedelta(hours=1),
        description="Time until the freeze ends by itself; it ends earlier where its Incident is resolved.",
        json_schema_extra=longer_than_zero("duration"),
    )
    reason: str = Field(
        min_length=1, max_length=512, description="Reason, shown on each Release that has to wait for it."
    )
    scope: Literal["release", "namespace"] = Field(
        default="release",
        description="Whose canaries wait: those of the root Release, or of all Releases of the namespace.",
    )


class RunbookStep(Model):
    """Step of a Runbook."""

    model_config = ConfigDict(json_schema_extra=rules(*OF_ITS_TYPE, UNVERIFIED))

    type: StepType = Field(
        description="rollback: restore the last-good revision. abortCanary: take the canary in progress out of traffic."
        " scale: add pods. restart: replace the pods by new ones of the same template. freeze: start no new canary for a"
        " while. webhook: call an address. job: run a Job. wait: only watch the SLI. escalate: page a person; always the last step."
    )
    timeout: Duration = Field(
        default=timedelta(minutes=5),
        description="Time from when the step is in effect within which the SLI must be back; after it the step did not help.",
        json_schema_extra=longer_than_zero("timeout"),
    )
    verify: Literal["sli", "none"] | None = Field(
        default=None,
        description="sli: the SLI since the step is in effect says whether it helped, the default. none: the step is done"
        " when it is in effect, and the next one follows at once.",
        json_schema_extra=no_default,
    )
    if_not_helped: Next = Field(
        default="next",
        description="What follows where the step did not help, or nobody can say: the next step, or escalate.",
    )
    if_refused: Next = Field(
        default="next",
        description="What follows where the step was refused or could not be carried out: the next step, or escalate.",
    )
    scale: Scale | None = Field(default=None, description="Number of pods, for type scale.")
    freeze: Freeze | None = Field(default=None, description="Length, scope and reason, for type freeze.")

    webhook: Webhook | None = Field(default=None, description="Address and message, for type webhook.")
    job: Job | None = Field(default=None, description="Container and its limits, for type job.")

    @property
    def verified(self) -> bool:
        """Whether the SLI decides how the step ends."""
        return self.type != "freeze" and self.verify != "none"
