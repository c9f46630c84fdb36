"""What can go wrong, drawn first. Adapters map foreign errors onto these at the edge.

Retryable: the same call may succeed later (network, overload, a stale resourceVersion).
Permanent: it will not, until somebody changes something; the message names the field and what would be right.
"""


class OpsloopError(Exception):
    """Root of all errors that opsloop raises on purpose."""


class Retryable(OpsloopError):
    """Try again; `after` is the wait in seconds that the other side asked for, or None."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Conflict(Retryable):
    """The object changed since it was observed (HTTP 409, or a JSON patch whose `test` failed): observe again."""


class Unavailable(Retryable):
    """No answer, or one that says not now (refused, time-out, 429, 5xx)."""


class TimedOut(Unavailable):
    """No answer in time."""


class Partial(Unavailable):
    """The other side said itself that its answer is not whole (Prometheus' warnings)."""


class Permanent(OpsloopError):
    """The same call will fail again."""


class NotFound(Permanent):
    """The object does not exist (HTTP 404)."""


class AlreadyExists(Permanent):
    """A create found the name taken (HTTP 409 AlreadyExists)."""


class Forbidden(Permanent):
    """The caller may not do that (HTTP 401 or 403)."""


class Invalid(Permanent):
    """Refused as malformed; the message names the field (HTTP 400 or 422)."""


class LeadershipLost(OpsloopError):
    """This process is no longer the holder of the Lease and must not write."""
