"""Checks of a rollout: Jobs and webhooks that a canary has to pass before it goes on from a weight, and their results."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from opsloop.api.errand import Job, Webhook
from opsloop.api.meta import Duration, Model, Time
from opsloop.api.schema import longer_than_zero, rules, says, set_list

MOST_CHECKS = 8
MOST_RESULTS = 24  # of one canary

JOB_OR_WEBHOOK = (
    "has(self.job) != has(self.webhook)",
    "checks: a check is either a job, for example job: {image: grafana/k6:1.0.0}, or a webhook, for example webhook: {url: https://hooks.example.com/confirm}",
)


class CheckJob(Job):
    """Job whose exit code says whether the canary is good: 0 passes it, any other rejects it."""

    attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description="How often a Job is started that gives no answer: refused, not started, evicted or ended by its deadline."
        " An exit code is an answer.",
    )


class CheckWebhook(Webhook):
    """Address that is asked by POST every ten seconds, until it says yes or no by the status of its answer."""

    timeout: Duration = Field(
        default=timedelta(hours=1),
        description="Time within which it must say yes or no. 2xx except 202 is yes; 409, 412, 417 and 422 are no; 202, 403 and 425"
        " mean not yet; everything else is no answer.",
        json_schema_extra=longer_than_zero("timeout"),
    )


class RolloutCheck(Model):
    """Question that a canary has to pass before it goes on from a weight."""

    model_config = ConfigDict(json_schema_extra=rules(JOB_OR_WEBHOOK))

    name: str = Field(
        min_length=1,
        max_length=32,
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        description="Name of the check.",
        json_schema_extra=says(
            "a name has lower-case letters, digits and -, and begins with a letter, for example load-test"
        ),
    )
    at: list[Annotated[int, Field(ge=0, le=99)]] = Field(
        default_factory=lambda: [0],
        min_length=1,
        max_length=20,
        description="Weights of steps at which it runs, once the weight is reached; 0 is the dark phase, when pods are ready and"
        " EvalCases passed. The canary goes on from there when it has passed.",
        json_schema_extra=set_list(),
    )
    job: CheckJob | None = Field(
        default=None,
        description="Job that runs once beside the canary, restricted, as spec.serviceAccountName; exit code 0 passes.",
    )
    webhook: CheckWebhook | None = Field(default=None, description="Address that is asked until it says yes or no.")
    inconclusive: Literal["hold", "abort"] = Field(
        default="hold",
        description="Reaction to a check that gives no answer: hold until a person says retry or promote, or abort. The revision"
        " is not blocked.",
    )
    dry_run: bool = Field(
        default=False,
        description="Only watch: it runs and its result is shown, and neither rejects nor holds the canary. A Job is waited for, at"
        " most for its deadline; a webhook is asked once.",
    )


class CheckResult(Model):
    """What came of one check at one weight."""

    name: str = Field(max_length=32, description="Name of the check.")
    weight: int = Field(ge=0, le=99, description="Weight at which it runs or ran; 0 is the dark phase.")
    id: str = Field(
        max_length=10, description="Mark of this try and of what the check asked: a check that was changed begins anew."
    )
    result: Literal["Running", "Passed", "Failed", "Unknown"] = Field(
        description="Running, Passed, Failed, or Unknown where it gave no answer."
    )
    reason: str = Field(default="", max_length=64, description="Named reason for what is waited for, or for no answer.")
    dry_run: bool = Field(default=False, description="Whether it only watches.")
    attempt: int = Field(default=1, ge=1, description="Number of the Job that runs or ran, from 1.")
    since: Time = Field(description="Time from which this attempt runs.")
    ended_at: Time | None = Field(default=None, description="Time at which the result was seen.")
    message: str = Field(default="", max_length=1024, description="Answer, or the end of the Job's log.")

    @property
    def is_running(self) -> bool:
        """True while neither an answer was given nor the time for it is over."""
        return self.result == "Running"
