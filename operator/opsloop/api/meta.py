"""What all four kinds share: durations, conditions, object metadata, the base model."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

GROUP = "opsloop.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d|w)")
# digits are few enough that a date minus any duration is still a date
DURATION_PATTERN = r"^([0-9]{1,6}(ms|s|m)|[0-9]{1,5}h|[0-9]{1,4}d|[0-9]{1,3}w)+$"


def parse_duration(text: Any) -> timedelta:
    """`"1h30m"` as a timedelta. Raises ValueError that says what would be right."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration; write for example 30s, 5m, 1h or 30d")
    return timedelta(seconds=sum(int(n) * _UNITS[u] for n, u in _DURATION.findall(text)))


def format_duration(value: timedelta) -> str:
    """The shortest Prometheus-style spelling of a duration: 90 s is `1m30s`, 0 is `0s`."""
    milliseconds = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _utc(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, so that times within one tick can be told apart."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


def parse_time(text: str) -> datetime:
    """RFC 3339 as a time-zone aware datetime. Raises ValueError."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": 24}),
]
Time = Annotated[
    datetime,
    BeforeValidator(_utc),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Severity = Literal["sev1", "sev2", "sev3", "sev4"]
PAGING: tuple[Severity, ...] = ("sev1", "sev2")  # severities that page a person
Digest = Annotated[str, Field(pattern=r"^[a-f0-9]{10,64}$", max_length=64)]
Name = Annotated[str, Field(min_length=1, max_length=253)]
Text = Annotated[str, Field(max_length=1024)]  # bounded, so that CEL's cost budget holds
Label = Annotated[str, Field(max_length=63)]


class Model(BaseModel):
    """Camel case outside, snake case inside; unknown fields are ignored when reading (a newer object must not
    crash an older operator; admission refuses them instead)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    def dump(self) -> dict[str, Any]:
        """As it is written to the API server: aliases, no nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ObjectMeta(Model):
    """The part of Kubernetes' ObjectMeta that opsloop reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Condition(Model):
    """A Kubernetes condition; `kubectl wait --for=condition=TYPE` reads it."""

    type: str = Field(max_length=64, description="What is said, for example Mitigated.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False, or Unknown.")
    reason: str = Field(max_length=64, description="A named reason in CamelCase; constants that people may search for.")
    message: str = Field(default="", max_length=2048, description="One sentence for a person.")
    last_transition_time: Time = Field(description="When status last changed.")


class StatusModel(Model):
    """The part that the statuses of all four kinds share."""

    conditions: list[Condition]
