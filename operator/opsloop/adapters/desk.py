"""A help desk as the intake sees it: sends users' tickets with a token of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from opsloop.errors import Forbidden, Invalid, Unavailable

PATIENCE = aiohttp.ClientTimeout(total=15)
SHOWN = 300  # characters of an answer


class Desk:
    """`url` is the intake's, up to the namespace's path; `token_file` holds a Kubernetes token for the audience opsloop."""

    def __init__(self, url: str, token_file: str, namespace: str) -> None:
        """Raises Invalid where the file cannot be read, or the address is none."""
        if not url.startswith(("http://", "https://")):
            raise Invalid(
                f"--intake {url}: write for example http://127.0.0.1:8080 (kubectl port-forward svc/opsloop-intake 8080)"
            )
        try:
            self._token = Path(token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"--intake-token {token_file}: {getattr(error, 'strerror', None) or error}") from error
        if not self._token or any(c.isspace() for c in self._token):
            raise Invalid(f"--intake-token {token_file}: it must hold one token and nothing else")
        self._url = f"{url.rstrip('/')}/v1/namespaces/{namespace}/tickets"

    async def send(self, ticket: Mapping[str, Any]) -> None:
        """Returns when it is stored. Forbidden without a valid token or the right, Invalid for a ticket that cannot be read, else
        Unavailable."""
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=PATIENCE) as session,
                session.post(self._url, json=dict(ticket), headers=headers, allow_redirects=False) as answer,
            ):
                text = " ".join((await answer.text(errors="replace")).split())[:SHOWN]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"the intake does not answer: {type(error).__name__}: {error}") from error
        if answer.status == 202:
            return
        kind = (
            Forbidden if answer.status in (401, 403) else Invalid if answer.status in (400, 404, 413) else Unavailable
        )
        raise kind(f"the intake answered {answer.status}: {text}")
