"""The SLO of a Release: objectives with their indicators, and burn-rate tiers."""

from datetime import timedelta
from typing import Annotated

from pydantic import ConfigDict, Field, PrivateAttr

from opsloop.api.meta import Duration, Model, Severity
from opsloop.api.schema import counts_events, longer_than_zero, map_list, milliseconds, rules, says

Query = Annotated[str, Field(min_length=1, max_length=2048)]

_METRIC = says(
    "write the name of the metric alone, for example http_requests_total, without braces or functions: label matchers go"
    " into selector, the PromQL is opsloop's"
)
Metric = Annotated[
    str, Field(min_length=1, max_length=256, pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", json_schema_extra=_METRIC)
]
_LABEL_NAME = says("write the name of a Prometheus label, for example pod: letters, digits and _")
LabelName = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", json_schema_extra=_LABEL_NAME)
]
MATCHERS = r"""^( *[a-zA-Z_][a-zA-Z0-9_]* *(=|!=|=~|!~) *("([^"\\]|\\.)*"|'([^'\\]|\\.)*') *(, *|$))*$"""
_MATCHERS = says(
    """write label matchers without braces, their values in quotes, for example route!="/healthz",status=~"5..\""""
)
Matchers = Annotated[str, Field(max_length=1024, pattern=MATCHERS, json_schema_extra=_MATCHERS)]
A_COUNTER = (
    "!self.endsWith('_bucket') && !self.endsWith('_sum')",
    "requests.counter must count each request once: a histogram's _count does, _bucket and _sum do not; for durations write latency",
)
A_HISTOGRAM = (
    "!self.endsWith('_bucket') && !self.endsWith('_count') && !self.endsWith('_sum')",
    "latency.histogram is the histogram's name without _bucket, _count and _sum, for example http_request_duration_seconds",
)
SOME_ARE_BAD = (
    "size(self) > 0",
    """requests.bad must say which of the requests are bad, for example status=~"5..\"""",
)
SOME_ARE_GOOD = (
    "!has(self.selector) || self.selector != self.bad",
    "requests.bad and requests.selector are the same, so that every request would be bad: selector says which requests count",
)
A_FRACTION = (
    "self > 0.0 && self < 1.0",
    "an objective is a fraction between 0 and 1, for example 0.999 for 99.9 %; with 1 there would be no error budget",
)
_PERIOD, _LONG = milliseconds("self.period"), milliseconds("t.long")
WITHIN_PERIOD = (
    f"!has(self.tiers) || self.tiers.all(t, {_LONG.replace('p,', 'q,').replace('p.', 'q.')} <= {_PERIOD})",
    "slo.tiers: a long window must not be longer than slo.period, over which the budget is counted, for example 3d of 30d",
)

