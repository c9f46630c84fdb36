"""`opsloop capture`: a bad request that a service recorded becomes the regression case of an Incident.

The case is created with the caller's own rights. It counts once opsloop has proven it, as any other.
"""

import argparse
import json
import sys
from pathlib import Path

import yaml
from pydantic import ValidationError

from opsloop import names
from opsloop.api.eval_expect import EvalExpect
from opsloop.api.evalcase import EvalCaseSpec
from opsloop.api.incident import Incident
from opsloop.api.meta import API_VERSION
from opsloop.api.release import Release
from opsloop.core.evalcase import capture, expectation, ways
from opsloop.core.recorded.lines import Seen, most_frequent_bad, read_all
from opsloop.entry.cli.found import found
from opsloop.entry.cli.options import Commands, reader
from opsloop.entry.cli.out import say, say_prose
from opsloop.errors import AlreadyExists, Forbidden, Invalid
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import EVALCASES, INCIDENTS, RELEASES, Object

MOST_TOLD = 5  # lines that were passed over


def add_to(commands: Commands) -> None:
    """The command and its options."""
    help_ = (
        "make an Incident's regression case of a bad request that the service recorded: a line of its log, or a span"
    )
    more = (
        " Read are access logs with the request in quotation marks (common, combined, nginx, Envoy), JSON and logfmt lines,"
        " and spans with http attributes (OTLP JSON, or what Tempo and Jaeger answer). Of many lines the most frequent one"
        " with a status of 500 or more is taken. Credentials are left out."
    )
    made = reader(commands.add_parser("capture", help=help_, description=help_[0].upper() + help_[1:] + "." + more))
    add = made.add_argument
    add("incident", metavar="INCIDENT")
    add("line", nargs="?", default="", metavar="LINE", help="the line; default: stdin, or --file")
    add("-f", "--file", default="", metavar="FILE", help="log or trace to read; - is stdin")
    expect = made.add_argument_group(
        "what would have been right", "default: status 200, where the service recorded 500 or more"
    )
    told = expect.add_argument
    told("--status", type=int, default=None, metavar="N", help="HTTP status; default: 200")
    told("--equals", default=None, metavar="TEXT", help="the whole body, or the field")
    told("--contains", default=None, metavar="TEXT", help="text in the body, or in the field")
    told("--field", default="", metavar="NAME", help="field of the JSON body that --equals or --contains is about")
    told(
        "--json",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a JSONPath and its value, for example $.total=42; may be repeated",
    )
    add(
        "--body", default=None, metavar="TEXT", help="body of the request, where the log holds none; '' for none at all"
    )
    add("--port", type=int, default=None, metavar="N", help="container port; default: spec.evals.port of the Release")
    add("--name", default="", metavar="NAME", help="name of the EvalCase; default: INCIDENT-regression-capture")
    add(
        "-o",
        "--output",
        choices=("text", "yaml"),
        default="text",
        help="yaml: print the EvalCase and create nothing; default: %(default)s",
    )
    made.set_defaults(run=run)


