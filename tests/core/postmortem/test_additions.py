"""What people add survives every rendering: notes by section, action items, and what they write into the stored document."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsloop.api.incident import ActionItem, Note
from opsloop.core.postmortem import additions, stored
from opsloop.core.postmortem.additions import merged
from opsloop.core.postmortem.markdown import text
from opsloop.core.postmortem.render import render
from opsloop.names import RENDERED
from tests.builders.postmortems import EPISODES, Episode, closed_loop

WORDS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=30)
NOTES = st.lists(
    st.builds(Note, text=WORDS, section=st.one_of(st.sampled_from(additions.PLACES), WORDS)), max_size=6
)  # fmt: skip
ACTIONS = st.lists(
    st.builds(ActionItem, id=st.sampled_from(["fix", "eval-case", "cause", "drain", "x1"]), text=WORDS, owner=WORDS, done=st.booleans()),
    max_size=4, unique_by=lambda item: item.id,
)  # fmt: skip


def with_additions(episode: Episode, **written: Any) -> Episode:
    spec = episode.incident.spec.model_copy(update=written)
    return episode._replace(incident=episode.incident.model_copy(update={"spec": spec}))


@settings(max_examples=60, deadline=None)
@given(NOTES, ACTIONS, st.lists(st.sampled_from(sorted(EPISODES)), min_size=1, max_size=3))
def test_whatever_is_measured_next_every_addition_is_told_in_both_forms(
    notes: list[Note], actions: list[ActionItem], measured: list[str]
) -> None:
    for name in measured:
        document = with_additions(EPISODES[name](), notes=notes, actions=actions).document
        for form in ("md", "html"):
            said = render(document, form)
            assert all(text(note.text) in said for note in notes)
            assert all(text(a.text) in said and text(a.owner) in said for a in actions)


def test_a_note_stands_in_its_section_whatever_its_case() -> None:
    notes = [
        Note(text="a Monday", section="Lucky"),
        Note(text="no freeze", section="Went wrong"),
        Note(text="cake", section="Thanks"),
    ]
    said = with_additions(closed_loop(), notes=notes).markdown
    assert "## Where we got lucky\n\n> a Monday" in said and "## What went wrong\n\n> no freeze" in said
    assert "## Thanks\n\n> cake" in said and "## Notes" not in said


FIX = ("fix", False, "Ship a fix.")
BOTH = [
    pytest.param([FIX], [], "sre", [("fix", False, "sre", "")], id="the Incident's owner has what nobody else was named for"),
    pytest.param([FIX], [], "", [("fix", False, "nobody yet", "")], id="else nobody, and that is said"),
    pytest.param([FIX], [ActionItem(id="fix", owner="search")], "sre", [("fix", False, "search", "")], id="people name another owner"),
    pytest.param([("fix", True, "")], [ActionItem(id="fix")], "", [("fix", True, "nobody yet", "")], id="the record shows that it is done"),
    pytest.param(
        [FIX], [ActionItem(id="fix", done=True)], "",
        [("fix", False, "nobody yet", "people say that it is done, the record does not show it")],
        id="people say that it is done, and the record does not",
    ),
    pytest.param([FIX], [ActionItem(id="drain", text="x", done=True)], "", [("fix", False, "nobody yet", ""), ("drain", True, "nobody yet", "")], id="an item of people's own"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "added", "owner", "told"), BOTH)
def test_action_items_of_both(found: Any, added: list[ActionItem], owner: str, told: Any) -> None:
    assert [(i.id, i.done, i.owner, i.said) for i in merged(found, added, owner)] == told


class Kept:
    """A ConfigMap that opsloop renders again and again while people edit it."""

    def __init__(self) -> None:
        self.configmap: dict[str, Any] | None = None

    def render(self, name: str) -> None:
        before = stored.read(self.configmap)
        edits = stored.kept(before)
        document = EPISODES[name]().document.model_copy(update={"edited": list(edits.kept)})
        made = stored.contents(before, edits, document, render(document, "md"))
        self.configmap = {"metadata": {"annotations": made.pop("annotations")}, **made}

    def edit(self, words: str) -> None:
        assert self.configmap is not None
        self.configmap["data"]["postmortem.md"] = words

    @property
    def said(self) -> list[str]:
        assert self.configmap is not None
        return list(self.configmap["data"].values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(sorted(EPISODES)), WORDS.map(lambda w: f"ours: {w}")), max_size=14))
def test_what_people_write_into_the_stored_document_is_never_lost(steps: list[str]) -> None:
    """An edit that no rendering has seen before the next one is that person's own to replace."""
    kept, last, safe = Kept(), "", list[str]()
    kept.render("closed-loop")
    full = False
    for step in steps:
        if step.startswith("ours: "):
            kept.edit(step)
            last = step
        else:
            kept.render(step)
            if last:
                full = full or len(stored.read(kept.configmap).edits) >= stored.MOST_EDITS
                safe += [] if full else [last]
                last = ""
    assert all(words in kept.said for words in safe)
    assert not last or last in kept.said


def test_an_edit_has_a_key_and_the_document_names_it() -> None:
    kept = Kept()
    kept.render("closed-loop")
    kept.edit("our words")
    kept.render("fix-open")
    assert kept.configmap is not None and kept.configmap["data"]["edited-1.md"] == "our words"
    assert "edited-1.md" in kept.configmap["data"]["postmortem.md"]
    kept.render("fix-open")
    assert sorted(kept.configmap["data"]) == ["edited-1.md", "postmortem.md"]


def test_where_no_place_is_left_the_edited_document_stays_and_its_data_goes_on() -> None:
    kept = Kept()
    kept.render("closed-loop")
    for number in range(stored.MOST_EDITS + 1):
        kept.edit(f"edit {number}")
        kept.render("fix-open")
    assert kept.configmap is not None and kept.configmap["data"]["postmortem.md"] == f"edit {stored.MOST_EDITS}"
    read = stored.read(kept.configmap)
    assert (
        read.document is not None and read.document.phase == "Mitigated" and read.pending == f"edit {stored.MOST_EDITS}"
    )


@pytest.mark.parametrize(
    "configmap",
    [
        pytest.param({"metadata": {}, "data": {"postmortem.md": "x"}}, id="by an older opsloop"),
        pytest.param({"metadata": {"annotations": {RENDERED: "y"}}, "binaryData": {"postmortem.json.gz": "bm8="}}, id="broken data"),
        pytest.param({"metadata": {}}, id="emptied"),
        pytest.param(None, id="not there"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_no_document(configmap: Any) -> None:
    assert stored.read(configmap).document is None
