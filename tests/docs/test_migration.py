"""docs/migration-*.md mention every field of the other tool's kinds, and name fields of ours that exist.

The lists in `fields/` are names of fields of published CRDs, made once; a row of a page has names or patterns of them in its first cell.
"""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from opsloop.api.crd import object_schema
from opsloop.api.kinds import KINDS
from tests.docs.fenced import ROOT
from tests.docs.said import has_field

FIELDS = Path(__file__).parent / "fields"
PAGES = {
    "argo-rollouts": ROOT / "docs" / "migration-argo-rollouts.md",
    "flagger": ROOT / "docs" / "migration-flagger.md",
}
SECTIONS = {"rollout": ("Rollout",), "analysistemplate": ("AnalysisTemplate",), "canary": ("Canary: the target", "Canary: the service", "Canary: the analysis"), "metrictemplate": ("MetricTemplate",), "alertprovider": ("AlertProvider",)}  # fmt: skip
LISTS = sorted(FIELDS.glob("*.txt"))


def fields(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def rows(path: Path) -> list[list[str]]:
    """Cells of the rows of the sections about one kind."""
    tool, kind = path.stem.split(".")
    text = PAGES[tool].read_text()
    parts = [re.split(r"^## ", text.split(f"\n## {name}\n", 1)[1], flags=re.MULTILINE)[0] for name in SECTIONS[kind]]
    lines = [
        line
        for part in parts
        for line in part.splitlines()
        if line.startswith("| `") and "`spec" not in line.split("|")[1]
    ]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]


def patterns(path: Path) -> list[str]:
    return [pattern for row in rows(path) for pattern in re.findall(r"`([^`]+)`", row[0])]


def fits(field: str, pattern: str) -> bool:
    """`*` stands for anything; the brackets of a list are brackets."""
    return fnmatchcase(field.replace("[]", "()"), pattern.replace("[]", "()"))


@pytest.mark.parametrize("path", LISTS, ids=lambda p: p.stem)
def test_every_field_is_mentioned(path: Path) -> None:
    given = patterns(path)
    assert [field for field in fields(path) if not any(fits(field, pattern) for pattern in given)] == []


@pytest.mark.parametrize("path", LISTS, ids=lambda p: p.stem)
def test_every_row_is_about_a_field_that_there_is(path: Path) -> None:
    known = fields(path)
    assert [pattern for pattern in patterns(path) if not any(fits(field, pattern) for field in known)] == []


@pytest.mark.parametrize("path", LISTS, ids=lambda p: p.stem)
def test_a_row_says_what_takes_the_fields_place_or_that_nothing_does(path: Path) -> None:
    assert [row[0] for row in rows(path) if len(row) != 3 or not (row[1] or row[2])] == []


@pytest.mark.parametrize("page", PAGES.values(), ids=lambda p: p.stem)
def test_fields_of_ours_exist(page: Path) -> None:
    schema = object_schema(next(kind for kind in KINDS if kind.name == "Release"))
    ours = {
        name
        for line in page.read_text().splitlines()
        if line.startswith("| `") and "`spec" not in line.split("|")[1]
        for cell in line.split("|")[2:]
        for name in re.findall(r"`(spec\.[\w.\[\]]+)`", cell)
    }
    assert ours
    assert [name for name in sorted(ours) if not has_field(schema, name)] == []
