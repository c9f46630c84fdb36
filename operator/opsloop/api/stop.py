"""Stop: the emergency switch. While one exists, opsloop only watches, tells and lowers."""

from pydantic import Field

from opsloop.api.meta import Model, ObjectModel


class StopSpec(Model):
    """Why opsloop must not act; written by people."""

    reason: str = Field(
        min_length=1,
        max_length=512,
        description="Why, and by whom: it is shown wherever opsloop says that it is stopped.",
    )


class Stop(ObjectModel):
    """A Stop object."""

    spec: StopSpec
