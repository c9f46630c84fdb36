"""`opsloop lint FILE…`: what is wrong with manifests, before anybody applies them.

Without a cluster: each field against the CRDs' schemas, PromQL by a parser, references within the files. With one (unless
--offline) also: references to what is there, a server-side dry run of each object, which asks the CRDs' CEL rules, the
admission policies and the caller's own rights, and the rights of a Runbook's account.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from opsloop.api.kinds import ALL
from opsloop.api.meta import API_VERSION, GROUP
from opsloop.api.release import Release
from opsloop.core.release.check_rights import right_of
from opsloop.entry.cli import checks
from opsloop.entry.cli.checks import Document, Finding
from opsloop.entry.cli.out import say
from opsloop.errors import Invalid, OpsloopError
from opsloop.names import CLI_MANAGER
from opsloop.shell.evidence.may import may
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import DEPLOYMENTS, EVALCASES, RELEASES, Object, Resource

ENDINGS = (".yaml", ".yml", ".json")
FAILED = 1  # exit code: something is wrong
MOST_DOCUMENTS = 2000
ACCOUNTS = Resource("v1", "ServiceAccount", "serviceaccounts")
PATCH = ("apps", "deployments", "patch")


async def lint(arguments: argparse.Namespace, cluster: Cluster | None) -> int:
    """Prints one line for each finding, and how many there are. `cluster` is None with --offline."""
    documents, findings = read(arguments.files)
    own = [d for d in documents if str(d.body.get("apiVersion", "")).partition("/")[0] == GROUP]
    if not own and not findings:
        raise Invalid(f"no object of {GROUP} in {', '.join(arguments.files)}")
    for document in own:
        findings += checks.of_schema(document) or [
            *checks.of_expressions(document),
            *checks.of_patch(document),
            *checks.of_room(document),
        ]
    bad = {finding.place for finding in findings if finding.fatal}
    sound = [document for document in own if document.place not in bad]
    there = None if cluster is None else await _there(cluster, own, arguments.namespace)
    findings += checks.of_references(documents, there, arguments.namespace)
    if cluster is not None:
        for found in await asyncio.gather(*(_dry_run(cluster, d, arguments.namespace) for d in sound)):
            findings += found
        findings += await _accounts(cluster, sound, documents, arguments.namespace)
        findings += await _accounts_of_checks(cluster, sound, arguments.namespace)
    for finding in findings:
        say(f"{finding.place}: {'' if finding.fatal else 'note: '}{finding.text}")
    wrong = sum(1 for finding in findings if finding.fatal)
    how = "without a cluster" if cluster is None else "and by a dry run"
    say(f"{len(own)} objects checked {how}: {f'{wrong} to correct' if wrong else 'nothing to correct'}")
    return FAILED if wrong else 0


def read(files: Sequence[str]) -> tuple[list[Document], list[Finding]]:
    """All documents of the files (and of folders, by their endings; `-` is stdin), and what could not be read.

    Raises Invalid for a file that is not there."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for name, text in _texts(files):
        try:
            bodies = [body for body in yaml.safe_load_all(text) if body is not None]
        except yaml.YAMLError as error:
            findings.append(Finding(name, " ".join(str(error).split())))
            continue
        for number, body in enumerate(_flat(bodies), start=1):
            if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
                findings.append(
                    Finding(f"{name} document {number}", "is no Kubernetes object: apiVersion and kind are missing")
                )
                continue
            meta = body.get("metadata") if isinstance(body.get("metadata"), dict) else {}
            documents.append(Document(f"{name} {body['kind']}/{(meta or {}).get('name', '?')}", body))
    return documents[:MOST_DOCUMENTS], findings


def _flat(bodies: Sequence[Any]) -> Iterator[Any]:
    for body in bodies:
        if isinstance(body, dict) and body.get("kind") == "List" and isinstance(body.get("items"), list):
            yield from body["items"]
        else:
            yield body


