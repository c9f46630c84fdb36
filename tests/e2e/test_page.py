"""A page that a story runs: its blocks, its files, and that the tutorial's are those of e2e/podinfo."""

import re
from pathlib import Path

import pytest

from e2e.cluster import paths
from e2e.harness.page import Page, files, runnable
from e2e.harness.progress import StageFailed
from e2e.stories import podinfo

TUTORIAL = podinfo.TUTORIAL.read_text()
TEXT = """
<!-- run by e2e/stories/x.py: one -->
```sh
echo "in shop/a of shop" && cat a.yaml
```
<!-- run by e2e/stories/y.py: other -->
```sh
false
```
```yaml
# a.yaml
a: 1
```
"""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setattr(paths, "LOGS", tmp_path)
    (tmp_path / "page.md").write_text(TEXT)
    return Page(tmp_path / "page.md", "e2e/stories/x.py", {"shop": "shop-7"}, 20)


def test_a_block_is_run_beside_the_pages_files_in_the_storys_namespace(read: Page) -> None:
    assert read.run("one") == "in shop-7/a of shop-7\n# a.yaml\na: 1\n"
    read.close()


def test_a_block_that_was_not_run_is_said(read: Page) -> None:
    with pytest.raises(StageFailed, match="one was not run"):
        read.close()


def test_a_block_that_fails_is_said_with_what_it_printed(read: Page) -> None:
    read.left["one"] = "echo why >&2; exit 3\n"
    with pytest.raises(StageFailed, match="ended with 3: why"):
        read.run("one")


def test_the_story_runs_every_block_of_the_tutorial() -> None:
    source = Path(podinfo.__file__).read_text()
    named = re.findall(r'(?:page\.run\(|_reading\(page, )"([\w-]+)"', source)
    assert sorted(named) == sorted(runnable(TUTORIAL, podinfo.THIS)) and len(named) >= 6


@pytest.mark.parametrize("name", ["release.yaml", "runbook.yaml"])
def test_the_tutorials_files_are_those_that_the_other_stories_apply(name: str) -> None:
    own = (podinfo.HOME / "opsloop" / name).read_text()
    assert files(TUTORIAL)[name].split("\n", 1)[1] == re.sub(r"\A(#.*\n)+", "", own)
