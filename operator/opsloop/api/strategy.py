"""How a Release is shipped: the steps and the analysis of its canary, and the eval cases that gate it."""

from datetime import timedelta
from typing import Literal

from pydantic import ConfigDict, Field

from opsloop.api.check import MOST_CHECKS, RolloutCheck
from opsloop.api.eval_request import HEADERS_NAMED, PATH_SAYS, Tls
from opsloop.api.keep_warm import KeepWarm
from opsloop.api.meta import Duration, Label, Model, ObjectName, Text
from opsloop.api.pod_metadata import PodMetadata
from opsloop.api.schema import longer_than_zero, map_list, rules, says, set_list

RISING = (
    "self.map(s, s.weight).isSorted() && self.all(s, s.weight == 0 || self.exists_one(t, t.weight == s.weight))",
    "strategy.canary.steps: weights must rise from step to step, for example 20, 50, 100; steps with match or mirror come first",
)
LAST_IS_100 = (
    "self[size(self) - 1].weight == 100",
    "strategy.canary.steps: the last weight must be 100, which is the promotion",
)


FLOOR_ABOVE_WHAT_IS_IGNORED = (
    "!has(self.abortBelow) || !has(self.ignoreBelow) || self.ignoreBelow <= 1.000000001 - self.abortBelow",
    "analysis.ignoreBelow must not be above 1 - abortBelow, for example 0.01 with abortBelow: 0.99: an error ratio that is"
    " ignored rejects no canary, so abortBelow would have no effect",
)


ONE_KIND = (
    "(self.weight > 0 ? 1 : 0) + (has(self.match) ? 1 : 0) + (has(self.mirror) ? 1 : 0) == 1",
    "strategy.canary.steps: a step has one of weight (1 to 100), match and mirror, for example {weight: 20, hold: 10m}",
)
APPROVED_BY_WEIGHT = (
    "!has(self.approve) || !self.approve || self.weight > 0",
    "strategy.canary.steps: approve belongs to a step with a weight, such as the first one after match or mirror",
)
NAMED_ONCE = (
    "self.all(h, self.exists_one(o, o.name.lowerAscii() == h.name.lowerAscii()))",
    "strategy.canary.steps: match.headers has each header once, in upper or lower case",
)
HEADER_NAME = "write the name of a header, for example x-canary"

Method = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]


def _harmless() -> list[Method]:
    return ["GET", "HEAD"]


class HeaderMatch(Model):
    """Header that a request must have, with exactly this value."""

    name: str = Field(
        min_length=1,
        max_length=256,
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        description="Name of the header, in upper or lower case, for example x-canary.",
        json_schema_extra=says(HEADER_NAME),
    )
    value: str = Field(min_length=1, max_length=256, description="Value of the header.")


class Match(Model):
    """Requests that the canary gets, and no others."""

    headers: list[HeaderMatch] = Field(
        min_length=1,
        max_length=8,
        description="Headers that a request must have, all of them.",
        json_schema_extra=rules(NAMED_ONCE),
    )


class Mirror(Model):
    """Requests of users that are sent to the canary as well; its answers are thrown away."""

    percent: int = Field(default=100, ge=1, le=100, description="Share of the requests that is copied, in percent.")
    methods: list[Method] = Field(
        default_factory=_harmless,
        min_length=1,
        max_length=7,
        description="Methods that are copied. What a request does is done twice, by live and by the canary, so name others than"
        " GET, HEAD and OPTIONS only where that harms nobody.",
        json_schema_extra=set_list(),
    )


class Step(Model):
    """One step of a canary: a share of the traffic, or before that, behind an HTTPRoute, testers' or copied requests."""

    model_config = ConfigDict(json_schema_extra=rules(ONE_KIND, APPROVED_BY_WEIGHT))

    weight: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Share of traffic for the canary, in percent; the last step must be 100, which promotes the version. 0 with"
        " match or mirror.",
    )
    match: Match | None = Field(
        default=None,
        description="Requests that the canary gets at this step, such as those of testers; nobody else reaches it. With traffic:"
        " httpRoute.",
    )
    mirror: Mirror | None = Field(
        default=None,
        description="Requests that are copied to the canary at this step; live answers them. With traffic: httpRoute, and where"
        " the Gateway can copy requests.",
    )
    hold: Duration = Field(
        default=timedelta(0),
        description="Minimum time at this step, counted from when its weight, or its rule, is reached.",
    )
    approve: bool = Field(
        default=False, description="Wait for the annotation opsloop.dev/approve=VERSION/WEIGHT before this step."
    )

    @property
    def load(self) -> int:
        """Share of the requests that the canary has to carry, in percent; 0 for those of testers, which nobody knows."""
        return self.weight or (self.mirror.percent if self.mirror else 0)

    @property
    def words(self) -> str:
        """What the step sends to the canary, for a person: `weight 20`, `testers (x-canary: yes)`, `mirror 10 %`."""
        return words_of(self.weight, self.match, self.mirror)


