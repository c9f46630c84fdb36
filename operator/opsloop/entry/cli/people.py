"""`opsloop ack`, `assign`, `note` and `waive`: what people say about an Incident, written with their own rights."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from opsloop.api.incident import SHORTEST_WHY, Waiver
from opsloop.api.meta import format_time
from opsloop.entry.cli.found import annotated, changed
from opsloop.entry.cli.out import say
from opsloop.errors import Invalid, Unavailable
from opsloop.names import ACKNOWLEDGE, WAIVE
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import INCIDENTS, Object

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
LONGEST_WHO = 128


async def ack(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Acknowledges: sets the annotation to who and when, so that it is a new command each time."""
    who = await caller(cluster)
    value = f"{format_time(datetime.now(UTC))} by {who}"

    def change(incident: Object) -> list[Object]:
        return annotated(incident, ACKNOWLEDGE, value)

    await changed(cluster, INCIDENTS, arguments.namespace, arguments.incident, change)
    say(f"{arguments.incident} is acknowledged by {who}")
    return 0


async def assign(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Sets the assignee: the caller where none is named."""
    if arguments.nobody and arguments.who:
        raise Invalid("assign: name somebody, or --nobody, not both")
    who = "" if arguments.nobody else _fits(arguments.who or await caller(cluster))
    operations = [{"op": "add", "path": "/spec/assignee", "value": who}]
    await changed(cluster, INCIDENTS, arguments.namespace, arguments.incident, lambda _: operations)
    say(f"{arguments.incident} is assigned to {who or 'nobody'}")
    return 0


async def note(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Adds a note, by the caller where no author is named."""
    author = _fits(arguments.author or await caller(cluster))
    added = {"at": format_time(datetime.now(UTC)), "author": author, "text": arguments.text}
    if arguments.section:
        added["section"] = arguments.section

    def change(incident: Object) -> list[Object]:
        notes = [*(incident["spec"].get("notes") or []), added]
        return [{"op": "add", "path": "/spec/notes", "value": notes}]

    await changed(cluster, INCIDENTS, arguments.namespace, arguments.incident, change)
    say(f"noted on {arguments.incident} as {author}")
    return 0


async def waive(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Says, with the caller's name, why no EvalCase can guard against the Incident's fault."""
    value = f"{await caller(cluster)}: {' '.join(arguments.why.split())}"
    if Waiver.said(value) is None:
        raise Invalid(
            f"waive: WHY has {len(arguments.why.strip())} characters; say in {SHORTEST_WHY} at least why no case is possible"
        )

    def change(incident: Object) -> list[Object]:
        return annotated(incident, WAIVE, value)

    await changed(cluster, INCIDENTS, arguments.namespace, arguments.incident, change)
    say(f"the regression case of {arguments.incident} is waived: nothing guards against this fault")
    return 0


async def caller(cluster: Cluster) -> str:
    """The name under which the API server knows the caller. Unavailable where it does not say."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    status, answer = await cluster.raw("POST", REVIEW, body=json.dumps(body))
    try:
        content: Any = json.loads(answer)
        return str(content["status"]["userInfo"]["username"])[:LONGEST_WHO]
    except (ValueError, KeyError, TypeError) as error:
        text = f"the API server does not say who you are ({status}); name somebody: assign WHO, note --author WHO"
        raise Unavailable(text) from error


def _fits(who: str) -> str:
    if len(who) > LONGEST_WHO:
        raise Invalid(f"{who[:40]}…: {len(who)} characters; a name may have {LONGEST_WHO}")
    return who
