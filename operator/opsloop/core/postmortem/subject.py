"""The input of a postmortem: an Incident with what belongs to it, reduced to what the document tells.

What is not in the reduced objects cannot get into the document, so equal digests mean equal documents.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import BurnSignal, Incident, IncidentStatus, TimelineEntry
from opsloop.api.meta import ObjectMeta
from opsloop.api.page import Page
from opsloop.api.records import RollbackRecord
from opsloop.api.release import Release
from opsloop.api.revision import Revision
from opsloop.core import conditions
from opsloop.core.postmortem.blameless import Redactor, is_tool, people_of
from opsloop.core.postmortem.markdown import code

# Types of timeline entries whose message quotes a person, with what the postmortem says instead; "" leaves the entry out
_QUOTES = {
    "Note": "",  # they stand in the section that they were written for
    "Assigned": "",
    "Acknowledged": "a person has taken it on",
    "Stopped": "opsloop was stopped by a person",
}
EDITION = "4"  # raise it when the document changes its form: stored postmortems are then rendered again

_COPIED = (
    "phase", "severity", "title", "onset_at", "detected_at", "mitigated_at", "resolved_at", "burn", "also_burned", "affected",
    "cause", "page", "reopened", "blocked", "exonerated", "timeline", "folded", "fix", "waiver",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """The root Release, with the revisions that the Incident blames, blocked or rolled back to."""

    name: str
    has_evals: bool
    has_slo: bool
    revisions: tuple[Revision, ...]
    namesakes: tuple[str, ...]  # versions that more than one revision of the Release bears
    rollback: RollbackRecord | None  # the one that was carried out for this Incident
    passed_cases: tuple[str, ...]  # eval cases that passed when the blamed revision was promoted
    rejected_dark: tuple[str, ...]  # digests of revisions whose canary took no traffic before it was rejected
    live_version: str  # while no fix is promoted

    @classmethod
    def of(cls, release: Release, incident: Incident) -> "ReleaseRecord":
        """What the postmortem of this Incident tells of the Release."""
        status, cause, rollback = release.status, incident.status.cause, release.status.rollback
        carried_out = rollback is not None and rollback.state in ("Written", "Done")
        if rollback is None or not carried_out or rollback.incident != incident.metadata.name:
            rollback = None
        blamed = cause if cause and cause.kind == "bad_release" else None
        versions = [revision.version for revision in status.revisions]
        revisions = tuple(r for r in status.revisions if _concerns(r, incident, rollback))
        named = {*(r.version for r in revisions), cause.version if cause else ""}
        passed = (
            status.promotion.cases if status.promotion and blamed and status.promotion.digest == blamed.revision else []
        )
        return cls(
            name=release.metadata.name,
            has_evals=release.spec.evals is not None,
            has_slo=release.spec.slo is not None,
            revisions=tuple(r.model_copy(update={"images": {}, "manager": _tool(r.manager)}) for r in revisions),
            namesakes=tuple(sorted(version for version in named if versions.count(version) > 1)),
            rollback=rollback and rollback.model_copy(update={"state": "Done"}),
            passed_cases=tuple(passed),
            rejected_dark=_rejected_dark(release, incident),
            live_version=status.version if blamed and incident.status.fix is None else "",
        )


def _tool(manager: str) -> str:
    """A field manager, where it is a tool and cannot be somebody's name."""
    return manager if is_tool(manager) else ""


def _concerns(revision: Revision, incident: Incident, rollback: RollbackRecord | None) -> bool:
    status, blocked = incident.status, revision.blocked
    ordered = {status.cause.revision if status.cause else "", rollback.to_digest if rollback else ""}
    named = {*ordered, *status.blocked, *status.exonerated}
    return revision.digest in named or (blocked is not None and blocked.incident == incident.metadata.name)


def _rejected_dark(release: Release, incident: Incident) -> tuple[str, ...]:
    """The digests that are blocked for this Incident and that its case kept out of all traffic: by the Release's history, or by its
    last target where that is older than the history."""
    status, target = release.status, release.status.target
    dark = {entry.digest for entry in status.history if entry.what == "Rejected" and entry.served_since is None}
    served = {entry.digest for entry in status.history if entry.served_since is not None}
    if target is not None and target.state == "Rejected" and target.evals_step is None:
        dark.add(target.digest)
    kept = [r.digest for r in status.revisions if r.blocked and r.live_since is None and _is_of(r, incident)]
    return tuple(digest for digest in kept if digest in dark - served)


def _is_of(revision: Revision, incident: Incident) -> bool:
    return revision.blocked is not None and revision.blocked.incident == incident.metadata.name


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """The EvalCase that was captured from the Incident."""

    name: str
    release: str
    kind: str
    incident: str
    proven: str
    reason: str

    @classmethod
    def of(cls, case: EvalCase) -> "CaseRecord":
        """Name, origin and proof of an EvalCase."""
        spec, status = case.spec, case.status
        origin = spec.origin
        return cls(case.metadata.name, spec.release, origin.kind, origin.incident, status.proven, status.reason)


