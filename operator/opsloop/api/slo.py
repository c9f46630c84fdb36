"""The SLO of a Release: objective, indicator and burn-rate tiers."""

from datetime import timedelta
from typing import Annotated

from pydantic import ConfigDict, Field

from opsloop.api.meta import Duration, Model, Severity
from opsloop.api.schema import contains_window, longer_than_zero, milliseconds, rules

Query = Annotated[str, Field(min_length=1, max_length=2048)]

ONE_OF_GOOD_AND_BAD = (
    "has(self.good) != has(self.bad)",
    "slo.sli: give exactly one of good and bad; the other follows from total",
)
SHORT_BEFORE_LONG = (
    f"{milliseconds('self.short')} > 0 && {milliseconds('self.short')} < {milliseconds('self.long')}",
    "slo.tiers: short must be longer than 0s and shorter than long, for example long 1h and short 5m",
)
REACHABLE = (
    "!has(self.tiers) || self.tiers.all(t, t.factor * (1.0 - self.objective) < 1.0)",
    "slo.tiers: the objective cannot reach this factor: even if every event is bad, the burn rate is 1/(1 - objective);"
    " lower the factor or raise the objective",
)


class Sli(Model):
    """Service level indicator: two PromQL expressions that count events over `{{window}}`."""

    model_config = ConfigDict(json_schema_extra=rules(ONE_OF_GOOD_AND_BAD))

    good: Query | None = Field(
        default=None,
        description="PromQL expression for the number of good events over {{window}}.",
        json_schema_extra=contains_window("slo.sli.good"),
    )
    bad: Query | None = Field(
        default=None,
        description="PromQL expression for the number of bad events over {{window}}.",
        json_schema_extra=contains_window("slo.sli.bad"),
    )
    total: Query = Field(
        description="PromQL expression for the number of all events over {{window}}.",
        json_schema_extra=contains_window("slo.sli.total"),
    )


class Tier(Model):
    """Multi-window burn-rate rule; it fires while the burn rate of both windows is above `factor`."""

    model_config = ConfigDict(json_schema_extra=rules(SHORT_BEFORE_LONG))

    long: Duration = Field(description="Long window, for example 1h.")
    short: Duration = Field(
        description="Short window, for example 5m; it makes the tier stop firing soon after the errors stop."
    )
    factor: float = Field(
        gt=0,
        le=10_000,
        description="Burn rate that both windows must exceed. A burn rate of 1 spends the whole error budget in one period.",
    )
    severity: Severity = Field(description="Severity of the Incident that the tier opens; sev1 and sev2 page a person.")


class Slo(Model):
    """Service level objective: objective, indicator and burn-rate tiers."""

    model_config = ConfigDict(json_schema_extra=rules(REACHABLE))

    objective: float = Field(gt=0, lt=1, description="Fraction of events that must be good, for example 0.99.")
    period: Duration = Field(
        default=timedelta(days=30),
        description="Period over which the error budget is counted.",
        json_schema_extra=longer_than_zero("slo.period"),
    )
    sli: Sli = Field(
        description="Indicator: total and exactly one of good and bad. {{version}} in an expression is replaced by a"
        " regular expression over version labels (.* for all), so that canary and live can be measured separately."
    )
    tiers: list[Tier] = Field(
        default_factory=list,
        max_length=8,
        description="Burn-rate tiers; a tier fires while both its windows exceed its factor. Empty means the four default tiers for the period.",
    )
    min_bad_events: int = Field(
        default=5, ge=1, le=100_000, description="Minimum number of bad events in the long window for a tier to fire."
    )
    resolve_after: Duration = Field(
        default=timedelta(minutes=5),
        description="Time that the SLI must stay within its objective before the Incident is resolved.",
    )
    bake_time: Duration = Field(
        default=timedelta(minutes=10),
        description="Time that a live revision must meet the SLO, with known telemetry, before it is last-good.",
    )