def _texts(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in files:
        path = Path(name)
        inside = sorted(p for p in path.rglob("*") if p.suffix in ENDINGS) if path.is_dir() else [path]
        for one in inside:
            try:
                yield (str(one), sys.stdin.read() if name == "-" else one.read_text())
            except (OSError, UnicodeDecodeError) as error:
                raise Invalid(f"{one}: {error}") from None


async def _there(cluster: Cluster, own: Sequence[Document], namespace: str) -> checks.There:
    """What is in the namespaces of the objects, as far as the caller may see it."""
    there: dict[str, dict[str, dict[str, Object]]] = {}
    for space in {document.namespace(namespace) for document in own}:
        for resource in (RELEASES, DEPLOYMENTS, EVALCASES, ACCOUNTS):
            try:
                items = await cluster.list(resource, space)
            except OpsloopError:
                continue  # the reference is then not judged; the dry run says what is forbidden
            there.setdefault(space, {})[resource.kind] = {item["metadata"]["name"]: item for item in items}
    return there


async def _dry_run(cluster: Cluster, document: Document, namespace: str) -> list[Finding]:
    """What the API server says to an apply of it: CEL rules, admission policies, and whether the caller may."""
    kind = next((kind for kind in ALL if kind.name == document.kind), None)
    if kind is None:
        return []
    space, name = document.namespace(namespace), str(document.body["metadata"].get("name", ""))
    path = f"/apis/{API_VERSION}/namespaces/{space}/{kind.plural}/{name}"
    query = {"dryRun": "All", "fieldManager": CLI_MANAGER, "force": "true", "fieldValidation": "Strict"}
    body = {**document.body, "metadata": {**document.body["metadata"], "namespace": space}}
    headers = {"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"}
    try:
        code, answer = await cluster.raw("PATCH", path, query, headers, body)
    except OpsloopError as error:
        return [Finding(document.place, f"the API server did not answer: {error}")]
    return [] if 200 <= code < 300 else [Finding(document.place, _message(code, answer))]


def _message(code: int, answer: bytes) -> str:
    try:
        body = json.loads(answer)
        return f"the API server says {code}: {' '.join(str(body['message']).split())}"
    except (ValueError, KeyError, TypeError):
        return f"the API server says {code}: {answer[:200].decode(errors='replace')}"


async def _accounts(
    cluster: Cluster, sound: Sequence[Document], documents: Sequence[Document], namespace: str
) -> list[Finding]:
    """Whether the account of each Runbook may patch the Deployments of the Releases in the same files."""
    findings: list[Finding] = []
    for runbook in (d for d in sound if d.kind == "Runbook"):
        space, account = runbook.namespace(namespace), str(runbook.body["spec"].get("serviceAccountName", ""))
        releases = [d for d in documents if d.kind == "Release" and d.namespace(namespace) == space]
        for workload in sorted(
            {str(d.body["spec"]["workloadRef"]["name"]) for d in releases if checks.has_workload(d)}
        ):
            allowed = await may(cluster, space, (space, account), PATCH, workload)
            if allowed is None:
                return [
                    *findings,
                    Finding(
                        runbook.place,
                        "the API server does not say what its account may do: whoever asks needs the right to create SubjectAccessReviews",
                        fatal=False,
                    ),
                ]
            if not allowed:
                text = f"spec.serviceAccountName: {account} may not patch Deployment {workload}; give it that right (docs/examples/runbook.yaml)"
                findings.append(Finding(runbook.place, text))
    return findings


async def _accounts_of_checks(cluster: Cluster, sound: Sequence[Document], namespace: str) -> list[Finding]:
    """Whether the account of each Release's checks may create what they are."""
    findings: list[Finding] = []
    for document in (d for d in sound if d.kind == "Release"):
        release, space = Release.model_validate(document.body), document.namespace(namespace)
        account = release.spec.service_account_name or ""
        for right in dict.fromkeys(right_of(check) for check in release.spec.strategy.canary.checks):
            if await may(cluster, space, (space, account), (right.group, right.plural, right.verb)) is False:
                text = f"spec.serviceAccountName: {account} lacks {right.sentence}, which checks need; give it that right (docs/examples/release-checks.yaml)"
                findings.append(Finding(document.place, text))
    return findings
