"""What a command of a page names, held against what there is: our parser, kubectl's verbs and flags, kinds, fields, conditions, targets."""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from opsloop import names
from opsloop.api.crd import object_schema
from opsloop.api.kinds import ALL
from opsloop.entry import openapi
from opsloop.entry.cli.commands import parser
from tests.docs.fenced import ROOT

SYNOPSIS = re.compile(r"^\[|\]$|…")
OURS = {name: kind for kind in ALL for name in (kind.plural, kind.name.lower(), kind.short)}
THEIRS = {
    "pods", "pod", "po", "deployments", "deployment", "deploy", "services", "service", "svc", "configmaps", "configmap", "cm", "secrets", "secret",
    "events", "namespaces", "namespace", "ns", "lease", "leases", "pdb", "poddisruptionbudgets", "rolebinding", "rolebindings", "clusterrole", "clusterroles",
    "role", "roles", "serviceaccount", "sa", "crd", "crds", "customresourcedefinitions", "replicasets", "rs", "controllerrevisions", "httproute", "httproutes",
    "rollouts", "rollout", "canaries", "canary", "hpa", "validatingadmissionpolicybindings", "validatingadmissionpolicies", "token", "job", "jobs",
}  # fmt: skip
GLOBAL = {
    "-n": 1,
    "--namespace": 1,
    "--context": 1,
    "--kubeconfig": 1,
    "--as": 1,
    "-h": 0,
    "--help": 0,
    "--request-timeout": 1,
}
OUTPUT = {"-o": 1, "--output": 1}
CHOSEN = {"-l": 1, "--selector": 1, "-A": 0, "--all-namespaces": 0, "--all": 0, "--field-selector": 1}
# verb → its flags with the number of words that follow; tests/docs/test_commands.py asks kubectl itself, where it is
KUBECTL: dict[str, dict[str, int]] = {
    "get": {**OUTPUT, **CHOSEN, "-w": 0, "--watch": 0, "--show-labels": 0, "--sort-by": 1, "--raw": 1},
    "describe": {"-l": 1, "--selector": 1, "-A": 0, "--all-namespaces": 0},
    "annotate": {**CHOSEN, "--overwrite": 0},
    "label": {**CHOSEN, "--overwrite": 0},
    "apply": {**OUTPUT, "-f": 1, "-k": 1, "--server-side": 0, "--force-conflicts": 0, "--dry-run": 0},
    "create": {**OUTPUT, "-f": 1, "--from-file": 1, "--clusterrole": 1, "--serviceaccount": 1, "--group": 1, "--audience": 1, "--role": 1},
    "delete": {**CHOSEN, "-f": 1, "--ignore-not-found": 0, "--wait": 0, "--cascade": 1},
    "edit": {**OUTPUT},
    "exec": {"-i": 0, "-t": 0, "-it": 0, "-c": 1},
    "explain": {"--recursive": 0},
    "logs": {"--tail": 1, "-f": 0, "--since": 1, "-c": 1, "--previous": 0, "-l": 1},
    "patch": {**OUTPUT, "--type": 1, "-p": 1, "--patch": 1},
    "port-forward": {},
    "rollout": {"--timeout": 1, "--to-revision": 1},
    "scale": {"--replicas": 1},
    "set": {"-l": 1, "--selector": 1, "--all": 0},
    "wait": {**CHOSEN, "--for": 1, "--timeout": 1, "-f": 1},
    "auth": {"--as": 1, "-A": 0, "--list": 0, "--subresource": 1},
    "config": {"--minify": 0},
    "version": {}, "api-resources": {"--api-group": 1}, "cluster-info": {},
}  # fmt: skip
HELM = {"upgrade", "install", "uninstall", "test", "template", "rollback", "history", "show", "list", "get"}
FREE = {
    "date",
    "pip",
    "pipx",
    "uv",
    "git",
    "docker",
    "sleep",
    "export",
    "cd",
    "echo",
    "python",
    "umask",
    "printf",
    "base64",
    "sed",
    "grep",
    "hey",
    "cosign",  # docs/releasing.md says that it was not tried here
    "gh",
}


def wrong(words: Sequence[str]) -> str:
    """What a command names that there is not; "" if it is right."""
    program, rest = words[0].rpartition("/")[2], list(words[1:])
    if program == "kubectl" and rest and rest[0] == "opsloop":
        program, rest = "opsloop", rest[1:]
    if program == "opsloop":
        return _opsloop(rest)
    if program == "kubectl":
        return next(_kubectl(rest), "")
    if program == "helm":
        return "" if rest and rest[0] in HELM else f"helm has no {rest[:1]}"
    if program == "make":
        return next((f"no target {word}" for word in rest if "=" not in word and word not in targets()), "")
    if program == "curl":
        return _curl(rest)
    return "" if program in FREE else f"nothing checks what {program} is told"