@dataclass(frozen=True, slots=True)
class PostmortemSubject:
    """An Incident with its Release and EvalCase, as far as the postmortem tells of them."""

    incident: Incident
    release: ReleaseRecord | None
    case: CaseRecord | None
    no_case: str  # why no EvalCase was captured
    redactor: Redactor = field(default=Redactor(None, None), repr=False)

    @classmethod
    def of(cls, incident: Incident, release: Release | None, case: EvalCase | None) -> "PostmortemSubject":
        """The subject of an Incident's postmortem."""
        captured = conditions.get(incident.status.conditions, "RegressionCaptured")
        return cls(
            incident=_reduced(incident),
            release=ReleaseRecord.of(release, incident) if release else None,
            case=CaseRecord.of(case) if case else None,
            no_case=captured.message if captured and case is None else "",
            redactor=_redactor(incident, release),
        )

    @property
    def digest(self) -> str:
        """16 hex digits over everything that the document tells; stable over restarts."""
        return hashlib.sha256(EDITION.encode() + _AS_JSON.dump_json(self)).hexdigest()[:16]

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
        """The rollback that was carried out for this Incident."""
        return self.release.rollback if self.release else None

    @property
    def helpful_rollback(self) -> RollbackRecord | None:
        """The rollback that ended the harm; None where its revision turned out not to be the cause."""
        done = self.rollback
        return None if done is None or done.from_digest in self.incident.status.exonerated else done

    @property
    def blocked(self) -> list[str]:
        """Digests that this Incident blocked for good reason: those that were exonerated may go again."""
        return [digest for digest in self.incident.status.blocked if digest not in self.incident.status.exonerated]

    @property
    def changed_at(self) -> datetime | None:
        """Time at which the blamed revision first became live; pushed again later, its liveSince is a later time."""
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
        """Time at which the first linked ticket came in."""
        return min((t.received_at for t in self.incident.status.tickets), default=None)

    def revision(self, digest: str) -> Revision | None:
        """A revision of the Release that concerns the Incident."""
        return next((r for r in self.release.revisions if r.digest == digest), None) if self.release else None

    def version(self, digest: str) -> str:
        """A revision in Markdown: its version, with the digest only where two revisions have that version."""
        revision = self.revision(digest)
        return self._named(revision.version if revision else "", digest)

    @property
    def blamed_version(self) -> str:
        """The cause's revision in Markdown."""
        cause = self.incident.status.cause
        return self._named(cause.version, cause.revision) if cause else "the blamed revision"

    def _named(self, version: str, digest: str) -> str:
        if version and (self.release is None or version not in self.release.namesakes):
            return code(version)
        return f"{code(version)} (revision {code(digest[:8])})" if version else f"revision {code(digest[:8])}"


def _reduced(incident: Incident) -> Incident:
    """Without fields that the document does not tell; how many alerts still fire is reduced to whether any does."""
    status, meta = incident.status, incident.metadata
    counts = {"firing": min(status.alerts.firing, 1), "by_service": dict(sorted(status.alerts.by_service.items()))}
    alerts = status.alerts.model_copy(update={**counts, "last_at": None, "sample": []})
    copied = {name: getattr(status, name) for name in _COPIED} | {
        "alerts": alerts,
        "page": _calls(status.page),
        "tickets": [
            ticket.model_copy(update={"subject": "", "evidence": [], "example": None}) for ticket in status.tickets
        ],
        "timeline": [
            told for entry in status.timeline if (told := _told(entry, incident.spec.signal.kind)) is not None
        ],
        "plays": [play for play in status.plays if play.state in ("DidNotHelp", "NotProven", "Refused")],
    }
    if (cause := status.cause) is not None:
        copied["cause"] = cause.model_copy(update={"manager": _tool(cause.manager)})
    spec = incident.spec
    if spec.signal.kind == "ticket":  # title and message are the user's words
        said = f"{spec.service}: reported by a user"
        copied["title"] = status.title if status.title != spec.title else said
        spec = spec.model_copy(
            update={"title": said, "signal": spec.signal.model_copy(update={"message": ""})},
        )
    notes = [note.model_copy(update={"author": ""}) for note in spec.notes]
    return Incident(
        metadata=ObjectMeta(name=meta.name, namespace=meta.namespace),
        spec=spec.model_copy(update={"assignee": "", "notes": notes}),
        status=IncidentStatus().model_copy(update=copied),
    )


def _told(entry: TimelineEntry, signal: str) -> TimelineEntry | None:
    """The entry without a person's words; None where nothing else is in it. `signal` is the kind of what opened the Incident."""
    if signal == "ticket" and entry.key == "detected":
        return entry.model_copy(update={"message": "a user's ticket came in"})
    if entry.type == "Ticket":
        said = f"ticket {entry.key.removeprefix('ticket-')} was linked"
        return entry.model_copy(update={"message": said, "evidence": []})
    said = _QUOTES.get(entry.type, entry.message)
    return entry.model_copy(update={"message": said}) if said or not entry.message else None


def _redactor(incident: Incident, release: Release | None) -> Redactor:
    """Takes everybody out whom the Incident names; names of systems stay, though a person may bear them as well."""
    status, spec, cause = incident.status, incident.spec, incident.status.cause
    revisions = [r for r in release.status.revisions if _concerns(r, incident, None)] if release else []
    managers = {r.manager for r in revisions} | ({cause.manager} if cause else set())
    systems = {
        incident.metadata.name,
        incident.metadata.namespace,
        spec.service,
        spec.release,
        spec.owner,
        *status.affected,
    }
    names = people_of(incident) | {m for m in managers if m and not is_tool(m)}
    return Redactor.of(names, systems | {*status.alerts.by_service, *(r.version for r in revisions)})


def _calls(page: Page | None) -> Page | None:
    """The calls that reached a person: when the thread ended, or what a receiver answered, would render the document once more."""
    if page is None:
        return None
    calls = [m for m in page.messages if m.action == "trigger" and m.state == "Sent"]
    return page.model_copy(update={"messages": calls, "receivers": []})


_AS_JSON = TypeAdapter(PostmortemSubject)
