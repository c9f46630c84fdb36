"""Headers of eval requests whose values stand in Secrets: read when they are sent, kept by nobody.

A case names a Secret of its own namespace, and a pod of its Release gets it. opsloop has no right to Secrets unless a team
gives it one to that very Secret (docs/evals.md).
"""

import base64
import binascii
from dataclasses import dataclass, field

from opsloop.api.eval_request import EvalRequest, HeaderFrom
from opsloop.core.evalcase import silence
from opsloop.core.evalcase.expectation import Answer, silent
from opsloop.core.evalcase.hidden import unfit
from opsloop.errors import Forbidden, NotFound, OpsloopError
from opsloop.shell.ports import SECRETS, Object, Reader


@dataclass(frozen=True)
class SecretHeaders:
    """What one request carries. Neither is shown when this is printed."""

    headers: dict[str, str] = field(default_factory=dict, repr=False)
    values: tuple[str, ...] = field(default=(), repr=False)


class SecretReader:
    """Reads each Secret of a namespace once, for as long as this object lives: that of one run."""

    def __init__(self, reader: Reader, namespace: str) -> None:
        self._reader = reader
        self._namespace = namespace
        self._read: dict[str, Object | Answer] = {}

    async def of(self, request: EvalRequest) -> SecretHeaders | Answer:
        """The headers of this request, or why it cannot be sent."""
        headers, values = {}, []
        for one in request.headers_from:
            secret = await self._secret(one.secret_key_ref.name)
            if isinstance(secret, Answer):
                return secret
            value = _value(one, secret)
            if isinstance(value, Answer):
                return value
            headers[one.name] = one.prefix + value
            values.append(value)
        return SecretHeaders(headers, tuple(values))

    async def _secret(self, name: str) -> Object | Answer:
        if name not in self._read:
            self._read[name] = await self._fetch(name)
        return self._read[name]

    async def _fetch(self, name: str) -> Object | Answer:
        where = f"Secret {name} of namespace {self._namespace}"
        try:
            return await self._reader.get(SECRETS, self._namespace, name)
        except NotFound:
            return silent(silence.SECRET_MISSING, f"{where} does not exist")
        except Forbidden:
            return silent(silence.SECRET_FORBIDDEN, f"opsloop may not get {where}; a Role for it is in docs/evals.md")
        except OpsloopError as error:
            return silent(silence.SECRET_MISSING, f"{where} could not be read: {type(error).__name__}")


def _value(header: HeaderFrom, secret: Object) -> str | Answer:
    """The value without the line break that files end with."""
    reference = header.secret_key_ref
    where, encoded = f"key {reference.key} of Secret {reference.name}", (secret.get("data") or {}).get(reference.key)
    if encoded is None:
        return silent(silence.SECRET_MISSING, f"there is no {where}")
    try:
        value = base64.b64decode(encoded, validate=True).decode().rstrip("\r\n")
    except (binascii.Error, ValueError):
        return silent(silence.SECRET_UNFIT, f"{where} is no text")
    wrong = unfit(value)
    return silent(silence.SECRET_UNFIT, f"{where} {wrong}") if wrong else value
