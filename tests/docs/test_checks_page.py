"""docs/checks.md and its example: the models read them, and what the page says of answers is what is decided."""

import re
from pathlib import Path
from typing import Any

from opsloop.api.release import ReleaseSpec
from opsloop.core.release import checks
from tests.builders import yamls
from tests.builders.objects import release_spec

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "checks.md").read_text()


def rows(table: str) -> dict[str, list[str]]:
    """Cells of the table's rows by their first cell."""
    section = PAGE.split(f"## {table}")[1].split("\n## ")[0]
    found = [
        [cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", section, re.MULTILINE)
    ]
    return {cells[0]: cells[1:] for cells in found[2:]}


def codes(text: str) -> set[int]:
    return {int(code) for code in re.findall(r"\b[2-5]\d\d\b", text)}


def test_the_page_says_which_status_means_what() -> None:
    said = rows("What an answer means")
    assert codes(said["failed"][1]) == set(checks.NO)
    assert codes(said["not yet"][1]) == set(checks.NOT_YET)
    assert codes(said["passed"][1]) == {202} and range(200, 300) == checks.YES
    for reason in (checks.CHECK_FAILED, checks.CHECK_NOT_CONFIRMED, checks.CHECK_UNANSWERED):
        assert f"`{reason}`" in PAGE


def test_the_page_shows_checks_as_the_models_read_them() -> None:
    (shown,) = (
        yamls.load(block)["spec"] for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    )
    spec: dict[str, Any] = release_spec(**shown)
    read = ReleaseSpec.model_validate(spec)
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True)["strategy"] == shown["strategy"]
    assert [check.name for check in read.strategy.canary.checks] == ["load-test", "confirm"]