def words_of(weight: int, match: Match | None, mirror: Mirror | None) -> str:
    """What a step of this kind sends to the canary, for a person."""
    if match is not None:
        return f"testers ({', '.join(f'{h.name}: {h.value}' for h in match.headers)})"
    return f"mirror {mirror.percent} %" if mirror is not None else f"weight {weight}"


class Analysis(Model):
    """Comparison of canary and live while the canary takes traffic: tests that stay valid however often one looks."""

    model_config = ConfigDict(json_schema_extra=rules(FLOOR_ABOVE_WHAT_IS_IGNORED))

    window: Duration = Field(
        default=timedelta(minutes=1),
        description="Window of the SLI readings by version that tell which version an Incident is about.",
        json_schema_extra=longer_than_zero("strategy.canary.analysis.window"),
    )
    min_events: int = Field(
        default=20,
        ge=1,
        le=1_000_000,
        description="Minimum number of canary events, counted since it took traffic, before the canary is good enough to go on.",
    )
    margin: float = Field(
        default=1.5,
        ge=1,
        le=100,
        description="Accepted ratio of the canary's error ratio to live's, at least 1. A canary that is surely worse is"
        " rejected; with 1, any true difference (a cold cache) is, given enough traffic.",
    )
    abort_below: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Fraction of good events that the canary must not surely be below, while live is above it; defaults"
        " to the objective. Of several objectives it is for the first; the others have their own.",
    )
    ignore_below: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Error ratio that rejects no canary, however much worse than live: a canary is rejected only if its"
        " own ratio is surely above it. Defaults to a quarter of the error budget; of several objectives it is for the first.",
    )
    false_rejects: float = Field(
        default=0.01,
        ge=0.0001,
        le=0.2,
        description="Accepted share of canaries that are as good as live and rejected by chance, over all looks at one canary"
        " and over all objectives together.",
    )
    warm_up: Duration = Field(
        default=timedelta(minutes=1),
        description="Time after its first traffic in which the canary is held against abortBelow alone and not compared"
        " with live, whose caches are warm.",
    )
    inconclusive: Literal["hold", "abort", "promote"] = Field(
        default="hold",
        description="Reaction to a canary whose traffic gives too few events within the hold and the patience: hold its"
        " step, abort, or promote (go on to the next step).",
    )
    patience: Duration = Field(
        default=timedelta(hours=1), description="Time beyond a step's hold to wait for enough events of the canary."
    )


CHECKS_AT_STEPS = (
    "!has(self.checks) || self.checks.all(c, c.at.all(w, w == 0 || self.steps.exists(s, s.weight == w)))",
    "checks: at has weights of strategy.canary.steps below 100, or 0 for the dark phase, for example at: [0, 20] with a step of weight 20",
)


class Canary(Model):
    """Canary rollout: a dark phase without traffic, then rising weights."""

    model_config = ConfigDict(json_schema_extra=rules(CHECKS_AT_STEPS))

    steps: list[Step] = Field(
        default_factory=lambda: [Step(weight=20), Step(weight=50), Step(weight=100)],
        min_length=1,
        max_length=20,
        description="Steps of the canary: first those with match or mirror, then rising weights; the last weight is 100.",
        json_schema_extra=rules(RISING, LAST_IS_100),
    )
    max_canary_replicas: int | None = Field(
        default=None, ge=1, le=1000, description="Maximum number of canary pods; defaults to the number of live pods."
    )
    analysis: Analysis = Field(
        default_factory=Analysis, description="Comparison of canary and live while the canary takes traffic."
    )
    checks: list[RolloutCheck] = Field(
        default_factory=list,
        max_length=MOST_CHECKS,
        description="Jobs and webhooks that the canary has to pass before it goes on from a weight, such as a load test or a confirmation.",
        json_schema_extra=map_list("name"),
    )
    without_service: bool = Field(
        default=False,
        description="Consent to a canary of a Deployment that no Service selects: its pods work as soon as they start (a queue"
        " worker), so that none is dark, and weights count pods and move no requests.",
    )
    canary_metadata: PodMetadata | None = Field(
        default=None, description="Labels and annotations of the canary's pods, from their creation on."
    )
    live_metadata: PodMetadata | None = Field(
        default=None,
        description="Labels and annotations of live pods while a canary runs beside them; each pod gets them by a patch and loses"
        " them at the end of the canary. The Deployment's template stays as it is.",
    )


