"""No name of a person, no address and no user agent is in a postmortem, wherever it was written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import ActionItem, Incident, Note
from opsloop.core.postmortem.blameless import SOMEBODY, Redactor, is_tool
from opsloop.names import ACKNOWLEDGE
from tests.builders.evalcases import at, ticket
from tests.builders.postmortems import EPISODES, Episode, closed_loop, hostile

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
PEOPLE = [
    "Priya", "Priya Shah", "Jürgen Groß", "O'Brien", "Nguyễn Văn An", "李雷", "Мария Иванова", "al-Khwarizmi", "mallory_42",
    "d.smith", "alice@example.org", "bob.b+pager@mail.example.co.uk", "J. R. R.", "[bot] Eve", "Zoë*", "CN=carol,O=shop",
]  # fmt: skip


def everywhere(name: str, said: str) -> Episode:
    """The drill's Incident in which a person bears this name wherever one can, and `said` quotes it wherever somebody writes."""
    incident, release, case = closed_loop()
    status, spec, meta = incident.status, incident.spec, incident.metadata
    entries = [e.model_copy(update={"message": f"{e.message}: {said}"}) for e in status.timeline]
    people = [
        entries[0].model_copy(update={"key": "note-1", "type": "Note", "message": said, "actor": name}),
        entries[0].model_copy(update={"key": "assigned-1", "type": "Assigned", "message": f"assigned to {name}", "actor": name}),
        entries[0].model_copy(update={"key": "acknowledged-1", "type": "Acknowledged", "message": f"T by {name}"}),
        entries[0].model_copy(update={"key": "stopped-1", "type": "Stopped", "message": f"opsloop is stopped: {name}"}),
        entries[0].model_copy(update={"key": "ticket-T-9", "type": "Ticket", "message": f'ticket T-9 "{said}" linked'}),
    ]  # fmt: skip
    assert release is not None and status.cause is not None
    cause = status.cause.model_copy(update={"manager": name})
    revisions = [r.model_copy(update={"manager": name}) for r in release.status.revisions]
    told = {
        "timeline": [*entries, *people], "assignee": name, "cause": cause,
        "tickets": [ticket(subject=f"{said}, says {name}")],
    }  # fmt: skip
    written = {
        "assignee": name,
        "notes": [Note(author=name, text=said), Note(author=name, text=said, section="lucky"), Note(text=said, section="Thanks")],
        "actions": [ActionItem(id="ask", text=said, owner=name)],
    }  # fmt: skip
    who = meta.model_copy(update={"annotations": {ACKNOWLEDGE: f"2026-01-05T10:00:20Z by {name}"}})
    made = Incident(metadata=who, spec=spec.model_copy(update=written), status=status.model_copy(update=told))
    shipped = release.model_copy(update={"status": release.status.model_copy(update={"revisions": revisions})})
    return Episode(made, shipped, case)


@pytest.mark.parametrize("name", PEOPLE)
def test_no_name_is_in_it_wherever_it_was_written(name: str) -> None:
    said = everywhere(name, f"{name} pushed it; ask {name}, or {name.upper()}.").markdown
    assert name.casefold() not in said.casefold()
    assert SOMEBODY in said and "`v2`" in said and "search team" in said


@pytest.mark.parametrize("name", PEOPLE)
def test_nor_in_what_is_stored_for_other_templates(name: str) -> None:
    assert name not in everywhere(name, f"ask {name}").document.model_dump_json()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param("mail alice@example.org now", f"mail {SOMEBODY} now", id="a mail address"),
        pytest.param("cc <zoë.o'hara+x@mail.example>", f"cc <{SOMEBODY}>", id="an address in brackets, with other letters"),
        pytest.param("@alice and @bob.b saw it", f"{SOMEBODY} and {SOMEBODY} saw it", id="handles of a chat"),
        pytest.param(f"seen with {AGENT}", f"seen with {SOMEBODY}", id="a browser"),
        pytest.param("kubectl/v1.34.0 (linux/amd64) kubernetes/abc wrote", f"{SOMEBODY} wrote", id="a client of the API server"),
        pytest.param("shop/cart@sha256:abc is live", "shop/cart@sha256:abc is live", id="an image is nobody"),
        pytest.param("https://wiki.example/@returns", "https://wiki.example/@returns", id="nor is a part of an address"),
        pytest.param("rate(x[5m] @ 1700) > 0.5/2", "rate(x[5m] @ 1700) > 0.5/2", id="nor an expression"),
        pytest.param("9.5 req/s (p99)", "9.5 req/s (p99)", id="nor a unit"),
    ],
)  # fmt: skip
def test_patterns(said: str, told: str) -> None:
    assert Redactor.of([]).text(said) == told


@pytest.mark.parametrize(
    ("manager", "tool"),
    [("kubectl-set", True), ("helm", True), ("argocd-controller", True), ("alice", False), ("kubectl-alice", False), ("Mozilla", False)],
)  # fmt: skip
def test_only_known_tools_are_named(manager: str, tool: bool) -> None:
    assert is_tool(manager) == tool


def test_a_person_who_bears_the_name_of_a_service_takes_nothing_out() -> None:
    assert "service `answers`" in everywhere("answers", "answers is down").markdown


def test_what_users_wrote_is_left_out() -> None:
    subject = "I am Karin and cannot return my kettle"
    incident, release, case = hostile()
    spec = incident.spec.model_copy(update={"title": subject})
    told = {"tickets": [ticket(subject=subject)], "title": subject}
    status = incident.status.model_copy(update=told)
    said = Episode(incident.model_copy(update={"spec": spec, "status": status}), release, case).markdown
    assert "kettle" not in said and "reported by a user" in said


@given(st.text(min_size=2, max_size=40).filter(lambda n: any(c.isalpha() for c in n)), st.text(max_size=80))
def test_a_known_name_is_never_left_in_a_text(name: str, around: str) -> None:
    bare = name.strip()
    redacted = Redactor.of([name]).text(f"{around} {bare} {around}")
    assert len(bare) < 2 or f" {bare} " not in f" {redacted} ".replace(SOMEBODY, "") or bare in SOMEBODY


@pytest.mark.parametrize("name", EPISODES)
def test_redacting_twice_changes_nothing(name: str) -> None:
    episode: Any = EPISODES[name]()
    data = episode.document.model_dump(mode="json")
    assert episode.subject.redactor.everywhere(data) == data
    assert isinstance(episode.case, EvalCase | None) and at(0)
