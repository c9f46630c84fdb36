"""An incident with what belongs to it, and the few things about it that every section of a postmortem asks."""

from dataclasses import dataclass
from datetime import datetime

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import BurnSignal, Incident
from opsloop.api.release import Release, Revision, RollbackRecord
from opsloop.core.postmortem.markdown import code
from opsloop.core.release import revisions


@dataclass(frozen=True, slots=True)
class Story:
    """An incident with what belongs to it."""

    incident: Incident
    release: Release | None
    case: EvalCase | None

    @property
    def name(self) -> str:
        """Name of the Incident."""
        return self.incident.metadata.name

    @property
    def burn(self) -> BurnSignal | None:
        """The burn that made it a page, else the one that opened it."""
        return self.incident.status.burn or self.incident.spec.signal.burn

    @property
    def blamed(self) -> Revision | None:
        """The revision that the cause names, where the Release still knows it."""
        cause = self.incident.status.cause
        return self.revision(cause.revision) if cause and cause.kind == "bad_release" else None

    @property
    def rollback(self) -> RollbackRecord | None:
        """The rollback that was carried out for this incident."""
        done = self.release.status.rollback if self.release else None
        return done if done and done.incident == self.name and done.state in ("Written", "Done") else None

    @property
    def changed_at(self) -> datetime | None:
        """When the blamed revision first became live; pushed again later, its liveSince is a later time."""
        blamed = self.blamed
        if blamed is None:
            return None
        return self._at(f"change-{blamed.digest}") or blamed.live_since

    @property
    def first_rollback(self) -> tuple[datetime, datetime] | None:
        """(decided, available again) of the first rollback that the timeline tells of, else of the last."""
        decided, done = self._at("rollback-1"), self._at("rolled-back-1")
        if (decided is None or done is None) and self.rollback is not None:
            decided, done = self.rollback.at, self.rollback.done_at
        return (decided, done) if decided and done else None

    def _at(self, key: str) -> datetime | None:
        return next((e.at for e in self.incident.status.timeline if e.key == key), None)

    @property
    def first_ticket_at(self) -> datetime | None:
        """When the first linked ticket came in."""
        return min((t.received_at for t in self.incident.status.tickets), default=None)

    def revision(self, digest: str) -> Revision | None:
        """A revision of the Release."""
        return revisions.find(self.release.status.revisions, digest) if self.release else None

    def version(self, digest: str) -> str:
        """A revision as people call it, in Markdown: its version, with the digest only where two have that version."""
        known = self.revision(digest)
        return self._called(known.version if known else "", digest)

    @property
    def blamed_version(self) -> str:
        """The cause's revision as people call it."""
        cause = self.incident.status.cause
        return self._called(cause.version, cause.revision) if cause else "the blamed revision"

    def _called(self, version: str, digest: str) -> str:
        namesakes = [r for r in self.release.status.revisions if r.version == version] if self.release else []
        if version and len(namesakes) < 2:
            return code(version)
        return f"{code(version)} (revision {code(digest[:8])})" if version else f"revision {code(digest[:8])}"
