"""Mistakes that one object shows by itself, as people make them, each with what the API server must say of it.

`field` and `right` are parts of the answer: where the mistake is, and what would be right. A row of grade FIELD is one
where the API server's own message stands alone and names only the field: an unknown one, or a missing one.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.contract.admission.objects import LATENCY, Object, at, named


class Grade(Enum):
    """How good an answer is."""

    GOOD = "names the field and what would be right"
    FIELD = "names the field only"
    SILENT = "takes the object"


@dataclass(frozen=True)
class Mistake:
    """One row: what somebody did, the object, the field in the answer, what would be right, and the grade expected."""

    sentence: str
    body: Object
    field: str
    right: str
    grade: Grade = Grade.GOOD

    def graded(self, said: list[str]) -> Grade:
        """The grade of an answer; one that does not even name the field is as good as none."""
        text = "\n".join(said)
        if self.field not in text:
            return Grade.SILENT
        return Grade.GOOD if self.right and self.right in text else Grade.FIELD


DURATION = "a duration is a whole number and ms, s, m, h, d or w without blanks, for example 30s, 5m, 1h30m or 30d"
FRACTION = "an objective is a fraction between 0 and 1, for example 0.999 for 99.9 %"
ALONE = "write the name of the object alone"
METRIC = "write the name of the metric alone"
MATCHERS = "write label matchers without braces"
NO_COUNT = "must be a number of events, not events per second: write increase("
A_RATIO = "must be a number of events, not a ratio"
NO_URL = "write a path that begins with /, for example /ask?q=refund, not a URL"
AT_LEAST_ONE, AT_MOST_ONE = "should be greater than or equal to 1", "should be less than or equal to 1"
W = "{{window}}"
SLI, TIER, STEPS, ANALYSIS = (
    "slo__sli",
    "slo__tiers__0__",
    "strategy__canary__steps",
    "strategy__canary__analysis",
)


CHECK, LOAD = "spec.strategy.canary.checks[0]", {"name": "load", "job": {"image": "k6:1"}}


def release(**changes: Any) -> Object:
    return at("Release", **changes)


def checked(**check: Any) -> Object:
    return release(serviceAccountName="checks", strategy={"canary": {"checks": [check]}})


def runbook(**changes: Any) -> Object:
    return at("Runbook", **changes)


def case(**changes: Any) -> Object:
    return at("EvalCase", **changes)


def measured(**changes: Any) -> Object:
    """A check under load with a measure; a change of None leaves the field out."""
    whole = {"name": "memory", "query": 'max(max_over_time(rss{pod="{{pod}}"}[{{window}}]))', "max": "200Mi"}
    one = {name: value for name, value in (whole | changes).items() if value is not None}
    return case(mustPass=True, load={"requestsPerSecond": 20, "duration": "30s", "measured": [one]})


def incident(**changes: Any) -> Object:
    return at("Incident", **changes)


def sli(kind: str, **fields: Any) -> Object:
    """A Release whose SLI is of one of the forms that opsloop writes the PromQL of."""
    whole: dict[str, dict[str, Any]] = {
        "requests": {"counter": "hits_total", "bad": 'code="500"'},
        "latency": {"histogram": "took_seconds", "threshold": 0.3},
    }
    return release(slo__sli={kind: {**whole[kind], **fields}})


def counted(bad: str, total: str = f"sum(increase(a[{W}]))") -> Object:
    return release(slo__sli={"bad": bad, "total": total})


def asked(**ask: Any) -> Object:
    return release(evals={"port": 80, "ask": ask})


def expecting(**expect: Any) -> Object:
    return case(expect=expect)


RELEASES = [
    Mistake("a name in upper case", named("Answers", release()), "metadata.name", "lowercase RFC 1123 subdomain"),
    Mistake("a name that is too long", named("r" * 46, release()), "metadata.name", "at most 45 characters"),
    Mistake("a Release that depends on itself", named("answers", release(dependsOn=["answers"])), "spec.dependsOn", "must not name this Release itself"),
    Mistake("a dependency with its namespace", release(dependsOn=["shop/catalog"]), "spec.dependsOn[0]", ALONE),
    Mistake("one dependency as a text", release(dependsOn="catalog"), "spec.dependsOn", "must be of type array"),
    Mistake("a dependency twice", release(dependsOn=["a", "a"]), "spec.dependsOn[1]", "Duplicate value"),
    Mistake("a version that YAML reads as a number", release(version=1.2), "spec.version", "must be of type string"),
    Mistake("a Deployment with its namespace", release(workloadRef__name="shop/answers"), "spec.workloadRef.name", ALONE),
    Mistake("a Deployment with its kind", release(workloadRef__name="deployment/answers"), "spec.workloadRef.name", ALONE),
    Mistake("a StatefulSet", release(workloadRef={"kind": "StatefulSet", "name": "answers"}), "spec.workloadRef.kind", 'supported values: "Deployment"'),
    Mistake("a Deployment as a text", release(workloadRef="answers"), "spec.workloadRef", "must be of type object"),
    Mistake("no images", release(images={}), "spec.images", "should have at least 1 properties"),
    Mistake("neither images nor a templatePatch", release(images=None), "images", "images or templatePatch (or both) is required"),
    Mistake("a templatePatch of a whole Deployment", release(templatePatch={"template": {"spec": {}}}), 'unknown field "spec.templatePatch.template"', "", Grade.FIELD),
    Mistake("a direct strategy with weights of a route", release(strategy={"type": "direct", "traffic": "httpRoute", "httpRoute": {"name": "shop"}}), "spec.strategy", "type: direct moves no weights; leave traffic and httpRoute out"),
    Mistake("a direct strategy with warm pods", release(strategy={"type": "direct", "keepWarm": {}}), "spec.strategy", "leave keepWarm out, or write type: canary"),
    Mistake("a direct strategy with checks of a canary", release(strategy={"type": "direct", "canary": {"checks": [{"name": "load", "webhook": {"url": "https://load.example.com/"}}]}}), "spec.strategy", "leave canary.checks out, or write type: canary"),
    Mistake("an empty templatePatch", release(templatePatch={"spec": {}}), "spec.templatePatch.spec", "should have at least 1 properties"),
    Mistake("images as a list of containers", release(images=[{"name": "answers", "image": "helpdesk:v2"}]), "spec.images", "", Grade.FIELD),
    Mistake("an empty image", release(images={"answers": ""}), "spec.images", "for example registry.example.com/answers:v2"),
    Mistake("an image as a URL", release(images={"answers": "https://registry/answers:v2"}), "spec.images", "without blanks or https://"),
    Mistake("a container's name with a blank", release(images={"the answers": "helpdesk:v2"}), "spec.images", "each key is the name of a container"),
    Mistake("names in tickets separated by commas", release(knownAs=["basket, trolley"]), "spec.knownAs", "one word or phrase in each item"),
    Mistake("a stamp with its value", release(ignoreStamps=["reloaded-at: now"]), "spec.ignoreStamps[0]", "without its value"),
    Mistake("a reaction in the wrong case", release(unknownTelemetry="Hold"), "spec.unknownTelemetry", 'supported values: "hold"'),
    Mistake("paused as a word", release(paused="yes"), "spec.paused", "must be of type boolean"),
    Mistake("a field of another kind", release(replicas=3), 'unknown field "spec.replicas"', "", Grade.FIELD),
    Mistake("a field written wrong", release(slo__objectiv=0.9), 'unknown field "spec.slo.objectiv"', "", Grade.FIELD),
    Mistake("a check without an account", release(strategy={"canary": {"checks": [LOAD]}}), "spec", "serviceAccountName is required where strategy.canary.checks has checks"),
    Mistake("a check that is a job and a webhook", checked(**LOAD, webhook={"url": "https://a/"}), CHECK, "a check is either a job"),
    Mistake("a check that asks nothing", checked(name="load"), CHECK, "a check is either a job"),
    Mistake("a check at a weight that no step has", checked(**LOAD, at=[33]), "spec.strategy.canary", "at has weights of strategy.canary.steps below 100"),
    Mistake("a check at the promotion", checked(**LOAD, at=[100]), f"{CHECK}.at[0]", "should be less than or equal to 99"),
    Mistake("a check at a percentage", checked(**LOAD, at=["20%"]), f"{CHECK}.at[0]", "must be of type integer"),
    Mistake("a check's name in upper case", checked(name="Load", job=LOAD["job"]), f"{CHECK}.name", "for example load-test"),
    Mistake("two checks of one name", release(serviceAccountName="checks", strategy={"canary": {"checks": [LOAD, LOAD]}}), "spec.strategy.canary.checks[1]", "Duplicate value"),
    Mistake("a check's deadline in words", checked(name="load", job={"image": "k6:1", "deadline": "2 min"}), f"{CHECK}.job.deadline", DURATION),
    Mistake("a check's webhook with a user name", checked(name="ask", webhook={"url": "https://me@hooks/"}), f"{CHECK}.webhook.url", "write a URL such as"),
    Mistake("a check with a failure limit", checked(**LOAD, failureLimit=1), f'unknown field "{CHECK}.failureLimit"', "", Grade.FIELD),
    Mistake("no version", release(version=None), "spec.version", "Required value"),
    Mistake("no Deployment", release(workloadRef=None), "spec.workloadRef", "Required value"),
]  # fmt: skip

SLOS = [
    Mistake("an objective in percent", release(slo__objective=99.9), "spec.slo.objective", FRACTION),
    Mistake("an objective with its percent sign", release(slo__objective="99.9%"), "spec.slo.objective", "must be of type number"),
    Mistake("an objective of 1", release(slo__objective=1), "spec.slo.objective", "with 1 there would be no error budget"),
    Mistake("another objective in percent", release(slo__name="up", slo__also=[{**LATENCY, "objective": 95}]), "spec.slo.also[0].objective", FRACTION),
    Mistake("a period in words", release(slo__period="5 min"), "spec.slo.period", DURATION),
    Mistake("a period in days, in words", release(slo__period="30 days"), "spec.slo.period", DURATION),
    Mistake("a period of a month", release(slo__period="1M"), "spec.slo.period", DURATION),
    Mistake("a period with a fraction", release(slo__period="1.5h"), "spec.slo.period", DURATION),
    Mistake("a period as a number", release(slo__period=30), "spec.slo.period", "must be of type string"),
    Mistake("a period of nothing", release(slo__period="0d"), "spec.slo.period", "must be longer than 0s, for example 1m"),
    Mistake("a negative delay", release(slo__delay="-2m"), "spec.slo.delay", DURATION),
    Mistake("a time to be told after, in words", release(slo__tellUnknownAfter="quarter of an hour"), "spec.slo.tellUnknownAfter", DURATION),
    Mistake("a bake time as a Go duration", release(slo__bakeTime="10m0.5s"), "spec.slo.bakeTime", DURATION),
    Mistake("a source as a URL", release(slo__source="http://prometheus:9090"), "spec.slo.source", "write the name of one of prometheus.sources"),
    Mistake("no error at all as too few", release(slo__minBadEvents=0), "spec.slo.minBadEvents", AT_LEAST_ONE),
    Mistake("a window in words", release(**{f"{TIER}long": "1 hour"}), "spec.slo.tiers[0].long", DURATION),
    Mistake("short longer than long", release(**{f"{TIER}short": "2m"}), "slo.tiers", "shorter than long, for example long 1h and short 5m"),
    Mistake("a window longer than the period", release(slo__period="7d", slo__tiers__1__long="2w"), "slo.tiers", "must not be longer than slo.period"),
    Mistake("a factor that no burn rate reaches", release(**{f"{TIER}factor": 100}), "slo.tiers", "lower the factor or raise the objective"),
    Mistake("a factor of nothing", release(**{f"{TIER}factor": 0}), "spec.slo.tiers[0].factor", "should be greater than 0"),
    Mistake("a severity of another tool", release(**{f"{TIER}severity": "critical"}), "spec.slo.tiers[0].severity", 'supported values: "sev1"'),
    Mistake("a severity in upper case", release(**{f"{TIER}severity": "SEV1"}), "spec.slo.tiers[0].severity", 'supported values: "sev1"'),
    Mistake("two objectives, the first without a name", release(slo__also=[LATENCY]), "slo.name", "name the first objective as well, for example availability"),
    Mistake("two objectives of one name", release(slo__name="latency", slo__also=[LATENCY]), "slo.also", "each objective needs a name of its own"),
    Mistake("an objective's name with a blank", release(slo__name="up", slo__also=[{**LATENCY, "name": "p99 latency"}]), "spec.slo.also[0].name", "lower-case letters, digits and -, for example latency"),
    Mistake("six objectives", release(slo__name="up", slo__also=[{**LATENCY, "name": f"n{n}"} for n in range(5)]), "spec.slo.also", "must have at most 4 items"),
]  # fmt: skip

SLIS = [
    Mistake("an SLI of nothing", release(slo__sli={}), "slo.sli", "give exactly one of requests, latency, and total"),
    Mistake("good and bad", release(slo__sli__good=f"a[{W}]"), "slo.sli", "give exactly one of good and bad"),
    Mistake("bad without total", release(slo__sli={"bad": f"a[{W}]"}), "slo.sli", "give exactly one of good and bad beside total"),
    Mistake("two forms", release(slo__sli__requests={"counter": "hits", "bad": 'code="500"'}), "slo.sli", "give exactly one of requests, latency, and total"),
    Mistake("a query over a fixed window", counted("sum(increase(errors[5m]))"), "slo.sli.bad", f"must contain {W} where its range goes"),
    Mistake("a query of the name alone", counted(f"a[{W}]", "http_requests_total"), "slo.sli.total", f"must contain {W} where its range goes"),
    Mistake("a rate", counted(f"sum(rate(errors[{W}]))"), "slo.sli.bad", NO_COUNT),
    Mistake("a rate of all", counted(f"a[{W}]", f"sum by (job) (rate(requests[{W}]))"), "slo.sli.total", NO_COUNT),
    Mistake("a rate with a stand-in", counted(f"sum(rate(errors[{W}])) or vector(0)"), "slo.sli.bad", NO_COUNT),
    Mistake("a ratio of rates", counted(f"sum(rate(errors[{W}])) / sum(rate(requests[{W}]))"), "slo.sli.bad", A_RATIO),
    Mistake("a ratio of counts, with a path in a label", counted(f'sum(increase(errors{{p="/a"}}[{W}])) / on() sum(increase(requests[{W}]))'), "slo.sli.bad", A_RATIO),
    Mistake("a recorded ratio by its window", counted(f"slo:sli_error:ratio_rate{W}"), "slo.sli.bad", "not have it in a series' name"),
    Mistake("a counter with matchers", sli("requests", counter='hits_total{code="500"}'), "spec.slo.sli.requests.counter", METRIC),
    Mistake("PromQL as a counter", sli("requests", counter=f"sum(rate(hits_total[{W}]))"), "spec.slo.sli.requests.counter", METRIC),
    Mistake("a histogram's buckets as a counter", sli("requests", counter="took_seconds_bucket"), "requests.counter", "must count each request once"),
    Mistake("matchers in braces", sli("requests", bad='{code="500"}'), "spec.slo.sli.requests.bad", MATCHERS),
    Mistake("a value without its label", sli("requests", bad='"5.."'), "spec.slo.sli.requests.bad", MATCHERS),
    Mistake("a matcher without quotes", sli("requests", bad="code=~5.."), "spec.slo.sli.requests.bad", MATCHERS),
    Mistake("PromQL as a selector", sli("requests", selector='hits_total{code!="404"}'), "spec.slo.sli.requests.selector", MATCHERS),
    Mistake("nothing is bad", sli("requests", bad=""), "requests.bad", "must say which of the requests are bad"),
    Mistake("all that count are bad", sli("requests", selector='job="a"', bad='job="a"'), "requests.bad", "selector says which requests count"),
    Mistake("a pod's label with a dash", sli("requests", podLabel="pod-name"), "spec.slo.sli.requests.podLabel", "write the name of a Prometheus label"),
    Mistake("a histogram with its suffix", sli("latency", histogram="took_seconds_bucket"), "latency.histogram", "name without _bucket, _count and _sum"),
    Mistake("a threshold as a duration", sli("latency", threshold="300ms"), "spec.slo.sli.latency.threshold", "must be of type number"),
    Mistake("a threshold of nothing", sli("latency", threshold=0), "spec.slo.sli.latency.threshold", "should be greater than 0"),
]  # fmt: skip

STRATEGIES = [
    Mistake("weights that fall", release(**{STEPS: [{"weight": 50}, {"weight": 20}, {"weight": 100}]}), "strategy.canary.steps", "weights must rise from step to step, for example 20, 50, 100"),
    Mistake("weights that stay", release(**{STEPS: [{"weight": 50}, {"weight": 50}, {"weight": 100}]}), "strategy.canary.steps", "weights must rise"),
    Mistake("a canary that never ends", release(**{STEPS: [{"weight": 20}, {"weight": 50}]}), "strategy.canary.steps", "the last weight must be 100"),
    Mistake("no steps", release(**{STEPS: []}), "spec.strategy.canary.steps", "should have at least 1 items"),
    Mistake("a step of nothing", release(**{STEPS: [{"hold": "5m"}, {"weight": 100}]}), "strategy.canary.steps", "a step has one of weight (1 to 100), match and mirror"),
    Mistake("a weight for testers", release(**{STEPS: [{"weight": 5, "match": {"headers": [{"name": "x", "value": "y"}]}}, {"weight": 100}]}), "strategy.canary.steps", "a step has one of weight (1 to 100), match and mirror"),
    Mistake("testers without a route", release(**{STEPS: [{"match": {"headers": [{"name": "x", "value": "y"}]}}, {"weight": 100}]}), "spec.strategy", "steps with match or mirror need an HTTPRoute"),
    Mistake("copies after a weight", release(**{STEPS: [{"weight": 5}, {"mirror": {"percent": 10}}, {"weight": 100}]}), "strategy.canary.steps", "steps with match or mirror come first"),
    Mistake("an approval of testers", release(**{STEPS: [{"match": {"headers": [{"name": "x", "value": "y"}]}, "approve": True}, {"weight": 100}]}), "strategy.canary.steps", "approve belongs to a step with a weight"),
    Mistake("testers told by one header twice", release(**{STEPS: [{"match": {"headers": [{"name": "x", "value": "y"}, {"name": "X", "value": "z"}]}}, {"weight": 100}]}), "strategy.canary.steps", "match.headers has each header once"),
    Mistake("a header of testers with a colon", release(**{STEPS: [{"match": {"headers": [{"name": "x: y", "value": "y"}]}}, {"weight": 100}]}), "strategy.canary.steps[0].match.headers[0].name", "write the name of a header, for example x-canary"),
    Mistake("a weight as a percentage", release(**{STEPS: [{"weight": "20%"}, {"weight": 100}]}), "spec.strategy.canary.steps[0].weight", "must be of type integer"),
    Mistake("a weight above 100", release(**{STEPS: [{"weight": 120}]}), "spec.strategy.canary.steps[0].weight", "should be less than or equal to 100"),
    Mistake("weights as bare numbers", release(**{STEPS: [20, 50, 100]}), "spec.strategy.canary.steps[0]", "must be of type object"),
    Mistake("warm pods for no time", release(strategy__keepWarm={"for": "0s"}), "spec.strategy.keepWarm.for", "strategy.keepWarm.for must be longer than 0s"),
    Mistake("no warm pod", release(strategy__keepWarm={"replicas": 0}), "spec.strategy.keepWarm.replicas", AT_LEAST_ONE),
    Mistake("a promotion that waits for a day", release(strategy__keepWarm={"wait": "24h"}), "spec.strategy.keepWarm", "strategy.keepWarm.wait must be at most 1h"),
    Mistake("a hold without its unit", release(**{STEPS: [{"weight": 100, "hold": "10"}]}), "spec.strategy.canary.steps[0].hold", DURATION),
    Mistake("no canary pod at most", release(strategy__canary__maxCanaryReplicas=0), "spec.strategy.canary.maxCanaryReplicas", AT_LEAST_ONE),
    Mistake("an analysis over nothing", release(**{ANALYSIS: {"window": "0s"}}), "analysis.window", "must be longer than 0s, for example 1m"),
    Mistake("a margin as a difference", release(**{ANALYSIS: {"margin": 0.05}}), "spec.strategy.canary.analysis.margin", AT_LEAST_ONE),
    Mistake("a floor in percent", release(**{ANALYSIS: {"abortBelow": 99}}), "spec.strategy.canary.analysis.abortBelow", AT_MOST_ONE),
    Mistake("more is ignored than the floor allows", release(**{ANALYSIS: {"abortBelow": 0.99, "ignoreBelow": 0.05}}), "analysis.ignoreBelow", "must not be above 1 - abortBelow"),
    Mistake("an end of patience that is none", release(**{ANALYSIS: {"inconclusive": "fail"}}), "spec.strategy.canary.analysis.inconclusive", 'supported values: "hold"'),
    Mistake("a port by name", release(evals__port="http"), "spec.evals.port", "must be of type integer"),
    Mistake("a port that is none", release(evals__port=70000), "spec.evals.port", "should be less than or equal to 65535"),
    Mistake("a label's value with blanks", release(evals__matchLabels={"team": "help desk"}), "spec.evals.matchLabels", "no label has this value"),
    Mistake("no repeats", release(evals__repeats=0), "spec.evals.repeats", AT_LEAST_ONE),
    Mistake("a margin in percent", release(evals__margin=5), "spec.evals.margin", AT_MOST_ONE),
    Mistake("quarantine as a yes", release(evals__quarantine=True), "spec.evals.quarantine", "must be of type string"),
    Mistake("a question that is not asked", asked(path="/ask"), "ask", "{{asked}} in path or body, for example path: /ask?q={{asked}}"),
    Mistake("another tool's placeholder", asked(path="/ask?q={{question}}"), "ask", "{{asked}} in path or body"),
    Mistake("a URL where the path goes", asked(path="http://answers/ask?q={{asked}}"), "spec.evals.ask.path", NO_URL),
    Mistake("a question in a body that GET does not send", asked(path="/ask", body='{"q": "{{asked}}"}'), "ask.body", "add method: POST"),
    Mistake("a JSONPath as a field", asked(path="/a?q={{asked}}", answerField="$.text"), "answerField", "goes into answerPath"),
    Mistake("a field as a JSONPath", asked(path="/a?q={{asked}}", answerPath="text"), "spec.evals.ask.answerPath", "a JSONPath begins with $"),
]  # fmt: skip

STEP = "spec.strategy.canary.steps[0]"
TESTERS = [{"name": "x-canary", "value": "yes"}]


def step(**fields: Any) -> Object:
    """A first step behind an HTTPRoute."""
    steps = [fields, {"weight": 100}]
    return release(strategy={"traffic": "httpRoute", "httpRoute": {"name": "shop"}, "canary": {"steps": steps}})


def warm(keep: Any) -> Object:
    return release(strategy__keepWarm=keep)


def loaded(**fields: Any) -> Object:
    return case(mustPass=True, load={"requestsPerSecond": 20, "duration": "30s", **fields})


ONE = {"name": "memory", "query": 'max(max_over_time(rss{pod="{{pod}}"}[{{window}}]))', "max": "200Mi"}

NEWER = [
    Mistake("a templatePatch as a text", release(templatePatch="spec: {}"), "spec.templatePatch", "must be of type object"),
    Mistake("a templatePatch as a JSON patch", release(templatePatch=[{"op": "add", "path": "/spec", "value": {}}]), 'unknown field "spec.templatePatch[0].op"', "", Grade.FIELD),
    Mistake("a templatePatch with its kind", release(templatePatch={"kind": "Deployment", "spec": {"nodeSelector": {"a": "b"}}}), 'unknown field "spec.templatePatch.kind"', "", Grade.FIELD),
    Mistake("a templatePatch whose spec is a list", release(templatePatch={"spec": []}), "spec.templatePatch.spec", "must be of type object"),
    Mistake("keepWarm as a yes", warm(True), "spec.strategy.keepWarm", "must be of type object"),
    Mistake("keepWarm as a time", warm("30m"), "spec.strategy.keepWarm", "must be of type object"),
    Mistake("keepWarm by another name of its time", warm({"duration": "30m"}), 'unknown field "spec.strategy.keepWarm.duration"', "", Grade.FIELD),
    Mistake("warm pods for a time in words", warm({"for": "30 min"}), "spec.strategy.keepWarm.for", DURATION),
    Mistake("warm pods for a number", warm({"for": 30}), "spec.strategy.keepWarm.for", "must be of type string"),
    Mistake("warm pods as a percentage", warm({"replicas": "50%"}), "spec.strategy.keepWarm.replicas", "must be of type integer"),
    Mistake("warm pods as a share", warm({"replicas": 0.5}), "spec.strategy.keepWarm.replicas", "must be of type integer"),
    Mistake("a wait for warm pods in words", warm({"wait": "a minute"}), "spec.strategy.keepWarm.wait", DURATION),
    Mistake("a negative wait for warm pods", warm({"wait": "-1m"}), "spec.strategy.keepWarm.wait", DURATION),
    Mistake("thousands of warm pods", warm({"replicas": 5000}), "spec.strategy.keepWarm.replicas", "should be less than or equal to 1000"),
    Mistake("testers' headers by name", step(match={"headers": {"x-canary": "yes"}}), f'unknown field "{STEP}.match.headers.x-canary"', "", Grade.FIELD),
    Mistake("a header's value that YAML reads as a yes", step(match={"headers": [{"name": "x", "value": True}]}), f"{STEP}.match.headers[0].value", "must be of type string"),
    Mistake("a header of testers by an expression", step(match={"headers": [{"name": "x", "value": ".*", "type": "RegularExpression"}]}), f'unknown field "{STEP}.match.headers[0].type"', "", Grade.FIELD),
    Mistake("testers of no header", step(match={"headers": []}), f"{STEP}.match.headers", "should have at least 1 items"),
    Mistake("a header of testers without its value", step(match={"headers": [{"name": "x"}]}), f"{STEP}.match.headers[0].value", "Required value"),
    Mistake("a header of testers with an empty value", step(match={"headers": [{"name": "x", "value": ""}]}), f"{STEP}.match.headers[0].value", "should be at least 1 chars long"),
    Mistake("testers by the host", step(match={"headers": [{"name": ":authority", "value": "x"}]}), f"{STEP}.match.headers[0].name", "write the name of a header, for example x-canary"),
    Mistake("testers as a text", step(match="x-canary=yes"), f"{STEP}.match", "must be of type object"),
    Mistake("testers and copies at once", step(match={"headers": TESTERS}, mirror={"percent": 10}), STEP, "a step has one of weight (1 to 100), match and mirror"),
    Mistake("nine headers of testers", step(match={"headers": [{"name": f"x{n}", "value": "y"} for n in range(9)]}), f"{STEP}.match.headers", "must have at most 8 items"),
    Mistake("copies of nothing", step(mirror={"percent": 0}), f"{STEP}.mirror.percent", AT_LEAST_ONE),
    Mistake("copies as a percentage", step(mirror={"percent": "10%"}), f"{STEP}.mirror.percent", "must be of type integer"),
    Mistake("copies as a share", step(mirror={"percent": 0.1}), f"{STEP}.mirror.percent", "must be of type integer"),
    Mistake("more copies than requests", step(mirror={"percent": 200}), f"{STEP}.mirror.percent", "should be less than or equal to 100"),
    Mistake("copies as a yes", step(mirror=True), f"{STEP}.mirror", "must be of type object"),
    Mistake("a method of copies in lower case", step(mirror={"methods": ["get"]}), f"{STEP}.mirror.methods[0]", 'supported values: "GET"'),
    Mistake("copies of any method", step(mirror={"methods": ["*"]}), f"{STEP}.mirror.methods[0]", 'supported values: "GET"'),
    Mistake("a method of copies as a text", step(mirror={"methods": "GET"}), f"{STEP}.mirror.methods", "must be of type array"),
    Mistake("a method of copies twice", step(mirror={"methods": ["GET", "GET"]}), f"{STEP}.mirror.methods[1]", "Duplicate value"),
    Mistake("copies by a weight", step(weight=10, mirror={"percent": 10}), STEP, "a step has one of weight (1 to 100), match and mirror"),
    Mistake("copies without a route", release(strategy={"canary": {"steps": [{"mirror": {"percent": 10}}, {"weight": 100}]}}), "spec.strategy", "steps with match or mirror need an HTTPRoute"),
    Mistake("a measure without its name", measured(name=None), "spec.load.measured[0].name", "Required value"),
    Mistake("a measure's name with a blank", measured(name="peak memory"), "spec.load.measured[0].name", ALONE),
    Mistake("a measure with a least number", measured(min="1"), 'unknown field "spec.load.measured[0].min"', "", Grade.FIELD),
    Mistake("a threshold without quotes", measured(max=200), "spec.load.measured[0].max", "must be of type string"),
    Mistake("a threshold in percent", measured(max="50%"), "spec.load.measured[0].max", "a quantity is a number with or without a unit"),
    Mistake("a negative threshold", measured(max="-1"), "spec.load.measured[0].max", "a quantity is a number with or without a unit"),
    Mistake("memory of all pods", measured(query='max(rss{pod=~"{{pods}}"}[{{window}}])'), "load.measured[0].query", "must name the loaded pod by {{pod}}"),
    Mistake("measures by name", loaded(measured={"memory": "200Mi"}), 'unknown field "spec.load.measured.memory"', "", Grade.FIELD),
    Mistake("two measures of one name", loaded(measured=[ONE, ONE]), "spec.load.measured[1]", "Duplicate value"),
    Mistake("six measures", loaded(measured=[{**ONE, "name": f"m{n}"} for n in range(6)]), "spec.load.measured", "must have at most 5 items"),
    Mistake("a check's weight as a number", checked(**LOAD, at=20), f"{CHECK}.at", "must be of type array"),
    Mistake("a check's Job without its image", checked(name="load", job={}), f"{CHECK}.job.image", "Required value"),
    Mistake("a check's command as a text", checked(name="load", job={"image": "k6:1", "command": "k6 run"}), f"{CHECK}.job.command", "must be of type array"),
    Mistake("a check's address without its scheme", checked(name="a", webhook={"url": "a.example.com/x"}), f"{CHECK}.webhook.url", "write a URL such as"),
    Mistake("a check that is tried never", checked(name="load", job={"image": "k6:1", "attempts": 0}), f"{CHECK}.job.attempts", AT_LEAST_ONE),
    Mistake("a check without an answer that promotes", checked(**LOAD, inconclusive="promote"), f"{CHECK}.inconclusive", 'supported values: "hold", "abort"'),
]  # fmt: skip

RUNBOOKS = [
    Mistake("a cause that there is none of", runbook(match={"causes": ["bad-release"]}), "spec.match.causes[0]", 'supported values: "bad_release", "dependency"'),
    Mistake("a cause of another kind of incident", runbook(match={"causes": ["oom"]}), "spec.match.causes[0]", 'supported values: "bad_release"'),
    Mistake("a severity of another tool for a Runbook", runbook(match={"severities": ["P1"]}), "spec.match.severities[0]", 'supported values: "sev1"'),
    Mistake("a label's value that no Release has", runbook(match={"releaseLabels": {"team": "help desk"}}), "spec.match.releaseLabels.team", "no label has this value"),
    Mistake("no steps of a Runbook", runbook(steps=[]), "spec.steps", "should have at least 1 items"),
    Mistake("steps as words", runbook(steps=["rollback"]), "spec.steps[0]", "must be of type object"),
    Mistake("a step that does not exist", runbook(steps=[{"type": "reboot"}]), "spec.steps[0].type", 'supported values: "rollback", "abortCanary", "scale", "restart", "freeze", "webhook", "job", "wait"'),
    Mistake("a webhook without an address", runbook(steps=[{"type": "webhook"}]), "spec.steps[0]", "a step of type webhook says in its field webhook what to do"),
    Mistake("a webhook of another scheme", runbook(steps=[{"type": "webhook", "webhook": {"url": "ftp://x/"}}]), "spec.steps[0].webhook.url", "write a URL such as https://hooks.example.com/restart"),
    Mistake("a user name in a webhook's address", runbook(steps=[{"type": "webhook", "webhook": {"url": "https://me:pw@x.example/"}}]), "spec.steps[0].webhook.url", "without a user name"),
    Mistake("a Job of no image", runbook(steps=[{"type": "job", "job": {"args": ["x"]}}]), "spec.steps[0].job.image", "", Grade.FIELD),
    Mistake("a Job as somebody else", runbook(steps=[{"type": "job", "job": {"image": "x", "serviceAccountName": "admin"}}]), "spec.steps[0].job.serviceAccountName", "", Grade.FIELD),
    Mistake("a Job with a volume of the node", runbook(steps=[{"type": "job", "job": {"image": "x", "volumes": [{"hostPath": {"path": "/"}}]}}]), "spec.steps[0].job.volumes", "", Grade.FIELD),
    Mistake("a limit in words", runbook(steps=[{"type": "job", "job": {"image": "x", "memory": "a lot"}}]), "spec.steps[0].job.memory", "a quantity is a number"),
    Mistake("a variable with a dash", runbook(steps=[{"type": "job", "job": {"image": "x", "env": [{"name": "MY-VAR"}]}}]), "spec.steps[0].job.env[0].name", "a name has letters, digits and _"),
    Mistake("scale without a number", runbook(steps=[{"type": "scale"}]), "spec.steps[0]", "a step of type scale says in its field scale what to do"),
    Mistake("a number of pods for a rollback", runbook(steps=[{"type": "rollback", "scale": {"replicas": 3}}]), "spec.steps[0]", "no other type has that field"),
    Mistake("two numbers of pods", runbook(steps=[{"type": "scale", "scale": {"replicas": 3, "percent": 150}}]), "spec.steps[0].scale", "say either replicas"),
    Mistake("scaling down", runbook(steps=[{"type": "scale", "scale": {"percent": 50}}]), "spec.steps[0].scale.percent", "should be greater than or equal to 101"),
    Mistake("a freeze without a reason", runbook(steps=[{"type": "freeze", "freeze": {"duration": "1h"}}]), "spec.steps[0].freeze.reason", "", Grade.FIELD),
    Mistake("a freeze of no time", runbook(steps=[{"type": "freeze", "freeze": {"duration": "0s", "reason": "x"}}]), "spec.steps[0].freeze.duration", "duration must be longer than 0s"),
    Mistake("a freeze of more than one namespace", runbook(steps=[{"type": "freeze", "freeze": {"reason": "x", "scope": "cluster"}}]), "spec.steps[0].freeze.scope", 'supported values: "release", "namespace"'),
    Mistake("a wait that looks at nothing", runbook(steps=[{"type": "wait", "verify": "none"}]), "spec.steps[0]", "they have no verify"),
    Mistake("a way on that there is not", runbook(steps=[{"type": "rollback", "ifNotHelped": "retry"}]), "spec.steps[0].ifNotHelped", 'supported values: "next", "escalate"'),
    Mistake("an approval that nobody has the time for", runbook(safety={"approveWithin": "0s"}), "spec.safety.approveWithin", "approveWithin must be longer than 0s"),
    Mistake("a step in the wrong case", runbook(steps=[{"type": "Rollback"}]), "spec.steps[0].type", 'supported values: "rollback"'),
    Mistake("escalate before the rollback", runbook(steps=[{"type": "escalate"}, {"type": "rollback"}]), "steps", "may only be the last step"),
    Mistake("a time-out in words", runbook(steps=[{"type": "rollback", "timeout": "5 min"}]), "spec.steps[0].timeout", DURATION),
    Mistake("a time-out of nothing", runbook(steps=[{"type": "rollback", "timeout": "0s"}]), "spec.steps[0].timeout", "must be longer than 0s"),
    Mistake("a mode of another tool", runbook(safety={"mode": "manual"}), "spec.safety.mode", 'supported values: "auto", "approve", "dryRun"'),
    Mistake("a mode in the wrong case", runbook(safety={"mode": "dryrun"}), "spec.safety.mode", 'supported values: "auto"'),
    Mistake("a confidence in percent", runbook(safety={"minConfidence": 80}), "spec.safety.minConfidence", "a share from 0 to 1, for example 0.8 for 80 %"),
    Mistake("no play in an hour", runbook(safety={"maxPerHour": 0}), "spec.safety.maxPerHour", AT_LEAST_ONE),
    Mistake("a cooldown in words", runbook(safety={"cooldown": "one minute"}), "spec.safety.cooldown", DURATION),
    Mistake("a service account with its namespace", runbook(serviceAccountName="ops/robot"), "spec.serviceAccountName", "without namespace"),
    Mistake("a service account as a user", runbook(serviceAccountName="system:serviceaccount:ops:robot"), "spec.serviceAccountName", "write the name of a ServiceAccount"),
    Mistake("nobody's behalf", runbook(serviceAccountName=None), "spec.serviceAccountName", "Required value"),
]  # fmt: skip

REQUESTS = [
    Mistake("a Release with its namespace", case(release="shop/answers"), "spec.release", ALONE),
    Mistake("a URL as the path of a request", case(request__path="http://answers/ask"), "spec.request.path", NO_URL),
    Mistake("a path without its slash", case(request__path="ask"), "spec.request.path", NO_URL),
    Mistake("a port as a text", case(request__port="8080"), "spec.request.port", "must be of type integer"),
    Mistake("a method in lower case", case(request__method="post"), "spec.request.method", 'supported values: "GET"'),
    Mistake("a body that GET does not send", case(request__body="{}"), "request.body", "for example method: POST"),
    Mistake("a token in plain sight", case(request__headers={"Authorization": "Bearer s3cret"}, origin=None, proof=None), "request.headers", "put it into a Secret and name that in request.headersFrom"),
    Mistake("an API key in plain sight", case(request__headers={"X-API-Key": "s3cret"}, origin=None, proof=None), "request.headers", "put it into a Secret"),
    Mistake("a header with its value as its name", case(request__headers={"Accept: text/plain": ""}), "headers", "without colon, blanks or value"),
    Mistake("a header twice", case(request__headers={"A": "x"}, request__headersFrom=[{"name": "A", "secretKeyRef": {"name": "x", "key": "k"}}]), "headersFrom", "leave one of them"),
    Mistake("a Secret of another namespace", case(request__headersFrom=[{"name": "A", "secretKeyRef": {"name": "ops/x", "key": "k"}}]), "secretKeyRef.name", "in the EvalCase's namespace"),
    Mistake("TLS to nobody", case(request__tls={}), "tls", "for example serverName: answers.shop.svc"),
    Mistake("a URL as the name in a certificate", case(request__tls={"serverName": "https://answers"}), "spec.request.tls.serverName", "write a host name alone"),
    Mistake("a certificate in base64", case(request__tls={"serverName": "a", "caBundle": "LS0tLS1CRUdJTiBDRVJU"}), "tls.caBundle", "from -----BEGIN CERTIFICATE----- on"),
    Mistake("a private key among the authorities", case(request__tls={"serverName": "a", "caBundle": "-----BEGIN CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----"}), "tls.caBundle", "without private keys"),
    Mistake("seconds with their unit", case(request__timeoutSeconds="5s"), "spec.request.timeoutSeconds", "must be of type number"),
    Mistake("milliseconds for seconds", case(request__timeoutSeconds=500), "spec.request.timeoutSeconds", "should be less than or equal to 60"),
]  # fmt: skip

EXPECTATIONS = [
    Mistake("an expectation of nothing", expecting(), "expect", "for example status: 200, equals, contains or json"),
    Mistake("a status as a text", expecting(status="200"), "spec.expect.status", "must be of type integer"),
    Mistake("a status that HTTP has not", expecting(status=2000), "spec.expect.status", "should be less than or equal to 599"),
    Mistake("a number where a text is compared", expecting(equals=42), "spec.expect.equals", "must be of type string"),
    Mistake("a field without a value", expecting(field="answer", status=200), "expect.field", "say with equals, contains or matches what must be there"),
    Mistake("a JSONPath as the field", expecting(field="$.answer", equals="x"), "expect.field", "goes into json"),
    Mistake("a text that is in every reply", expecting(contains=""), "expect.contains", "must not be empty"),
    Mistake("an expression that is in every reply", expecting(matches=""), "matches", "must not be empty"),
    Mistake("no regular expression", expecting(matches="(a"), "matches", "in RE2 syntax, for example ^order-[0-9]+$"),
    Mistake("a look-ahead, which RE2 has not", expecting(matches="a(?=b)"), "matches", "in RE2 syntax"),
    Mistake("a JSONPath without its $", expecting(json=[{"path": "items[0]", "exists": True}]), "spec.expect.json[0].path", "a JSONPath begins with $"),
    Mistake("a JSONPath without what must be there", expecting(json=[{"path": "$.a"}]), "spec.expect.json[0]", "say what must be there: equals, contains"),
    Mistake("a tolerance of nothing", expecting(json=[{"path": "$.a", "equals": "x", "tolerance": 0.1}]), "tolerance", "belongs to number, for example number: 9.99"),
    Mistake("a schema that every reply fits", expecting(jsonSchema={}), "jsonSchema", "should have at least 1 properties"),
    Mistake("a latency in words", expecting(maxLatency="500 ms"), "spec.expect.maxLatency", DURATION),
    Mistake("a latency that nobody waits for", expecting(maxLatency="6s"), "expect.maxLatency", "must not be longer than request.timeoutSeconds"),
    Mistake("a share in percent", case(minShare=90), "spec.minShare", AT_MOST_ONE),
    Mistake("a share of how many", case(minShare=0.9), "repeats", "for example repeats: 10 with minShare: 0.9"),
    Mistake("a load in requests per minute", case(mustPass=True, load={"requestsPerSecond": 1200, "duration": "30s"}), "spec.load.requestsPerSecond", "should be less than or equal to 50"),
    Mistake("a load of half an hour", case(mustPass=True, load={"requestsPerSecond": 20, "duration": "30m"}), "load.duration", "between 1s and 1m, for example 30s"),
    Mistake("a load of which one request may fail", case(mustPass=True, minShare=0.99, load={"requestsPerSecond": 2, "duration": "10s"}), "load.requestsPerSecond", "for example 20 for 30s with minShare: 0.99"),
    Mistake("memory of any pod", measured(query="max(rss[{{window}}])"), "load.measured[0].query", 'must name the loaded pod by {{pod}}'),
    Mistake("memory of any time", measured(query='rss{pod="{{pod}}"}'), "load.measured[0].query", "must contain [{{window}}]"),
    Mistake("a threshold in words", measured(max="200 MB"), "load.measured[0].max", "a quantity is a number with or without a unit"),
    Mistake("memory without its threshold", measured(max=None), "load.measured[0].max", "Required value"),
    Mistake("a load that is no must", case(mustPass=False, load={"requestsPerSecond": 20, "duration": "30s"}), "load", "needs mustPass: true"),
    Mistake("a regression from nowhere", case(origin={"kind": "regression"}), "origin.incident", "must name the Incident that a regression case comes from"),
    Mistake("a regression without proof", case(proof=None), "proof", "must name the bad and the good revision"),
    Mistake("versions for digests", case(proof={"bad": "v2", "good": "v1"}), "spec.proof.bad", "write the digest of a revision from status.revisions"),
    Mistake("one revision that is good and bad", case(proof={"bad": "0123456789ab", "good": "0123456789ab"}), "proof", "proof.bad and proof.good are the same revision"),
]  # fmt: skip

INCIDENTS = [
    Mistake("a severity in words", incident(signal__severity="high"), "spec.signal.severity", 'supported values: "sev1"'),
    Mistake("a signal of a kind that is none", incident(signal__kind="manual"), "spec.signal.kind", 'supported values: "burn"'),
    Mistake("a time in words", incident(signal__at="yesterday"), "spec.signal.at", "must be of type date-time"),
    Mistake("an action's id in words", incident(actions=[{"id": "Drain test", "text": "x"}]), "spec.actions[0].id", "for example drain-test"),
    Mistake("a date as in Germany", incident(actions=[{"id": "a", "due": "31.12.2026"}]), "spec.actions[0].due", "for example 2026-12-31"),
    Mistake("a date that no calendar has", incident(actions=[{"id": "a", "due": "2026-13-01"}]), "spec.actions[0].due", "year-month-day"),
    Mistake("a ticket's number for its URL", incident(actions=[{"id": "a", "link": "INC-42"}]), "spec.actions[0].link", "write a whole URL"),
    Mistake("a link without its scheme", incident(links=["wiki.example.com/a"]), "spec.links[0]", "write a whole URL"),
    Mistake("a note as a text", incident(notes=["it was me"]), "spec.notes[0]", "must be of type object"),
]  # fmt: skip

MISTAKES = [*RELEASES, *SLOS, *SLIS, *STRATEGIES, *NEWER, *RUNBOOKS, *REQUESTS, *EXPECTATIONS, *INCIDENTS]
