"""Templates of administrators: what they may, and how a wrong one is told."""

from typing import Any

import pytest

from opsloop.core.notify.render import body, url
from opsloop.errors import Invalid

MESSAGE = {"title": 'a "quoted" {{ title }}\n<b>', "incident": "checkout-1", "links": {"grafana": "https://g"}, "n": 3}


@pytest.mark.parametrize(
    ("template", "made"),
    [
        pytest.param("{{ title }}", MESSAGE["title"], id="a value is a whole JSON value"),
        pytest.param('{"text": {{ title ~ "!" }}}', {"text": f"{MESSAGE['title']}!"}, id="texts are joined before"),
        pytest.param('[{% for k, v in links | dictsort %}{{ [k, v] }}{% endfor %}]', [["grafana", "https://g"]], id="a loop"),
        pytest.param('{% macro m(x) %}{"x": {{ x }}}{% endmacro %}[{{ m(n) }}]', [{"x": 3}], id="what a macro makes is JSON already"),
        pytest.param("{{ title | cut(3) }}", "a …", id="a text is cut with a mark"),
    ],
)  # fmt: skip
def test_a_body(template: str, made: Any) -> None:
    assert body(template, MESSAGE) == made


@pytest.mark.parametrize(
    ("template", "said"),
    [
        pytest.param('{"text": {{ titel }}}', "own: 'titel' is undefined", id="a name that is none"),
        pytest.param('{"a": 1\n{% if %}', "own, line 2", id="wrong syntax, with its line"),
        pytest.param('{"text": "{{ title }}"}', "what it makes is not JSON", id="quotes around a value"),
        pytest.param("{{ title * 1000000000 }}", r"the operator \* is not allowed", id="what could take all memory"),
        pytest.param('{{ "%9999999999d" % 1 }}', "the operator % is not allowed", id="also by formatting"),
        pytest.param("{{ title.ljust(9999999999) }}", "own: ", id="and by padding"),
        pytest.param("{% for i in range(9) %}{% endfor %}1", "own: 'range' is undefined", id="there is nothing endless"),
        pytest.param("{{ ''.__class__ }}", "own: ", id="nothing behind an underscore"),
        pytest.param("{{ [title] * 2 }}", "not allowed", id="nor longer lists"),
        pytest.param("[" + "{{ title }}," * 2000 + "1]", "larger than 28 KiB|a template may have", id="too much of it"),
    ],
)  # fmt: skip
def test_a_wrong_template_is_told(template: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        body(template, MESSAGE, "own")


@pytest.mark.parametrize(
    ("template", "made"),
    [
        pytest.param("https://g/d?var={{ incident }}", "https://g/d?var=checkout-1", id="a part"),
        pytest.param("https://g/d?q={{ title }}", "https://g/d?q=a%20%22quoted%22%20%7B%7B%20title%20%7D%7D%0A%3Cb%3E", id="encoded, so that no word adds a part"),
        pytest.param("https://g/{{ '' }}", "", id="left out where what it names is empty"),
    ],
)  # fmt: skip
def test_a_url(template: str, made: str) -> None:
    assert url(template, MESSAGE) == made
