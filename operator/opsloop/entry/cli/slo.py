"""`opsloop slo`: rules of Prometheus for the SLO of a Release, and SLOs of other tools as a Release has them.

`rules` without a cluster reads files; `import` needs none. Both print YAML on stdout; what was left out is a comment in it.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from opsloop.api.meta import parse_duration
from opsloop.api.release import Release
from opsloop.core.slo.foreign import imported
from opsloop.core.slo.foreign.fragments import Fragment
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.pods import Labels, Scope, is_label
from opsloop.core.slo.rules import rule_groups
from opsloop.entry.cli.options import Commands, reader
from opsloop.entry.cli.out import say_prose
from opsloop.errors import Invalid
from opsloop.shell.ports import RELEASES, Reader

INCOMPLETE = 1
"""Exit code of an import that had to leave an SLO out."""


def add_to(commands: Commands) -> None:
    """Adds the command."""
    what = "rules of Prometheus for a Release, and SLOs of Sloth, OpenSLO and Pyrra as a Release has them"
    top = commands.add_parser("slo", help=what, description=what)
    below = top.add_subparsers(dest="action", required=True, metavar="ACTION")
    made = "recording and alert rules that fire when opsloop's tiers do, so that detection survives a dead operator"
    _rules(reader(below.add_parser("rules", help=made, description=made)))
    taken = (
        "SLOs of Sloth, OpenSLO or Pyrra as spec.slo; comments say what could not be taken over (exit code 1: an SLO)"
    )
    command = below.add_parser("import", help=taken, description=taken)
    command.add_argument("files", nargs="+", metavar="FILE", help="YAML; - is stdin")
    command.set_defaults(local=lambda _: True, local_run=import_files)


def _rules(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("release", nargs="?", default="", metavar="RELEASE", help="Release in the namespace; or give --file")
    add(
        "-f",
        "--file",
        action="append",
        default=[],
        metavar="FILE",
        help="YAML with Releases, without a cluster; - is stdin",
    )
    add("-o", "--output", choices=("prometheus", "operator"), default="prometheus",
        help="a file of rules, or PrometheusRule objects of the Prometheus Operator; default: %(default)s")  # fmt: skip
    add("--resolution", type=_duration, default=timedelta(seconds=15), metavar="DURATION",
        help="scrape interval; default: 15s")  # fmt: skip
    add("--pod-label", default="pod", metavar="LABEL",
        help="label of requests and latency that holds a pod's name, where the SLI has no podLabel; empty: none; default: %(default)s")  # fmt: skip
    add("--namespace-label", default="namespace", metavar="LABEL", help="and its namespace's; default: %(default)s")
    add("--only-while-down", action="store_true",
        help="alerts fire only while no replica of the operator leads, as opsloop_leader says in the same Prometheus")  # fmt: skip
    add("--operator", default='namespace="opsloop-system"', metavar="MATCHERS",
        help="which opsloop_leader is the operator of these Releases: another one that leads says nothing; default: %(default)s")  # fmt: skip
    command.set_defaults(local=lambda a: bool(a.file), local_run=rules_of_files, run=rules_of_stored)


def rules_of_files(arguments: argparse.Namespace) -> int:
    """Prints the rules of each Release in the files that has an SLO. Raises Invalid."""
    if arguments.release:
        raise Invalid("give RELEASE, which is read from the cluster, or --file, not both")
    found = [one for one in _documents(arguments.file) if isinstance(one, dict) and one.get("kind") == "Release"]
    releases = [_release(document, arguments.namespace) for document in found]
    usable = [release for release in releases if release.spec.slo is not None]
    if not usable:
        raise Invalid(f"{', '.join(arguments.file)}: no Release with spec.slo")
    _print_rules(usable, arguments)
    return 0


async def rules_of_stored(arguments: argparse.Namespace, stored_in: Reader) -> int:
    """Prints the rules of one Release of the cluster."""
    if not arguments.release:
        raise Invalid("give RELEASE, which is read from the namespace, or --file FILE")
    stored = await stored_in.get(RELEASES, arguments.namespace, arguments.release)
    _print_rules([Release.model_validate(stored)], arguments)
    return 0


def _print_rules(releases: Sequence[Release], arguments: argparse.Namespace) -> None:
    operator = arguments.operator if arguments.only_while_down else None
    made = [
        (release, rule_groups(release, _scope(release, arguments), arguments.resolution, operator))
        for release in releases
    ]
    if arguments.output == "prometheus":
        say_prose(_yaml({"groups": [group for _, groups in made for group in groups]}))
        return
    objects = [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": f"opsloop-slo-{release.metadata.name}", "namespace": release.metadata.namespace},
            "spec": {"groups": groups},
        }
        for release, groups in made
    ]
    say_prose("---\n".join(_yaml(one) for one in objects))


def _scope(release: Release, arguments: argparse.Namespace) -> Scope:
    """Where the series of its structured SLIs are; the same for all its objectives."""
    named = {
        form.pod_label
        for slo in (objectives(release.spec.slo) if release.spec.slo else ())
        for form in (slo.sli.requests, slo.sli.latency)
        if form is not None
    }
    wanted = {label or arguments.pod_label for label in named} or {arguments.pod_label}
    if len(wanted) > 1:
        raise Invalid(f"the objectives name several podLabel: {', '.join(sorted(wanted))}; rules are written for one")
    (pod,) = wanted
    for flag, label in (("--pod-label", pod), ("--namespace-label", arguments.namespace_label)):
        if label and not is_label(label):
            raise Invalid(f"{flag}: {label!r} is no name of a label, for example pod")
    if pod == "instance":
        raise Invalid(
            "podLabel instance: addresses of pods change, which no rule can follow; name a label with the pods' names"
        )
    labels = Labels(pod, arguments.namespace_label) if pod else None
    return Scope(release.metadata.namespace, release.spec.workload_ref.name, labels)


def import_files(arguments: argparse.Namespace) -> int:
    """Prints a fragment of a Release's spec for each service; 1 where an SLO had to be left out. Raises Invalid."""
    made = imported(_documents(arguments.files))
    if not made:
        raise Invalid(f"{', '.join(arguments.files)}: no SLO")
    say_prose("---\n".join(_fragment(one) for one in made))
    return INCOMPLETE if any(one.lost for one in made) else 0


def _fragment(one: Fragment) -> str:
    comments = [f"# {one.title}", *(f"# - {text}" for text in one.left)]
    text = "\n".join(" ".join(comment.split()) for comment in comments)
    return f"{text}\n{_yaml({'spec': {'slo': one.slo}}) if one.slo else ''}"


def _release(document: dict[str, Any], namespace: str | None) -> Release:
    """The Release of a file. Raises Invalid with its name and the field."""
    name = str((document.get("metadata") or {}).get("name", ""))
    try:
        release = Release.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"Release {name}: {field}: {first['msg']}") from error
    own = release.metadata.namespace or namespace or ""
    if not own:
        raise Invalid(f"Release {name}: metadata.namespace is not given; give it with -n")
    return release.model_copy(update={"metadata": release.metadata.model_copy(update={"namespace": own})})


def _documents(files: Sequence[str]) -> Iterator[Any]:
    for name in files:
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text()
            yield from yaml.safe_load_all(text)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise Invalid(f"{name}: {' '.join(str(error).split())}") from error


def _duration(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not found:
        raise argparse.ArgumentTypeError("must be longer than 0s")
    return found


class _Dumper(yaml.SafeDumper):
    """PromQL of several lines as a block."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
