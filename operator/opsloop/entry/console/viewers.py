"""Who looks, and what may they see? TokenReview and SubjectAccessReview, bounded as those of the intake; a viewer sees no more here than
`kubectl get` shows them.

An identity and a permission are remembered for a minute, a missing permission for a few seconds: a page asks again every five.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from opsloop.api.meta import GROUP
from opsloop.core.runbook.rights import Identity
from opsloop.entry.bounds import Lanes, Memory, Refusals
from opsloop.entry.senders import KNOWN, REJECTED, REMEMBER, Refused, digest_of, invalid
from opsloop.errors import Unavailable
from opsloop.shell.ports import Access

FORGET = 10.0  # seconds for which a missing permission is not asked for again
MOST_NAMESPACES = 32  # that are asked about one by one for a viewer without the right to all
LONGEST = 16 * 1024  # characters of a token

log = logging.getLogger("opsloop.console")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who was let in."""

    identity: Identity
    token: bytes  # its digest

    @property
    def name(self) -> str:
        """The user's name."""
        return self.identity.name


@dataclass(frozen=True, slots=True)
class Sees:
    """Namespaces of which a viewer may list one kind; None: all. `unasked`: there are more, of which nobody asked, or
    nobody could say now."""

    namespaces: frozenset[str] | None
    unasked: bool = False

    @property
    def anything(self) -> bool:
        """Whether there is a namespace that the viewer may see."""
        return self.namespaces is None or bool(self.namespaces)

    def __contains__(self, namespace: str) -> bool:
        return self.namespaces is None or namespace in self.namespaces


class Viewers:
    """Lets viewers in. `monotonic` in seconds."""

    def __init__(self, access: Access, audience: str, monotonic: Callable[[], float]) -> None:
        self._access, self._audience = access, audience
        self._people = Memory[bytes, Viewer](monotonic)
        self._known = Memory[bytes, bool](monotonic)
        self._rejected = Memory[bytes, bool](monotonic)
        self._rights = Memory[tuple[bytes, str, str, str, str], bool](monotonic)
        self._trusted = Memory[str, bool](
            monotonic
        )  # who was found to have a right here: strangers take none of their places
        self._refusals, self._lanes = Refusals(monotonic), Lanes()
        self._right_lanes = Lanes()  # of those who are somebody: who sends guesses takes no place of theirs

    async def who(self, token: str, address: str) -> Viewer:
        """Raises Refused (401), or Unavailable where the API server cannot say, or not now."""
        digest = digest_of(token)
        if viewer := self._people.get(digest):
            return viewer
        if self._rejected.get(digest) or not token or len(token) > LONGEST:
            raise invalid(self._audience)
        known = bool(self._known.get(digest))
        if not known:
            self._refusals.check(address, digest)
        async with self._lanes.place(known):
            if viewer := self._people.get(digest):
                return viewer
            identity = await self._access.review_token(token, self._audience)
            if identity is None:
                self._rejected.keep(digest, True, REJECTED)
                self._refusals.count(address, digest)
                raise invalid(self._audience)
        viewer = Viewer(identity, digest)
        self._people.keep(digest, viewer, REMEMBER)
        self._known.keep(digest, True, KNOWN)
        return viewer

    async def may(
        self, viewer: Viewer, verb: str, plural: str, namespace: str, group: str = GROUP, name: str = ""
    ) -> bool:
        """Whether the viewer may; namespace "" = in all of them."""
        key = (viewer.token, f"{verb} {group}", plural, namespace, name)
        if (known := self._rights.get(key)) is not None:
            return known
        async with self._right_lanes.place(lambda: bool(self._trusted.get(viewer.name)), viewer.name):
            if (known := self._rights.get(key)) is not None:
                return known
            allowed = await self._access.allowed(viewer.identity, verb, group, plural, namespace, name)
            if allowed:  # before the next of their own questions takes its lane
                self._trusted.keep(viewer.name, True, KNOWN)
        self._rights.keep(key, allowed, REMEMBER if allowed else FORGET)
        return allowed

    async def sees(self, viewer: Viewer, plural: str, namespaces: Callable[[], Iterable[str]]) -> Sees:
        """Of which of these namespaces the viewer may list a kind: one question where it is all."""
        try:
            if await self.may(viewer, "list", plural, ""):
                return Sees(None)
        except Unavailable as error:  # in a few namespaces opsloop has no right to ask about all
            log.debug("asking about each namespace: %s", error)
        every = sorted(set(namespaces()))
        asked = (self.may(viewer, "list", plural, one) for one in every[:MOST_NAMESPACES])
        answers = await asyncio.gather(*asked, return_exceptions=True)
        allowed = frozenset(one for one, may in zip(every, answers, strict=False) if may is True)
        failed = [one for one in answers if isinstance(one, BaseException)]
        for one in failed:
            if not allowed or not isinstance(one, Unavailable):
                raise one
        return Sees(allowed, unasked=bool(failed) or len(every) > MOST_NAMESPACES)

    async def check(
        self, viewer: Viewer, verb: str, plural: str, namespace: str, group: str = GROUP, name: str = ""
    ) -> None:
        """Raises Refused (403) with the missing permission."""
        if not await self.may(viewer, verb, plural, namespace, group, name):
            what = f"{verb} {plural}{f'.{group}' if group else ''}{f' {name}' if name else ''} in namespace {namespace}"
            raise Refused(403, f"{viewer.name} may not {what}: bind a Role with that permission, for example `view`")
