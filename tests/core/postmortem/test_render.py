"""Templates: what a team's may do, what stops it, and that nothing from outside becomes markup."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsloop.core.postmortem import render as rendering
from opsloop.core.postmortem.document import Document
from opsloop.core.postmortem.render import Form, render
from opsloop.errors import Invalid
from tests.builders.evalcases import T0, ticket
from tests.builders.postmortems import EPISODES, Episode, closed_loop, hostile


class Tags(HTMLParser):
    """Names of all elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(f"{tag}@{name}" for name, _ in attrs)}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", EPISODES)
def test_what_is_stored_renders_as_what_was_made(name: str) -> None:
    made = EPISODES[name]().document
    again = Document.model_validate_json(made.model_dump_json())
    for form in rendering.DEFAULTS:
        assert render(again, form) == render(made, form)


def test_what_an_older_opsloop_stored_still_renders() -> None:
    made = closed_loop().document.model_dump(mode="json")
    made["suspects"] = [{"name": "answers v2", "share": 0.95}]
    made["curve"] = {"slo": "sli", "objective": 0.99, "period": 2592000, "step": 4, "since": T0.isoformat(), "until": T0.isoformat(), "points": []}  # fmt: skip
    assert "<td>95 %</td>" in render(Document.model_validate(made), "html")


def test_foreign_text_is_no_element_attribute_or_link_in_html() -> None:
    page = Tags(render(hostile().document, "html"))
    assert "script" not in page.found and "img" not in page.found
    assert not any("@on" in one for one in page.found)
    assert "<script>alert(1)</script>" in page.text, "it is there as text"
    assert "javascript" not in render(hostile().document, "html")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_no_text_adds_an_element_to_the_html(evil: str) -> None:
    def page(said: str) -> set[str]:
        incident, release, case = closed_loop()
        entries = [e.model_copy(update={"message": said, "actor": said[:100]}) for e in incident.status.timeline]
        status = incident.status.model_copy(update={"timeline": entries, "title": said})
        return Tags(
            render(Episode(incident.model_copy(update={"status": status}), release, case).document, "html")
        ).found

    assert page(evil) <= page("plain") | {"em", "strong", "code"}


OWN = [
    pytest.param("md", "{{ service }}: {{ ttm }}", "answers: 56 s", id="fields by their names"),
    pytest.param("md", "{% for g in gaps %}{{ g.rule }} {% endfor %}", "ShippedWithoutCanary NotCovered ", id="loops"),
    pytest.param("md", '{% extends "default.md" %}{% block timeline %}{% endblock %}', "## Summary", id="a block of the default one left out"),
    pytest.param("html", '{% extends "default.html" %}{% block impact %}<h2>Ours</h2>{% endblock %}', "<h2>Ours</h2>", id="another block in HTML"),
    pytest.param("md", "{{ numbers.budget_spent }}", "unknown", id="what is not known is called so"),
    pytest.param("md", "{{ '<b>' }}|{{ '*x*' }}", "\\<b>|\\*x\\*", id="strings are escaped in Markdown"),
    pytest.param("html", "{{ '<b>' }}", "&lt;b&gt;", id="and in HTML"),
    pytest.param("html", "{{ summary }}", "<code>answers</code>", id="Markdown becomes HTML"),
    pytest.param("md", "{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m('*') }}", "[\\*]", id="macros are escaped once"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "template", "expected"), OWN)
def test_a_team_s_own_template(form: Form, template: str, expected: str) -> None:
    assert expected in render(closed_loop().document, form, template)


WRONG = [
    pytest.param("md", "a\n{{ nothing_here }}", "ours.j2, line 2: 'nothing_here' is undefined", id="an unknown name"),
    pytest.param("md", "a\nb\n{% if %}", "ours.j2, line 3: Expected an expression", id="wrong syntax"),
    pytest.param("md", "{{ service.__class__.__mro__ }}", "line 1: access to attribute '__class__'", id="Python behind an object"),
    pytest.param("md", "{{ ''.format.__globals__ }}", "line 1: access to attribute '__globals__'", id="Python behind a method"),
    pytest.param("md", "{{ gaps.append(1) }}", "line 1: access to attribute 'append'", id="a change of the document"),
    pytest.param("md", "{% include '/etc/passwd' %}", "/etc/passwd", id="a file"),
    pytest.param("md", "{% import 'os' as os %}", "os", id="a module"),
    pytest.param("html", "{{ title | safe }}", "No filter named 'safe'", id="markup from outside"),
    pytest.param("html", "x\n{% autoescape false %}{{ title }}{% endautoescape %}", "line 2: autoescape cannot be changed", id="escaping taken away"),
    pytest.param("md", "{% for i in range(10000) %}x{% endfor %}", "range of 10000: a template may count to 1000", id="a long range"),
    pytest.param("md", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion", id="a macro that calls itself"),
    pytest.param("md", "{% for i in range(1000) %}{% for k in range(1000) %}{{ 'xxxxxxxxxx' }}{% endfor %}{% endfor %}", "more than 4194304 characters", id="too much"),
    pytest.param("md", "x" * 200_000, "200000 characters; a template may have 131072", id="a long template"),
    pytest.param("md", "{{ 1 // 0 }}", "line 1: integer division or modulo by zero", id="a division by zero"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "template", "why"), WRONG)
def test_a_wrong_template_is_named_with_its_line(form: Form, template: str, why: str) -> None:
    with pytest.raises(Invalid) as raised:
        render(closed_loop().document, form, template, "ours.j2")
    assert why in str(raised.value) and "ours.j2" in str(raised.value) + why


def test_a_ticket_s_words_reach_no_template() -> None:
    incident, release, case = closed_loop()
    status = incident.status.model_copy(update={"tickets": [ticket(subject="my kettle", id="T-7")]})
    document = Episode(incident.model_copy(update={"status": status}), release, case).document
    assert "kettle" not in document.model_dump_json()
