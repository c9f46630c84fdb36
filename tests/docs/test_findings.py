"""docs/first-version.md: every finding has a test, and every test that it names exists."""

import re

import pytest

from tests.docs.test_architecture import ROOT, missing

PAGE = ROOT / "docs" / "first-version.md"
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.read_text().splitlines()
    if re.match(r"\| (\d+|C) \|", line)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_a_finding_has_tests_that_exist_and_what_was_seen_of_the_first_version(row: list[str]) -> None:
    _, _, tests, seen = row
    named = re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", tests)
    assert named and tests == "<br>".join(f"`{test}`" for test in named)
    assert [gone for test in named if (gone := missing(test))] == []
    assert seen


def test_each_part_of_the_list_is_there() -> None:
    assert {row[0] for row in ROWS} == {*map(str, range(1, 17)), "C"}
    assert len({row[1] for row in ROWS}) == len(ROWS)
