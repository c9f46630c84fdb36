"""Types that the four kinds share: durations, times, conditions, object metadata and the base models."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from opsloop.api.schema import says

GROUP = "opsloop.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FIRST_YEAR, LAST_YEAR = (
    1900,
    9000,
)  # of times: a century and more from the ends of what datetime knows, so that any duration fits

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d|w)")
# Digits are limited so that subtracting any duration from a present date stays within datetime's range.
DURATION_PATTERN = r"^([0-9]{1,6}(ms|s|m)|[0-9]{1,5}h|[0-9]{1,4}d|[0-9]{1,3}w)+$"
DURATION_SAYS = "a duration is a whole number and ms, s, m, h, d or w without blanks, for example 30s, 5m, 1h30m or 30d"


_DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY = {f"{letter}i": 2 ** (10 * n) for n, letter in enumerate("KMGTPE", start=1)}
_SMALL = {"m": Decimal("0.001"), "u": Decimal("0.000001"), "n": Decimal("0.000000001")}


def quantity(text: Any) -> Decimal:
    """A quantity of Kubernetes: 100m, 1.5Gi, 2e3. Raises ValueError."""
    plain = str(text)
    factor: Decimal | int = 1
    for unit, value in (*_BINARY.items(), *_SMALL.items(), *_DECIMAL.items()):
        if unit and plain.endswith(unit):
            plain, factor = plain[: -len(unit)], value
            break
    try:
        return Decimal(plain) * factor
    except InvalidOperation:
        raise ValueError(f"{text!r} is no quantity") from None


def parse_duration(text: Any) -> timedelta:
    """Parses a Prometheus-style duration such as `1h30m`. Raises ValueError with examples of valid ones."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration; write for example 30s, 5m, 1h or 30d")
    return timedelta(seconds=sum(int(n) * _UNITS[u] for n, u in _DURATION.findall(text)))


@lru_cache(maxsize=4096)
def format_duration(value: timedelta) -> str:
    """Formats a duration in its shortest Prometheus-style spelling: 90 s is `1m30s`, 0 is `0s`."""
    milliseconds = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def as_utc(value: datetime) -> datetime:
    """The same time as UTC. Raises ValueError for one of a year with which no computation is possible."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    if not FIRST_YEAR <= aware.year <= LAST_YEAR:
        raise ValueError(f"{value.isoformat()} is not a time between the years {FIRST_YEAR} and {LAST_YEAR}")
    return aware.astimezone(UTC)


def format_time(value: datetime) -> str:
    """Formats a time as RFC 3339 in UTC with milliseconds, so that two times within one tick differ."""
    return f"{value.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def parse_time(text: str) -> datetime:
    """Parses RFC 3339 as UTC; without an offset it is. Raises ValueError."""
    return as_utc(datetime.fromisoformat(text))


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": 24, **says(DURATION_SAYS)}),
]
Time = Annotated[
    datetime,
    AfterValidator(as_utc),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Severity = Literal["sev1", "sev2", "sev3", "sev4"]
PAGING: tuple[Severity, ...] = ("sev1", "sev2")  # severities that page a person
Digest = Annotated[str, Field(pattern=r"^[a-f0-9]{10,64}$", max_length=64)]
Name = Annotated[str, Field(min_length=1, max_length=253)]
ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=says(
            "write the name of the object alone, for example answers, without kind or namespace: lower-case letters,"
            " digits, - and .",
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        ),
    ),
]
"""Name of another object in the same namespace, as people write it."""
Text = Annotated[str, Field(max_length=1024)]  # bounded, so that CEL's cost budget holds
Label = Annotated[
    str,
    Field(
        max_length=63,
        json_schema_extra=says(
            "no label has this value: letters, digits, -, _ and . in between, for example help-desk",
            pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        ),
    ),
]
"""Value of a label, as people write it."""


class Model(BaseModel):
    """Base of all API models: frozen, camelCase in JSON, snake_case in Python.

    Unknown fields are ignored when reading, because an older operator must survive a newer object; the API server
    rejects them at admission instead.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    def dump(self) -> dict[str, Any]:
        """Returns the JSON object that the API server stores: camelCase keys, no nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ObjectMeta(Model):
    """The fields of Kubernetes' ObjectMeta that opsloop reads."""

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
    """A Kubernetes condition; `kubectl wait --for=condition=TYPE` works on it."""

    type: str = Field(max_length=64, description="Type of the condition, for example Mitigated.")
    status: Literal["True", "False", "Unknown"] = Field(description="Status of the condition.")
    reason: str = Field(max_length=64, description="Named reason for the status, in CamelCase; see docs/reasons.md.")
    message: str = Field(default="", max_length=2048, description="Explanation of the status, with its evidence.")
    last_transition_time: Time = Field(description="Time of the last change of status.")


class StatusModel(Model):
    """Base of the four kinds' statuses."""

    conditions: list[Condition]


class ObjectModel(Model):
    """Base of the four kinds: one namespaced object."""

    metadata: ObjectMeta

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name
