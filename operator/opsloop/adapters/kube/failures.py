"""Answers of the API server that are not 2xx, as errors of `opsloop.errors`."""

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from opsloop.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    OpsloopError,
    Unauthenticated,
    Unavailable,
)

LATER = {408, 410, 425, 429}  # 410: an expired resourceVersion or continue token, gone with the next try

DENIED = " denied "  # how webhooks and admission policies refuse, whatever their status: "… denied the request: …"


def failure(what: str, status: int, headers: Mapping[str, str], body: bytes, patched: bool = False) -> OpsloopError:
    """The error for one answer. `what` names the request, `patched` says that it was a JSON patch."""
    answer = _status_object(body)
    message = f"{what}: {status} {answer.get('message') or body[:200].decode(errors='replace')}"
    if status in LATER or status >= 500:
        return Unavailable(message, after=retry_after(headers))
    if status == 409:
        return AlreadyExists(message) if answer.get("reason") == "AlreadyExists" else Conflict(message)
    if status == 422 and patched and not _names_a_field(answer) and DENIED not in message:
        return Conflict(message)
    if status == 401:
        return Unauthenticated(message)
    if status == 403:
        return Forbidden(message)
    return NotFound(message) if status == 404 else Invalid(message)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as a date; None without one."""
    text = headers.get("Retry-After", "")
    try:
        return float(text) if text.strip().isdigit() else max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except ValueError:
        return None


def _names_a_field(answer: Mapping[str, Any]) -> bool:
    """Was a field judged? A validation that failed lists its causes. A JSON patch that could not be applied (a failed
    `test`, a path that is not there) has none: apiserver's handlers/patch.go answers with NewGenericServerResponse."""
    return bool((answer.get("details") or {}).get("causes"))


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
