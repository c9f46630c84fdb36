"""The site: every page is in its navigation, links stay within it, and pages are laid out as the generator's Markdown wants them."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import docs_site, figures
from tools.docs_site import FIRST, ROOT, files, laid_out, place


class Loader(yaml.SafeLoader):
    """YAML with the generator's tag for a function of Python, which is left out here."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
CONFIGURATION = yaml.load((ROOT / "docs" / "site" / "mkdocs.yml").read_text(), Loader)


def pages_of(node: Any) -> set[str]:
    if isinstance(node, str):
        return {node}
    return set().union(*(pages_of(part) for part in (node.values() if isinstance(node, dict) else node)))


def test_every_page_is_in_the_navigation_and_nothing_else() -> None:
    records = {
        str(place(path)) for path in files() if path.parent == Path("docs/decisions") and path.name != "README.md"
    }
    named = pages_of(CONFIGURATION["nav"])
    laid = {str(place(path)) for path in files()}
    assert named - laid == set()
    assert {
        str(place(path)) for path in files() if path.parts[0] == "docs" and path.suffix == ".md"
    } - named - records == set()


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert CONFIGURATION["theme"]["font"] is False
    assert "offline" not in CONFIGURATION["plugins"]  # it loads a script from a CDN
    assert "http" not in (ROOT / "docs" / "site" / "extra.css").read_text()


def test_no_page_of_the_site_has_a_diagram_that_a_script_would_draw() -> None:
    assert [str(path) for path, text in files().items() if text and "```mermaid" in text] == []


@pytest.mark.parametrize(
    ("page", "text", "laid"),
    [
        pytest.param("README.md", "[a](docs/gate.md#rows)", "[a](gate.md#rows)", id="a link of the README into docs"),
        pytest.param("docs/gate.md", "[a](../README.md)", "[a](index.md)", id="a link to the README"),
        pytest.param("docs/drill.md", "[a](decisions/README.md)", "[a](decisions/index.md)", id="a link within docs"),
        pytest.param("docs/gate.md", "[a](../charts/opsloop/README.md)", "[a](repository/charts/opsloop/index.md)", id="a link out of docs"),
        pytest.param("docs/gate.md", "[a](../.github/SECURITY.md)", "[a](repository/github/SECURITY.md)", id="a link into a hidden folder"),
        pytest.param("docs/gate.md", "[a](https://x.example) [b](#rows)", "[a](https://x.example) [b](#rows)", id="the web, and an anchor"),
        pytest.param("docs/gate.md", "`[a](../README.md)`", "`[a](../README.md)`", id="code"),
        pytest.param("docs/gate.md", "```\n[a](../README.md)\n- b\n```", "```\n[a](../README.md)\n- b\n```", id="a fenced block"),
        pytest.param("docs/gate.md", "Two:\n- a\n- b", "Two:\n\n- a\n- b", id="a list right below a sentence"),
        pytest.param("docs/gate.md", "- a\n  more\n- b", "- a\n    more\n- b", id="an item goes on, indented by two"),
        pytest.param("docs/gate.md", "1. a\n   more", "1. a\n    more", id="an item goes on, indented by three"),
        pytest.param("docs/gate.md", "- a\n  ```\n  b:\n    c\n  ```", "- a\n    ```\n    b:\n      c\n    ```", id="a fenced block of an item keeps its own indents"),
        pytest.param("docs/gate.md", "- a\n\nText\nmore - than", "- a\n\nText\nmore - than", id="text after a list"),
    ],
)  # fmt: skip
def test_a_page_as_it_is_laid_out(page: str, text: str, laid: str) -> None:
    assert laid_out(Path(page), text) == f"{laid}\n"


def test_what_a_page_links_to_comes_along_and_leads_somewhere() -> None:
    found = files()
    assert {
        FIRST,
        Path("CONTRIBUTING.md"),
        Path("charts/opsloop/README.md"),
        Path("docs/examples/release.yaml"),
    } <= set(found)
    there = {str(place(path)) for path in found}
    lost = [
        f"{path}: {link}"
        for path, text in found.items()
        for link in docs_site.targets(text or "")
        if (file := link.partition("#")[0]) and not docs_site.WEB.match(link) and not file.endswith("/")
        if os.path.normpath(place(path).parent / file) not in there
    ]
    assert lost == []


@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_drawing_is_heard_as_well_and_loads_nothing(name: str) -> None:
    text = figures.drawn(figures.FIGURES[name])
    assert "<title" in text and "<desc" in text and "prefers-color-scheme: dark" in text
    assert re.findall(r"(?:href|src|url)\W", text) == []
