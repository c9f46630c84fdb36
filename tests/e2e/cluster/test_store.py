"""Content keys and cache entries: what decides whether something is built again."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster import paths, store


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_moving_a_boundary_between_parts_changes_the_key() -> None:
    assert store.key_of("ab", "c") != store.key_of("a", "bc")


def test_the_key_of_a_tree_does_not_depend_on_where_it_lies(tmp_path: Path) -> None:
    for root in ("one", "two"):
        write(tmp_path / root / "sub" / "file", "text")
    assert store.key_of_trees([tmp_path / "one"]) == store.key_of_trees([tmp_path / "two"])


def test_content_name_and_execute_bit_each_change_the_key(tmp_path: Path) -> None:
    file = write(tmp_path / "tree" / "file", "text")
    keys = {store.key_of_trees([tmp_path / "tree"])}
    file.chmod(0o755)
    keys.add(store.key_of_trees([tmp_path / "tree"]))
    file.write_text("other")
    keys.add(store.key_of_trees([tmp_path / "tree"]))
    file.rename(file.with_name("renamed"))
    keys.add(store.key_of_trees([tmp_path / "tree"]))
    assert len(keys) == 4


def test_compiled_leftovers_do_not_change_the_key(tmp_path: Path) -> None:
    write(tmp_path / "file", "text")
    before = store.key_of_trees([tmp_path])
    write(tmp_path / "__pycache__" / "file.pyc", "bytes")
    assert store.key_of_trees([tmp_path]) == before


def test_a_root_that_is_missing_is_an_error_not_an_empty_key(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.key_of_trees([tmp_path / "absent"])


def test_an_entry_is_made_once_per_key_and_replaces_the_older_one(cache: Path) -> None:
    made: list[str] = []

    def make(into: Path) -> None:
        made.append(into.name)
        write(into / "program", "binary")

    old, _ = store.ensure_entry("go", "tool", "0" * 16, make)
    assert store.ensure_entry("go", "tool", "0" * 16, make) == (old, True)
    new, cached = store.ensure_entry("go", "tool", "1" * 16, make)
    assert not cached and len(made) == 2
    assert (new / "program").read_text() == "binary" and not old.exists()


def test_a_failed_build_leaves_no_entry_and_the_next_one_clears_its_scratch(cache: Path) -> None:
    def broken(into: Path) -> None:
        write(into / "half", "")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.ensure_entry("go", "tool", "0" * 16, broken)
    entry, cached = store.ensure_entry("go", "tool", "0" * 16, lambda into: None)
    assert not cached and [path.name for path in (cache / "go").iterdir()] == [entry.name]


def test_an_entry_without_its_marker_is_made_again(cache: Path) -> None:
    write(cache / "go" / ("tool-" + "0" * 16) / "half", "")
    entry, cached = store.ensure_entry("go", "tool", "0" * 16, lambda into: None)
    assert not cached and not (entry / "half").exists()


def test_nothing_outside_the_cache_is_ever_deleted(cache: Path, tmp_path: Path) -> None:
    victim = write(tmp_path / "precious", "")
    cache.mkdir()
    (cache / "link").symlink_to(tmp_path)
    for path in (victim, cache, cache / ".." / "precious", cache / "link" / "precious", cache / "..", Path("/")):
        with pytest.raises(ValueError, match="not inside"):
            store.remove(path)
    store.remove(cache / "link")
    assert victim.exists() and not (cache / "link").exists()
