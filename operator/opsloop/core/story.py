"""An incident with what belongs to it, and the few things about it that every section of a postmortem asks."""

from dataclasses import dataclass
from datetime import datetime

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import BurnSignal, Incident
from opsloop.api.release import Release, Revision, RollbackRecord
from opsloop.core import revisions
from opsloop.core.markdown import code


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
