"""Who sends, and may they? TokenReview and SubjectAccessReview, bounded: a flood of bad tokens costs the API server little and
keeps nobody out who was let in before.

A permission is remembered by the hash of the token, and a token that is not valid for a moment; a missing permission never:
somebody may just have given it.
"""

import hashlib
from collections.abc import Callable

from opsloop.api.meta import GROUP
from opsloop.entry.bounds import Lanes, Memory, Refusals
from opsloop.shell.ports import Access

REMEMBER = 60.0  # seconds for which a permission is cached
KNOWN = 3600.0  # seconds for which a token that was let in is asked for ahead of strangers
REJECTED = 30.0  # seconds for which a token that is not valid is not asked for again


class Refused(Exception):
    """A request without a valid token, permission, size or form; the message names the remedy."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Senders:
    """Lets requests in. `monotonic` in seconds."""

    def __init__(self, access: Access, audience: str, monotonic: Callable[[], float]) -> None:
        self._access, self._audience = access, audience
        self._allowed = Memory[tuple[bytes, str, str], str](monotonic)  # (token, resource, namespace) → whose it is
        self._known = Memory[bytes, bool](monotonic)  # tokens that were let in
        self._rejected = Memory[bytes, bool](monotonic)  # tokens that are not valid
        self._refusals, self._lanes = Refusals(monotonic), Lanes()

    async def check(self, header: str, plural: str, namespace: str, address: str) -> str:
        """Who it is. Raises Refused (401, 403), or Unavailable where the API server cannot say, or not now."""
        token = bearer(header)
        digest = digest_of(token)
        key = digest, plural, namespace
        if user := self._allowed.get(key):
            return user
        if self._rejected.get(digest):
            raise self._invalid()
        known = bool(self._known.get(digest))
        if not known:
            self._refusals.check(address, digest)
        async with self._lanes.place(known):
            if user := self._allowed.get(key):  # another request of this sender was reviewed meanwhile
                return user
            try:
                user = await self._review(token, digest, plural, namespace)
            except Refused as refused:
                self._refusals.count(address, digest, valid=refused.status == 403)
                raise
        self._allowed.keep(key, user, REMEMBER)
        self._known.keep(digest, True, KNOWN)
        return user

    async def _review(self, token: str, digest: bytes, plural: str, namespace: str) -> str:
        identity = await self._access.review_token(token, self._audience)
        if identity is None:
            self._rejected.keep(digest, True, REJECTED)
            raise self._invalid()
        if not await self._access.allowed(identity, "create", GROUP, plural, namespace):
            permission = f"create {plural}.{GROUP} in namespace {namespace}"
            raise Refused(403, f"{identity.name} may not {permission}: bind a Role with that permission to it")
        return identity.name

    def _invalid(self) -> Refused:
        return invalid(self._audience)


def bearer(header: str) -> str:
    """The token of an Authorization header. Raises Refused where there is none."""
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, "no token: send a Kubernetes token as `Authorization: Bearer TOKEN`")
    return token


def digest_of(token: str) -> bytes:
    """By which a token is remembered."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def invalid(audience: str) -> Refused:
    """The refusal of a token that the API server does not take."""
    return Refused(401, f"the token is not valid for the audience {audience!r}, or it has expired")
