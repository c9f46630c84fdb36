"""The postmortem as data: what was measured and done, and what people added; made of an Incident, without a clock or a guess.

The same incident gives the same document, whoever makes it. The operator stores it with its Markdown; `opsloop postmortem`
renders what is stored. Each string field is either Markdown made of escaped parts (`Md`) or foreign text. Every one of them
has passed the redactor.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident, TimelineEntry
from opsloop.api.release import Release
from opsloop.core.postmortem import additions, causes, impact, lessons
from opsloop.core.postmortem.curve import Curve
from opsloop.core.postmortem.gaps import RULES, gaps
from opsloop.core.postmortem.markdown import block, clock, code, day, plain, text
from opsloop.core.postmortem.markup import Inline, Md, MdBlock
from opsloop.core.postmortem.subject import PostmortemSubject
from opsloop.core.postmortem.summary import summary

FORMAT = 1  # of the stored JSON


class Part(BaseModel):
    """A part of the document; templates see it as a mapping."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Row(Part):
    """A line of the table of the impact."""

    what: Md
    much: Md


class Moment(Part):
    """One of the four times."""

    what: str
    at: datetime | None
    when: Md
    since_onset: Md
    since_before: Md


class Entry(Part):
    """An entry of the timeline."""

    at: datetime
    type: Md
    message: Md
    actor: Md
    evidence: list[Md]


class Suspect(Part):
    """A place in the ranking of causes; share: its probability among all, as far as opsloop weighed them. `said`: the same in words,
    which claim no certainty."""

    name: Md
    share: float
    said: Md = Inline("")  # of a document that an older opsloop stored


class Gap(Part):
    """A contributing factor, with the rule that found it and what that rule looks at."""

    rule: str
    looks_at: Md
    text: Md


class Action(Part):
    """An action item. `said` is what the record and people say differently of it; by_people: opsloop did not find it."""

    id: str
    done: bool
    text: Md
    owner: Md
    due: str
    link: Md
    said: Md
    by_people: bool


class Section(Part):
    """A section that people wrote and that opsloop has no place for."""

    title: Md
    texts: list[MdBlock]


class Numbers(Part):
    """The impact in numbers; None is unknown."""

    bad_events: float | None
    total_events: float | None
    budget_spent: float | None
    minutes: float | None
    alerts: int
    tickets: int


class Document(Part):
    """A postmortem."""

    format: int = FORMAT
    incident: str
    namespace: str
    service: str
    owner: Md
    severity: str
    phase: str
    provisional: bool
    title: Md
    summary: Md
    numbers: Numbers
    impact: list[Row]
    times: list[Moment]
    ttd: Md
    ttm: Md
    ttr: Md
    timeline: list[Entry]
    folded: int
    cause: Md
    suspects: list[Suspect]
    supporting: list[Md]
    opposing: list[Md]
    evidence: list[Md]
    unseen: list[Md]
    gaps: list[Gap]
    went_well: list[Md]
    actions: list[Action]
    questions: list[Md]
    added: dict[str, list[MdBlock]]  # what people wrote, by section of the default document; "" holds their notes
    sections: list[Section]
    links: list[Md]
    curve: Curve | None = None
    edited: list[str] = []  # keys of the ConfigMap that hold what people had written into the stored document


def document(
    incident: Incident,
    release: Release | None,
    eval_case: EvalCase | None,
    curve: Curve | None = None,
    edited: Iterable[str] = (),
) -> Document:
    """The whole postmortem. What is not known is None, or is called unknown."""
    subject = PostmortemSubject.of(incident, release, eval_case)
    made = _made(subject, curve).model_copy(update={"curve": None})
    clean: dict[str, Any] = subject.redactor.everywhere(made.model_dump(mode="json"))
    return Document.model_validate(clean).model_copy(update={"curve": curve, "edited": list(edited)})


def _made(subject: PostmortemSubject, curve: Curve | None) -> Document:
    spec, status, meta = subject.incident.spec, subject.incident.status, subject.incident.metadata
    weighed, measured = causes.weighed(status.cause), impact.numbers(subject, curve)
    written, durations = additions.by_section(spec.notes), impact.durations(subject)
    return Document(
        incident=meta.name,
        namespace=meta.namespace,
        service=spec.service,
        owner=text(spec.owner, 80),
        severity=status.severity,
        phase=status.phase,
        provisional=status.phase != "Resolved",
        title=text(status.title or spec.title, 200),
        summary=summary(subject),
        numbers=Numbers(
            bad_events=measured.bad, total_events=measured.total, budget_spent=measured.budget_spent, minutes=measured.minutes,
            alerts=status.alerts.count, tickets=len(status.tickets),
        ),
        impact=[Row(what=what, much=much) for what, much in impact.rows(subject, curve)],
        times=[
            Moment(what=what, at=at, when=when, since_onset=onset, since_before=before)
            for what, at, when, onset, before in impact.moments(subject)
        ],
        ttd=durations["ttd"],
        ttm=durations["ttm"],
        ttr=durations["ttr"],
        timeline=[_entry(e) for e in sorted(status.timeline, key=lambda e: e.at)],  # at one time: as they were recorded
        folded=status.folded,
        cause=causes.conclusion(subject),
        suspects=[Suspect(name=text(name), share=share, said=causes.share_said(share)) for name, share in causes.ranked(status.cause)],
        supporting=weighed.supporting,
        opposing=weighed.opposing,
        evidence=weighed.other,
        unseen=causes.unseen(status.cause),
        gaps=[Gap(rule=rule, looks_at=RULES[rule], text=said) for rule, said in gaps(subject)],
        went_well=lessons.went_well(subject),
        actions=[_action(one) for one in additions.merged(lessons.actions(subject), spec.actions, spec.owner)],
        questions=lessons.questions(subject),
        added={
            section: [_note(at, words) for at, words in texts] for section, texts in written.items() if section in additions.PLACES
        },
        sections=[
            Section(title=text(section, 80), texts=[_note(at, words) for at, words in texts])
            for section, texts in written.items() if section not in additions.PLACES
        ],
        links=_links(spec.links),
        curve=curve,
    )  # fmt: skip


def _entry(entry: TimelineEntry) -> Entry:
    return Entry(
        at=entry.at,
        type=text(entry.type),
        message=text(entry.message, 500),
        actor=code(entry.actor),
        evidence=[causes.said(e) for e in entry.evidence],
    )


def _action(item: additions.Item) -> Action:
    return Action(
        id=item.id, done=item.done, text=item.text, owner=text(item.owner, 80), due=item.due,
        link=_link(item.link), said=item.said, by_people=item.by_people,
    )  # fmt: skip


def _note(at: datetime | None, words: str) -> str:
    """A note in its writer's words, without who wrote it."""
    return f"{day(at)} {clock(at)} UTC\n\n{block(words, most=4096)}" if at else block(words, most=4096)


def _links(links: Iterable[str]) -> list[str]:
    return [made for link in links if (made := _link(link))]


def _link(link: str) -> str:
    """An address as a link; "" where it is none of the web."""
    if not link.startswith(("https://", "http://")):
        return ""
    return f"<{plain(link, 1024).replace(' ', '%20').replace('<', '%3C').replace('>', '%3E')}>"