class HttpRoute(Model):
    """Rules of an HTTPRoute (Gateway API v1) whose weights send users to the canary."""

    name: ObjectName = Field(description="Name of the HTTPRoute, in the Release's namespace.")
    service: ObjectName | None = Field(
        default=None,
        description="Name of the Service of the live pods, as the rules' backendRefs have it; defaults to the Deployment's name.",
    )
    rules: list[ObjectName] = Field(
        default_factory=list,
        max_length=16,
        description="Names of the rules whose weights are moved; empty: all that have the Service in their backendRefs.",
        json_schema_extra=set_list(),
    )


ROUTE_IS_NAMED = (
    "(has(self.traffic) && self.traffic == 'httpRoute') == has(self.httpRoute)",
    "strategy: traffic: httpRoute and httpRoute go together, for example traffic: httpRoute, httpRoute: {name: shop};"
    " leave both out for traffic by pods",
)
DIRECT_HAS_NO_WEIGHTS = (
    "!has(self.type) || self.type != 'direct' || !has(self.traffic) || self.traffic != 'httpRoute'",
    "strategy: type: direct moves no weights; leave traffic and httpRoute out, or write type: canary",
)

DIRECT_KEEPS_NONE_WARM = (
    "!has(self.type) || self.type != 'direct' || !has(self.keepWarm)",
    "strategy: type: direct is for Deployments beside which no other pods may run; leave keepWarm out, or write type: canary",
)
DIRECT_HAS_NO_CHECKS = (
    "!has(self.type) || self.type != 'direct' || !has(self.canary) || !has(self.canary.checks)",
    "strategy: type: direct has no canary that checks could ask; leave canary.checks out, or write type: canary",
)
RULES_NEED_A_ROUTE = (
    "(has(self.traffic) && self.traffic == 'httpRoute') || !has(self.canary) || !has(self.canary.steps)"
    " || self.canary.steps.all(s, !has(s.match) && !has(s.mirror))",
    "strategy: steps with match or mirror need an HTTPRoute that tells requests apart; add traffic: httpRoute and httpRoute:"
    " {name: shop}, or begin with a weight",
)


class Strategy(Model):
    """Rollout strategy of a new version."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ROUTE_IS_NAMED, DIRECT_HAS_NO_WEIGHTS, DIRECT_KEEPS_NONE_WARM, DIRECT_HAS_NO_CHECKS, RULES_NEED_A_ROUTE
        )
    )

    type: Literal["canary", "direct"] = Field(
        default="canary",
        description="canary: beside live, with rising weights. direct: the template is written at once, for Deployments of which only one"
        " pod may exist or whose pods pull their work; watched by the same SLO and rolled back by the same Runbook. canary has no effect then.",
    )
    canary: Canary = Field(
        default_factory=Canary,
        description="Canary rollout: pods of the new version start dark, without traffic, then take rising weights.",
    )
    traffic: Literal["replicas", "httpRoute"] = Field(
        default="replicas",
        description="What makes the weights: the number of canary pods behind the Deployment's Services, or the weights of an"
        " HTTPRoute, which are exact.",
    )
    http_route: HttpRoute | None = Field(
        default=None, description="HTTPRoute of the service; required for traffic: httpRoute."
    )
    back_within: Duration | None = Field(
        default=None,
        description="Time for which a version that was proven live may be gone back to without steps: where the spec asks for it"
        " again, the Deployment gets its template at once. Absent: it takes the steps of any version. A blocked one stays refused.",
        json_schema_extra=longer_than_zero("strategy.backWithin"),
    )
    keep_warm: KeepWarm | None = Field(
        default=None,
        description="Pods of last-good that are kept after each promotion, ready and without traffic: a rollback sends users to"
        " them at once. They need room beside the live pods; absent: none are kept.",
    )

    @property
    def steps(self) -> list[Step]:
        """The steps of a new version: of a direct one the promotion alone."""
        return [Step(weight=100)] if self.type == "direct" else self.canary.steps


ASKS_SOMETHING = (
    "self.path.contains('{{asked}}') || (has(self.body) && self.body.contains('{{asked}}'))",
    "ask must say where the question goes: {{asked}} in path or body, for example path: /ask?q={{asked}}",
)

ASKED_BY_ITS_METHOD = (
    "!has(self.body) || self.body == '' || self.method != 'GET'",
    "ask.body needs a method that has one: GET, the default, has none; add method: POST, or ask in path",
)
FIELD_OR_PATH = (
    "!self.startsWith('$')",
    "answerField is the name of a field, for example answer; a JSONPath such as $.choices[0].text goes into answerPath",
)


class EvalAsk(Model):
    """Template of the eval request that a ticket's example is turned into."""

    model_config = ConfigDict(json_schema_extra=rules(ASKS_SOMETHING, ASKED_BY_ITS_METHOD))

    method: Literal["GET", "POST", "PUT"] = Field(default="GET", description="HTTP method.")
    path: str = Field(
        min_length=1,
        max_length=1024,
        pattern=r"^/",
        description="Path and query, for example /ask?q={{asked}}; {{asked}} is replaced by the URL-escaped question.",
        json_schema_extra=says(PATH_SAYS),
    )
    body: str = Field(
        default="",
        max_length=8192,
        description='Body, for example {"question": "{{asked}}"}; {{asked}} is replaced by the question, escaped for a JSON string.',
    )
    headers: dict[str, Text] = Field(
        default_factory=dict,
        max_length=32,
        description="Additional headers; a body is JSON unless Content-Type says otherwise.",
        json_schema_extra=rules(HEADERS_NAMED),
    )
    tls: Tls | None = Field(default=None, description="TLS to the pod; plain HTTP if absent.")
    answer_field: str = Field(
        default="answer",
        max_length=128,
        description="Field of the JSON response that holds the answer.",
        json_schema_extra=rules(FIELD_OR_PATH),
    )
    answer_path: str = Field(
        default="",
        max_length=256,
        pattern=r"^(\$.*)?$",
        description="JSONPath (RFC 9535) of the answer, for example $.choices[0].text; takes the place of answerField.",
        json_schema_extra=says("a JSONPath begins with $, for example $.choices[0].text"),
    )