async def run(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Reads, says what it made of it, and creates the case. Raises Invalid that names what is missing."""
    namespace, quiet = arguments.namespace, arguments.output == "yaml"
    incident = Incident.model_validate(await found(cluster, INCIDENTS, namespace, arguments.incident))
    release = await _release(cluster, incident)
    seen, remarks = _chosen(_text(arguments), release)
    case = _case(arguments, incident, release, seen)
    if quiet:
        say_prose(yaml.safe_dump(case, sort_keys=False, allow_unicode=True))
        return 0
    for remark in (*remarks, *_told(seen, case)):
        say(remark)
    name = case["metadata"]["name"]
    try:
        await cluster.create(EVALCASES, namespace, case)
    except AlreadyExists as error:
        raise Invalid(f"there is an EvalCase {name} already: give this one a --name, or delete that one") from error
    except Forbidden as error:
        raise Forbidden(
            f"{error}; it takes create on evalcases: print it with -o yaml, and have the team apply it"
        ) from error
    say(f"EvalCase {name} is created: it counts once it is proven, see kubectl get evalcase {name}")
    return 0


async def _release(cluster: Cluster, incident: Incident) -> Release:
    name, where = incident.spec.release, f"Incident {incident.metadata.name}"
    if not name:
        raise Invalid(f"{where} is about a service without a Release: there are no revisions to prove a case on")
    return Release.model_validate(await found(cluster, RELEASES, incident.metadata.namespace, name))


def _text(arguments: argparse.Namespace) -> str:
    if arguments.line and arguments.file:
        raise Invalid("give the line, or --file, not both")
    if arguments.line and arguments.line != "-":
        return str(arguments.line)
    if arguments.file and arguments.file != "-":
        try:
            return Path(arguments.file).read_text(errors="replace")
        except OSError as error:
            raise Invalid(f"--file {arguments.file}: {error.strerror or error}") from error
    if not arguments.line and not arguments.file and sys.stdin.isatty():
        raise Invalid("give the line of the log, --file FILE, or pipe it in")
    return sys.stdin.read()


def _chosen(text: str, release: Release) -> tuple[Seen, list[str]]:
    """The request, and what is to be said of how it was chosen."""
    seen, passed_over = read_all(text)
    remarks = [f"passed over, {complaint}" for complaint in passed_over[:MOST_TOLD]]
    if len(passed_over) > MOST_TOLD:
        remarks.append(f"passed over: {len(passed_over) - MOST_TOLD} more lines")
    if not seen:
        raise Invalid(passed_over[0] if passed_over else "there is no line to read")
    known = {release.metadata.name, release.spec.workload_ref.name}
    own = [one for one in seen if not one.service or one.service in known]
    if not own:
        there = ", ".join(sorted({one.service for one in seen}))
        raise Invalid(f"the spans are of {there}, none of {' or '.join(sorted(known))}")
    if len(own) == 1:
        return own[0], remarks
    worst = most_frequent_bad(own)
    if worst is None:
        raise Invalid(
            f"none of {len(own)} requests has a status of 500 or more: give the one line that was answered wrongly, and what"
            " would have been right, for example --contains TEXT"
        )
    one, times = worst
    bad = sum(other.is_bad for other in own)
    return one, [*remarks, f"of {len(own)} requests {bad} are bad; the most frequent, {times} times: {one.line}"]


def _case(arguments: argparse.Namespace, incident: Incident, release: Release, seen: Seen) -> Object:
    pair = ways.pair_of(incident.status)
    if pair is None:
        raise Invalid(
            f"Incident {incident.metadata.name} names no bad and no good revision yet: a case is proven on both. Keep the line,"
            " and capture it when a rollback has mitigated the Incident"
        )
    port = arguments.port or (release.spec.evals.port if release.spec.evals else None)
    if port is None:
        raise Invalid("--port: which container port is asked? Release has no spec.evals.port")
    body = _body(arguments, seen)
    try:
        expect = _expectation(arguments, seen)
        spec = capture.from_record(incident.metadata.name, release, seen, body, port, expect, pair)
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if problem := expectation.flaw(expect):
        raise Invalid(problem)
    selected = release.spec.evals.match_labels if release.spec.evals else {}
    labels = {**selected, names.RELEASE: release.metadata.name, names.INCIDENT: incident.metadata.name}
    name = arguments.name or capture.case_name(incident.metadata.name, "capture")
    meta = {"name": name, "namespace": incident.metadata.namespace, "labels": labels}
    return {"apiVersion": API_VERSION, "kind": "EvalCase", "metadata": meta, "spec": _short(spec)}


def _short(spec: EvalCaseSpec) -> Object:
    """As a person would write it."""
    return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"release": spec.release}


def _body(arguments: argparse.Namespace, seen: Seen) -> str:
    if arguments.body is not None:
        return str(arguments.body)
    if not seen.body and seen.method in ("POST", "PUT", "PATCH"):
        raise Invalid(
            f"--body: the {seen.form} holds no body of this {seen.method}; give it, or --body '' if it had none"
        )
    return seen.body


def _expectation(arguments: argparse.Namespace, seen: Seen) -> EvalExpect:
    """What the caller says; else status 200, where the service itself recorded that it failed."""
    said = arguments.equals is not None or arguments.contains is not None or arguments.json
    if not said and arguments.status is None and not seen.is_bad:
        got = "" if seen.status is not None else ", without a status"
        raise Invalid(
            f"{seen.line}{got}: what was wrong with the answer is not in the {seen.form}. Say what would have been right:"
            " --status N, --contains TEXT, --equals TEXT (with --field NAME), or --json PATH=VALUE"
        )
    if arguments.field and arguments.equals is None and arguments.contains is None:
        raise Invalid("--field says where to look; say with --equals or --contains what must be there")
    checks = []
    for text in arguments.json:
        path, mark, value = text.partition("=")
        if not mark or not path.startswith("$"):
            raise Invalid(
                f"--json {text}: write a JSONPath that begins with $, then = and its value, for example $.total=42"
            )
        checks.append({"path": path, "equals": value})
    content = {"equals": arguments.equals, "contains": arguments.contains, "field": arguments.field, "json": checks}
    return EvalExpect.model_validate({"status": arguments.status or 200, **content})


def _told(seen: Seen, case: Object) -> list[str]:
    """What was made of the line."""
    spec, left = case["spec"], f"left out: {', '.join(seen.gone)}"
    what = {k: v for k, v in spec["expect"].items() if k != "status"}
    more = f" and {json.dumps(what, ensure_ascii=False)}" if what else ""
    got = f" (it got {seen.status})" if seen.status is not None else ""
    asks = f"asks {seen.method} {seen.path} on port {spec['request']['port']}, expects status {spec['expect'].get('status', 200)}{more}{got}"
    changed = ["without what was left out it is another request: look whether it still fails"] if seen.gone else []
    return [f"read as: {seen.form}, {seen.line}", *([left] if seen.gone else []), asks, *changed]
