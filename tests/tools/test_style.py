"""`tools/style.py` finds families of modules and texts without a subject, and finds none in this repository."""

import ast
from pathlib import Path

import pytest

from tools import style


def test_this_repository_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert style.main() == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("names", "found"),
    [
        pytest.param(["a/canary_up.py", "a/canary_down.py", "a/canary_end.py"], 1, id="three with one prefix"),
        pytest.param(["a/canary_up.py", "a/canary_down.py"], 0, id="two with one prefix"),
        pytest.param(["a/canary_up.py", "a/canary_down.py", "b/canary_end.py"], 0, id="in two folders"),
        pytest.param(["a/up.py", "a/down.py", "a/end.py"], 0, id="without a prefix"),
        pytest.param(["a/__init__.py", "a/__main__.py", "a/_private.py"], 0, id="names that start with an underscore"),
    ],
)
def test_a_family_is_three_modules_with_one_prefix_in_one_folder(names: list[str], found: int) -> None:
    assert len(style.families(map(Path, names))) == found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("%s/%s: page not delivered: %s", "", id="an object first"),
        pytest.param("Deployment %s/%s stored another template", "", id="a kind first"),
        pytest.param("SLI of %s is unknown", "", id="an abbreviation first"),
        pytest.param("", "", id="a computed text"),
        pytest.param("is being written", "starts with 'is' and has no subject", id="a verb first"),
        pytest.param("it is being written", "starts with 'it' and has no subject", id="a pronoun first"),
        pytest.param("Stopped with code %d", "starts with 'Stopped' in upper case", id="upper case"),
        pytest.param("queue stopped.", "ends with a full stop", id="a full stop"),
    ],
)
def test_a_text_starts_with_its_subject_in_lower_case(text: str, fault: str) -> None:
    assert style.fault(text) == fault


def test_texts_are_those_of_log_calls_and_conditions() -> None:
    code = """
log.info("one %s", name)
logger.exception(f"two {name}")
builder.condition("Held", True, PAUSED, f"three {name}")
builder.set("four")
log.info(computed)
"""
    assert [text for _, text in style.texts(ast.parse(code))] == ["one %s", "two ", "three ", ""]


def test_findings_name_file_and_line(tmp_path: Path) -> None:
    module = tmp_path / "e2e" / "room.py"
    module.parent.mkdir()
    module.write_text('log.info("is late")\n')
    assert style.findings(tmp_path) == ["e2e/room.py:1: 'is late' starts with 'is' and has no subject"]