RECORDED_SOMEWHERE = (
    "(has(self.configMap) && self.configMap != '') || (has(self.path) && self.path != '')",
    "recorded must say where requests are recorded: configMap, the name of a ConfigMap, or path, an endpoint of the service",
)


class Recorded(Model):
    """Requests that the service recorded, by which a bad revision may be told from the good one after an Incident."""

    model_config = ConfigDict(json_schema_extra=rules(RECORDED_SOMEWHERE))

    config_map: str = Field(
        default="",
        max_length=253,
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$",
        description="ConfigMap of this namespace with recorded requests under any key: lines of an access log, JSON lines, or"
        " spans, as `opsloop capture` reads them. At most 20 requests are asked, those with a status of 500 or more first.",
        json_schema_extra=says("write the name of a ConfigMap in the Release's namespace, without the namespace"),
    )
    path: str = Field(
        default="",
        max_length=512,
        pattern=r"^(/.*)?$",
        description="Path of an endpoint of the service that answers with requests that it recorded lately, in the same forms;"
        " asked once by GET of live pods when an Incident burns, and kept without credentials beside the Incident.",
        json_schema_extra=says(PATH_SAYS),
    )
    methods: list[Method] = Field(
        default_factory=_harmless,
        min_length=1,
        max_length=7,
        description="Methods that are repeated in quarantine; others than GET, HEAD and OPTIONS may change what pods share.",
    )


class Evals(Model):
    """Selection of the EvalCases that gate a promotion, and access to the pods."""

    port: int = Field(ge=1, le=65535, description="Container port that eval requests are sent to.")
    match_labels: dict[str, Label] = Field(
        default_factory=dict,
        max_length=16,
        description="Labels that an EvalCase of this Release must have to gate it; empty selects all.",
    )
    repeats: int = Field(
        default=1, ge=1, le=20, description="Number of times that each case is run against canary and against live."
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Largest accepted difference between the pass rates of live and canary, as a fraction, over cases without mustPass.",
    )
    steady_repeats: int = Field(
        default=10,
        ge=0,
        le=100,
        description="Number of answers of a new live revision to each case from which a flaky one is told: one that is answered now"
        " right, now wrong, and is set aside until it is steady. 0: none are asked for beyond its result.",
    )
    ask: EvalAsk | None = Field(
        default=None,
        description="Template that turns a ticket's example into an EvalCase; without it no regression case is created.",
    )
    recorded: Recorded | None = Field(
        default=None,
        description="Recorded requests that the bad and the good revision are asked in quarantine after an Incident, where no"
        " better way gives a regression case; what the good one alone answers becomes the case.",
    )
    quarantine: Literal["ask", "auto", "never"] = Field(
        default="ask",
        description="Whether pods of a revision that is known to be bad may be started in quarantine to prove a case. ask: after the annotation opsloop.dev/approve=DIGEST on the EvalCase, with the digest of its spec.proof.bad. auto: at once. never: not at all.",
    )
