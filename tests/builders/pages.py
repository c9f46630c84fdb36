"""Messages of threads at receivers."""

from typing import Any

from opsloop.api.page import PageMessage
from tests.builders.objects import at


def page_message(number: int = 1, action: str = "trigger", **more: Any) -> PageMessage:
    """A decided sev1 message of T0."""
    base = {"reason": "Severity", "severity": "sev1", "state": "Decided", "decided_at": at(0)}
    return PageMessage.model_validate({"number": number, "action": action, **base, **more})
