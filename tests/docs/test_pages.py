"""All Markdown pages: links lead to files and headings of the repository, and the glossary stays in order."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = {".venv", ".git", "out", "build", "node_modules"}
PAGES = sorted(p for p in ROOT.rglob("*.md") if not HIDDEN & set(p.relative_to(ROOT).parts))
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
MADE = {
    "postmortem.md",
    "index.md",
    "default.md",
    "edited-1.md",
    "WORDS.KIND.md",
    ".md",
}  # a key of a ConfigMap, a pattern, an ending
GLOSSARY = ROOT / "docs" / "glossary.md"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", page.read_text()), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.replace(" ", "-") for text in words}


def broken(page: Path, link: str) -> bool:
    """Whether a link leads to no file or heading of the repository; an address on the web never does."""
    if re.match(r"https?:|mailto:", link):
        return False
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or bool(anchor and target.suffix == ".md" and anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if broken(page, link)] == []


@pytest.mark.parametrize(
    ("link", "is_broken"),
    [
        pytest.param("docs/gate.md", False, id="a file"),
        pytest.param("docs/nowhere.md", True, id="a file that does not exist"),
        pytest.param("docs/operations.md#why-does-it-hold", False, id="a heading"),
        pytest.param("docs/operations.md#weather", True, id="a heading that does not exist"),
        pytest.param("https://example.org/x", False, id="an address on the web"),
    ],
)
def test_the_check_of_links(link: str, is_broken: bool) -> None:
    assert broken(ROOT / "README.md", link) == is_broken


@pytest.mark.parametrize("folder", ["operator", "charts", "tools", "e2e", "docs"])
def test_a_page_that_a_text_names_is_in_the_repository(folder: str) -> None:
    """Also where it is no link: in a docstring, a comment or a template."""
    gone = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".tpl", ".txt"}
        for name in re.findall(r"[\w./-]*\w\.md\b", path.read_text())
        if name not in MADE
        and not name.startswith("repository/")
        and not name.endswith("/index.md")  # of the site: tools/docs_site.py
        and not any((base / name).exists() for base in (path.parent, ROOT, ROOT / "docs", ROOT / "docs" / "decisions"))
    ]
    assert gone == []


def test_words_of_the_glossary_are_in_alphabetical_order_and_have_a_meaning() -> None:
    rows = [line.split("|")[1:4] for line in GLOSSARY.read_text().splitlines() if line.startswith("| ")][1:]
    words = [row[0].strip() for row in rows]
    assert words == sorted(words)
    assert [word for word, meaning, _ in rows if not re.fullmatch(r" [A-Z(].*\. ", meaning)] == []
