"""Errands that opsloop runs for others: a webhook that it calls, a Job that it starts. Runbook steps and checks of a rollout have them."""

from datetime import timedelta

from pydantic import Field

from opsloop.api.meta import Duration, Model, Text
from opsloop.api.schema import longer_than_zero, map_list, says


class Webhook(Model):
    """Call of an address that the administrator allowed."""

    url: str = Field(
        max_length=1024,
        pattern=r"^https?://[^\s@#/]+(/[^\s@#]*)?$",
        description="URL that is called by POST with JSON; opsloop's settings must allow it. No redirect is followed.",
        json_schema_extra=says(
            "write a URL such as https://hooks.example.com/restart, without a user name and without #"
        ),
    )
    message: str = Field(default="", max_length=512, description="Text that is sent along.")


class Variable(Model):
    """Environment variable of a Job."""

    name: str = Field(
        max_length=128,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the variable.",
        json_schema_extra=says("a name has letters, digits and _ and does not begin with a digit, for example REGION"),
    )
    value: str = Field(
        default="",
        max_length=1024,
        description="Value of the variable; no secret, since everybody sees it who may read the object.",
    )


Quantity = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$"
QUANTITY = says("a quantity is a number with or without a unit, for example 500m or 256Mi")


class Job(Model):
    """Job that runs once in the namespace of who asks for it, restricted, with the ServiceAccount that is named there."""

    image: str = Field(min_length=1, max_length=1024, description="Image of the one container.")
    command: list[Text] = Field(
        default_factory=list, max_length=32, description="Entry point; the image's own if empty."
    )
    args: list[Text] = Field(default_factory=list, max_length=64, description="Arguments of the entry point.")
    env: list[Variable] = Field(
        default_factory=list,
        max_length=32,
        description="Variables beside opsloop's own, whose names begin with OPSLOOP_ and which these do not replace.",
        json_schema_extra=map_list("name"),
    )
    deadline: Duration = Field(
        default=timedelta(minutes=5),
        description="Time after which the Job is ended, and has failed.",
        json_schema_extra=longer_than_zero("deadline"),
    )
    token: bool = Field(
        default=False,
        description="Whether the Job has the token of the ServiceAccount. Without it, it runs as that account and can show nobody.",
    )
    cpu: str = Field(
        default="500m", max_length=16, pattern=Quantity, description="Limit of processors.", json_schema_extra=QUANTITY
    )
    memory: str = Field(
        default="256Mi", max_length=16, pattern=Quantity, description="Limit of memory.", json_schema_extra=QUANTITY
    )
