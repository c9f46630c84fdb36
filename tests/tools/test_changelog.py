"""`tools/changelog.py` refuses faulty fragments and moves good ones into CHANGELOG.md."""

from pathlib import Path

import pytest

from tools import changelog

PAGE = f"# Changelog\n\n{changelog.MARK}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "README.md").write_text("# Changes\n")
    (tmp_path / "CHANGELOG.md").write_text(PAGE)
    return tmp_path


def test_the_fragments_of_this_repository_have_no_fault() -> None:
    assert changelog.faults(changelog.ROOT) == []
    assert changelog.MARK in (changelog.ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        pytest.param("grace.fixed.md", "- One.\n- Two\n  goes on.\n", "", id="bullets"),
        pytest.param("grace.md", "- One.\n", "name it", id="no kind"),
        pytest.param("grace.mended.md", "- One.\n", "name it", id="an unknown kind"),
        pytest.param("grace.fixed.txt", "- One.\n", "name it", id="no Markdown"),
        pytest.param("grace.fixed.md", "## Fixed\n- One.\n", "bullets only", id="a heading"),
        pytest.param("grace.fixed.md", "One.\n", "bullets only", id="a paragraph"),
        pytest.param("grace.fixed.md", "", "bullets only", id="nothing"),
    ],
)
def test_a_fragment_has_a_kind_and_holds_bullets(root: Path, name: str, text: str, fault: str) -> None:
    (root / "changelog.d" / name).write_text(text)
    found = changelog.faults(root)
    assert len(found) == bool(fault)
    assert all(fault in line and name in line for line in found)


def test_a_release_takes_all_fragments_by_kind_and_deletes_them(root: Path) -> None:
    for name in ("b.fixed.md", "a.fixed.md", "c.added.md"):
        (root / "changelog.d" / name).write_text(f"- {name[0]}\n")
    changelog.release(root, "0.2.0", "2026-12-01")
    section = "## [0.2.0] - 2026-12-01\n\n### Added\n- c\n\n### Fixed\n- a\n- b\n"
    assert (root / "CHANGELOG.md").read_text() == f"{PAGE}\n{section}"
    assert changelog.fragments(root) == []
    with pytest.raises(ValueError, match=r"0\.2\.0 already"):
        changelog.release(root, "0.2.0", "2026-12-01")


@pytest.mark.parametrize("arguments", [["soon"], ["0.1.0", "0.2.0"], ["--help"]])
def test_wrong_arguments_are_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert changelog.main(arguments) == 2
    assert "changelog.py" in capsys.readouterr().err