ONE_FORM = (
    "[has(self.total), has(self.requests), has(self.latency)].filter(form, form).size() == 1",
    "slo.sli: give exactly one of requests, latency, and total (with good or bad)",
)
ONE_OF_GOOD_AND_BAD = (
    "has(self.total) ? has(self.good) != has(self.bad) : !has(self.good) && !has(self.bad)",
    "slo.sli: give exactly one of good and bad beside total; the other follows from total",
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

ALSO_REACHABLE = (
    "!has(self.also) || self.also.all(o, has(o.tiers) && o.tiers.size() > 0"
    " ? o.tiers.all(t, t.factor * (1.0 - o.objective) < 1.0)"
    " : !has(self.tiers) || self.tiers.all(t, t.factor * (1.0 - o.objective) < 1.0))",
    "slo.also: an objective cannot reach the factor of a tier, its own or that of slo.tiers: even if every event is bad, the"
    " burn rate is 1/(1 - objective); give it tiers of its own with lower factors, or raise its objective",
)
NAMED = (
    "!has(self.also) || self.also.size() == 0 || self.name != 'sli'",
    "slo.name: where slo.also has others, name the first objective as well, for example availability",
)
NAMED_APART = (
    "!has(self.also) || self.also.all(o, o.name != self.name)",
    "slo.also: each objective needs a name of its own, also apart from slo.name",
)
ONLY = "sli"
"""Name of an objective that nobody named: the only one of its Release."""
DEFAULT_SOURCE = "default"
"""Name of the Prometheus that the operator's own URL is of."""
MOST_ALSO = 4
_OBJECTIVE_NAME = says("an objective's name is of lower-case letters, digits and -, for example latency")
ObjectiveName = Annotated[
    str,
    Field(min_length=1, max_length=32, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", json_schema_extra=_OBJECTIVE_NAME),
]


_POD_LABEL = "Label that holds the name of the pod; default: the first of pod, kubernetes_pod_name, exported_pod and k8s_pod_name that does."


_SOURCE = says("write the name of one of prometheus.sources of the operator's chart, for example default, not a URL")
SourceName = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", json_schema_extra=_SOURCE)
]


class Requests(Model):
    """Requests that a counter counts, by pod; the PromQL is opsloop's."""

    model_config = ConfigDict(json_schema_extra=rules(SOME_ARE_GOOD))

    counter: Metric = Field(
        description="Name of the counter, for example http_requests_total.",
        json_schema_extra=_METRIC | rules(A_COUNTER),
    )
    selector: Matchers = Field(
        default="",
        description='Label matchers of the requests that count, without braces, for example route!="/healthz".'
        " Pods and namespace are added where the metric carries them.",
    )
    bad: Matchers = Field(
        min_length=1,
        description='Label matchers of the bad ones among them, without braces, for example status=~"5..".',
        json_schema_extra=_MATCHERS | rules(SOME_ARE_BAD),
    )
    pod_label: LabelName | None = Field(default=None, description=_POD_LABEL)


class Latency(Model):
    """Durations in a histogram, by pod: those up to a threshold are good. The PromQL is opsloop's."""

    histogram: Metric = Field(
        description="Name of the histogram without _bucket and _count, for example http_request_duration_seconds.",
        json_schema_extra=_METRIC | rules(A_HISTOGRAM),
    )
    selector: Matchers = Field(
        default="",
        description='Label matchers of the requests that count, without braces, for example route!="/healthz".'
        " Pods and namespace are added where the metric carries them.",
    )
    threshold: float = Field(
        gt=0,
        le=1_000_000,
        description="Longest good duration, in the histogram's unit (usually seconds); of a classic histogram the bound of a bucket.",
    )
    native: bool = Field(default=False, description="Whether the histogram is a native one, without buckets as series.")
    pod_label: LabelName | None = Field(default=None, description=_POD_LABEL)


class Sli(Model):
    """Service level indicator: the requests of a counter, the durations of a histogram, or PromQL that counts events."""

    model_config = ConfigDict(json_schema_extra=rules(ONE_FORM, ONE_OF_GOOD_AND_BAD))

    requests: Requests | None = Field(default=None, description="Availability by a counter of requests.")
    latency: Latency | None = Field(default=None, description="Latency by a histogram of durations.")
    good: Query | None = Field(
        default=None,
        description="PromQL expression for the number of good events over {{window}}.",
        json_schema_extra=counts_events("slo.sli.good"),
    )
    bad: Query | None = Field(
        default=None,
        description="PromQL expression for the number of bad events over {{window}}.",
        json_schema_extra=counts_events("slo.sli.bad"),
    )
    total: Query | None = Field(
        default=None,
        description="PromQL expression for the number of all events over {{window}}.",
        json_schema_extra=counts_events("slo.sli.total"),
    )
    _field: str = PrivateAttr("spec.slo.sli")

    @property
    def field(self) -> str:
        """Where in the Release a person wrote it, for messages."""
        return self._field

    def at(self, field: str) -> "Sli":
        """The same indicator, written there."""
        copy = self.model_copy()
        copy._field = field
        return copy


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


class Objective(Model):
    """Another objective of the same Release, with an indicator of its own; everything not given is that of the Slo."""

    name: ObjectiveName = Field(description="Name of the objective, for example latency.")
    objective: float = Field(
        gt=0,
        lt=1,
        description="Fraction of events that must be good, for example 0.99.",
        json_schema_extra=rules(A_FRACTION),
    )
    sli: Sli = Field(description="Indicator, in any form that slo.sli may have.")
    tiers: list[Tier] = Field(
        default_factory=list,
        max_length=8,
        description="Burn-rate tiers of this objective. Empty means those of the Slo, or the defaults where it has none.",
    )
    min_bad_events: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Minimum number of bad events in the long window for a tier to fire. Default: that of the Slo.",
    )


class Slo(Model):
    """Service level objective: objective, indicator and burn-rate tiers."""

    model_config = ConfigDict(json_schema_extra=rules(REACHABLE, ALSO_REACHABLE, NAMED, NAMED_APART, WITHIN_PERIOD))

    name: ObjectiveName = Field(
        default=ONLY, description="Name of the objective, for example availability; needed where also has others."
    )
    source: SourceName = Field(
        default=DEFAULT_SOURCE,
        description="Name of the Prometheus-compatible API that has the series, one of prometheus.sources of the operator's"
        " chart; default is the one of prometheus.url. The further objectives are read from it too.",
    )
    objective: float = Field(
        gt=0,
        lt=1,
        description="Fraction of events that must be good, for example 0.99.",
        json_schema_extra=rules(A_FRACTION),
    )
    period: Duration = Field(
        default=timedelta(days=30),
        description="Period over which the error budget is counted.",
        json_schema_extra=longer_than_zero("slo.period"),
    )
    sli: Sli = Field(
        description="Indicator: requests, latency, or total with exactly one of good and bad. {{pods}} in an expression is"
        " replaced by a regular expression over names of pods, {{version}} by one over version labels (.* for all), so that"
        " canary and live can be measured separately."
    )
    tiers: list[Tier] = Field(
        default_factory=list,
        max_length=8,
        description="Burn-rate tiers; a tier fires while both its windows exceed its factor. Empty means the four default tiers for the period.",
    )
    tell_unknown_after: Duration = Field(
        default=timedelta(minutes=15),
        description="Time for which the SLI must be unknown until a sev3 Incident, which pages nobody, says so.",
        json_schema_extra=longer_than_zero("slo.tellUnknownAfter"),
    )
    delay: Duration | None = Field(
        default=None,
        description="Time by which samples arrive late (remote write, a managed Prometheus), for example 2m; the SLI is"
        " evaluated so long ago. Default: the operator's OPSLOOP_PROMETHEUS_DELAY.",
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
        description="Time that a live revision must meet the SLO, with known telemetry, before it is last-good; it must hold enough events (24 good ones at an objective of 0.99, 254 at 0.999).",
    )
    also: list[Objective] = Field(
        default_factory=list,
        max_length=MOST_ALSO,
        description="Further objectives of the same Release, for example latency beside availability. The worst one decides:"
        " an Incident opens when a tier of any fires and is over when all are back; a canary is rejected for one and promoted"
        " by all; a revision is last-good when it met all.",
        json_schema_extra=map_list("name"),
    )