@cache
def targets() -> set[str]:
    """Targets of the Makefile."""
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def _parser() -> argparse.ArgumentParser:
    return parser()


def _opsloop(words: list[str]) -> str:
    """Whether the parser of `opsloop` takes the words; brackets and dots of a synopsis are left out, of a choice the first is taken."""
    plain = [SYNOPSIS.sub("", word).partition("|")[0] for word in words]
    plain = [_example(word) for word in plain if word]
    try:
        _parser().parse_args(plain)
    except SystemExit as refused:
        return "" if refused.code == 0 else f"opsloop does not take {' '.join(plain)}"
    except argparse.ArgumentError as refused:
        return str(refused)
    return ""


def _example(word: str) -> str:
    """A number where a synopsis has a placeholder that the parser reads as one."""
    return {"N": "3", "SECONDS": "5", "DURATION": "1h", "TIME": "1h"}.get(word, word)


def _kubectl(words: list[str]) -> Iterator[str]:
    given: list[tuple[str, str]] = []
    positional: list[str] = []
    verb, stopped = "", False
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":
            if verb == "exec" and (said := wrong(queue)):
                yield said
            stopped = True
            break
        flag, equals, value = word.partition("=")
        if not word.startswith("-"):
            verb, positional = (word, positional) if not verb else (verb, [*positional, word])
            continue
        known = {**GLOBAL, **KUBECTL.get(verb, {})}
        if flag not in known:
            yield f"kubectl {verb} has no {flag}"
            continue
        if known[flag] and not equals:
            value = queue.pop(0) if queue else ""
        given.append((flag, value))
    if verb not in KUBECTL:
        yield f"kubectl has no {verb}"
        return
    yield from _resources(verb, positional, stopped)
    yield from _values(given, positional)


def _resources(verb: str, positional: list[str], stopped: bool) -> Iterator[str]:
    if verb in ("apply", "exec", "logs", "port-forward", "config", "version", "api-resources", "cluster-info"):
        return
    rest = positional[1:] if verb in ("rollout", "set", "auth") else positional
    if verb == "auth" and len(positional) > 1 and positional[0] == "can-i":
        rest = positional[2:3]
    elif verb == "auth":
        return
    if verb == "create" or not rest:
        return
    for one in rest[0].split(","):
        kind = re.split(r"[./]", one)[0]
        if kind not in OURS and kind not in THEIRS and not stopped and not kind.startswith("$"):
            yield f"there is no kind {kind}"


def _values(given: list[tuple[str, str]], positional: list[str]) -> Iterator[str]:
    kind = OURS.get(re.split(r"[./,]", positional[0])[0]) if positional else None
    for flag, value in given:
        if flag in ("-o", "--output") and "=" in value and kind:
            for path in re.findall(r"\.((?:spec|status)(?:\.\w+|\[[^\]]*\])*)", value):
                if not has_field(object_schema(kind), path):
                    yield f"{kind.name} has no field {path}"
        if flag == "--for" and value.startswith("condition=") and kind:
            listed = object_schema(kind)["properties"]["status"]["properties"]["conditions"]["description"]
            if value.removeprefix("condition=").partition("=")[0] not in re.findall(r"\w+", listed):
                yield f"{kind.name} has no condition {value}"
        if flag in ("-p", "--patch") and kind:
            yield from _unknown(object_schema(kind), json.loads(value), kind.name)
    for word in positional:
        if word.startswith("opsloop.dev/") and re.split(r"[=-]$|=", word)[0] not in vars(names).values():
            yield f"there is no annotation {word}"


def has_field(schema: dict[str, Any], path: str) -> bool:
    """Whether a schema has the field of a JSONPath without its leading dot."""
    node = schema
    for part in re.findall(r"\w+", re.sub(r"\[[^\]]*\]", "", path)):
        node = node.get("items", node)
        if part not in node.get("properties", {}):
            return "additionalProperties" in node or node.get("x-kubernetes-preserve-unknown-fields", False)
        node = node["properties"][part]
    return True


def _unknown(schema: dict[str, Any], given: Any, path: str) -> Iterator[str]:
    for name, value in given.items():
        field = schema.get("properties", {}).get(name)
        if field is None:
            yield f"{path} has no field {name}"
        elif isinstance(value, dict) and "properties" in field:
            yield from _unknown(field, value, f"{path}.{name}")


def _curl(words: list[str]) -> str:
    """A request to the intake: a path that it serves, and a body that is JSON."""
    url = next((word for word in words if word.startswith("http")), "")
    path = urlsplit(url).path
    served = [re.sub(r"\{[^}]*\}", "[^/]+", route) for route in openapi.document()["paths"]]
    body = next((words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-d", "--data")), "{}")
    json.loads(body)
    if "/v1/" in path and not any(re.fullmatch(route, path) for route in served):
        return f"the intake serves no {path}"
    return ""
