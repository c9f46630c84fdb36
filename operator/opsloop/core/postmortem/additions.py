"""What people added to a postmortem: notes by section, and action items. They are in the Incident's spec, which opsloop never
writes, so that no rendering can lose them; where they and the record differ, the document says both.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsloop.api.incident import ActionItem, Note
from opsloop.core.postmortem.lessons import Item as Found
from opsloop.core.postmortem.markdown import text

NOTES = ""
PLACES = (
    "summary", "impact", "times", "timeline", "causes", "factors", "went-well", "went-wrong", "lucky", "actions", "questions", NOTES,
)  # fmt: skip
"""Sections of the default document that a note can be written for."""

NOBODY = "nobody yet"


@dataclass(frozen=True, slots=True)
class Item:
    """An action item with what both say of it; `text` and `said` are Markdown."""

    id: str
    done: bool
    text: str
    owner: str = NOBODY
    due: str = ""
    link: str = ""
    said: str = ""
    by_people: bool = False


def by_section(notes: Iterable[Note]) -> dict[str, list[tuple[datetime | None, str]]]:
    """(time, text) of every note, by section in the order of their first notes. Case and blanks of a section do not matter."""
    found: dict[str, list[tuple[datetime | None, str]]] = {}
    for note in notes:
        section = " ".join(note.section.split())
        key = section.lower().replace(" ", "-")
        known = key if key in PLACES else next((s for s in found if s.lower() == section.lower()), section)
        found.setdefault(known, []).append((note.at, note.text))
    return found


def merged(found: Sequence[Found], added: Sequence[ActionItem], owner: str) -> list[Item]:
    """Those that opsloop found, with what people add to them, then those of people. Done is what the record shows: where people
    say so and it does not, that is told. `owner` has those that nobody was named for.
    """
    own = {item.id: item for item in added}
    items = [_both(one, own.pop(one[0], None), owner) for one in found]
    return [*items, *(_of_people(item, owner) for item in own.values())]


def _both(found: Found, item: ActionItem | None, owner: str) -> Item:
    name, done, what = found
    if item is None:
        return Item(name, done, what, owner or NOBODY)
    added = f" {text(item.text, 1024)}" if item.text else ""
    said = "people say that it is done, the record does not show it" if item.done and not done else ""
    return Item(name, done, f"{what}{added}", item.owner or owner or NOBODY, item.due, item.link, said)


def _of_people(item: ActionItem, owner: str) -> Item:
    what = text(item.text, 1024) or text(item.id)
    return Item(item.id, item.done, what, item.owner or owner or NOBODY, item.due, item.link, by_people=True)
