"""docs/architecture.md and docs/decisions/ name files, tests and symbols that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "opsloop"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [ARCHITECTURE, ROOT / "docs" / "accidents.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
CODE = re.compile(r"`([^`\n]+)`")
MODULE = re.compile(r"(api|core|shell|adapters|entry|simulator)((?:/[a-z_]+)+)(?:\.([A-Za-z_]+))?")


def quoted(page: Path) -> list[str]:
    return CODE.findall(page.read_text())


def missing(text: str) -> str:
    """Returns the file or symbol that a quoted text names and that does not exist; "" if there is none."""
    if re.fullmatch(r"(tests|e2e|tools|docs|charts)/[\w./-]+(::\w+)?", text):
        path, _, test = text.partition("::")
        if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists():
            return path
        return "" if not test or f"def {test}(" in (ROOT / path).read_text() else test
    if found := MODULE.fullmatch(text):
        folder = PACKAGE / (found[1] + found[2])
        if folder.is_dir():
            return "" if found[3] in (None, "py") else text
        if not folder.with_suffix(".py").exists():
            return str(folder)
        name = found[3] or ""
        exists = name in ("", "py") or re.search(rf"\b{name}\b", folder.with_suffix(".py").read_text())
        return "" if exists else text
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_names_files_and_symbols_that_exist(page: Path) -> None:
    assert [gone for text in quoted(page) if (gone := missing(text))] == []


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent.name == "decisions"], ids=lambda p: p.stem)
def test_a_record_is_short_and_in_the_index(page: Path) -> None:
    assert page.name == "README.md" or len(page.read_text().splitlines()) <= 40
    index = (page.parent / "README.md").read_text()
    assert page.name == "README.md" or f"({page.name})" in index


def test_the_house_names_every_module() -> None:
    house = ARCHITECTURE.read_text().split("```")[1]
    words = set(re.findall(r"[a-z_]+", house))
    rooms = {
        p.stem
        for p in PACKAGE.rglob("*.py")
        if p.parent.name not in ("gate", "evidence", "kube", "fakes", "prometheus")
    }
    assert sorted(rooms - words - {"__init__"}) == []


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        pytest.param("tests/sim/shift.py", "", id="a file that is there"),
        pytest.param("tests/nowhere.py", "tests/nowhere.py", id="a file that is not"),
        pytest.param("tests/docs/test_architecture.py::test_nothing", "test_nothing", id="a test that is not"),
        pytest.param("core/release/weights", "", id="a module"),
        pytest.param("core/readings.Value", "", id="a name in a module"),
        pytest.param("core/facts.Nothing", "core/facts.Nothing", id="a name that is not there"),
        pytest.param("kubectl apply", "", id="something else"),
    ],
)
def test_the_check_of_a_quoted_text(text: str, gone: str) -> None:
    assert missing(text) == gone
