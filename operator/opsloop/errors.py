"""Exception tree of opsloop. Adapters map foreign errors onto it at the edge.

Retryable: the same call may succeed later (network, overload, a stale resourceVersion).
Permanent: the same call fails until somebody changes something; the message names the field and a valid value.
"""


class OpsloopError(Exception):
    """Base of all errors that opsloop raises on purpose."""


class Retryable(OpsloopError):
    """The same call may succeed later; `after` is the wait in seconds that the server asked for, or None."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Conflict(Retryable):
    """The object changed since it was observed (HTTP 409, or a failed `test` of a JSON patch); observe it again."""


class Unavailable(Retryable):
    """No answer, or an answer to retry later (connection refused, timeout, 429, 5xx)."""


class Unauthenticated(Unavailable):
    """The API server does not know us (HTTP 401): our token has expired, or its pod is gone. It says nothing about the request."""


class TimedOut(Unavailable):
    """No answer within the timeout."""


class Partial(Unavailable):
    """An answer that the server itself declared incomplete (isPartial of VictoriaMetrics, warnings of Thanos and Mimir)."""


class Permanent(OpsloopError):
    """The same call will fail again."""


class NotFound(Permanent):
    """The object does not exist (HTTP 404)."""


class AlreadyExists(Permanent):
    """An object of that name exists (HTTP 409 AlreadyExists on create)."""


class Forbidden(Permanent):
    """The caller lacks the permission (HTTP 403)."""


class Invalid(Permanent):
    """The input is malformed; the message names the field (HTTP 400 or 422)."""


class LeadershipLost(OpsloopError):
    """This process does not hold the Lease any more and must not write."""
