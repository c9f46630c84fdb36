"""The README shows or links each file of docs/examples/, and the operator's models read them whole."""

import re
from pathlib import Path
from typing import Any

import pytest

from opsloop.api.kinds import KINDS
from opsloop.api.meta import API_VERSION
from tests.builders import yamls

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))
MODELS = {kind.name: kind.model for kind in KINDS}
INLINE = "release"  # the example that the README shows; it links the others
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def ours() -> list[dict[str, Any]]:
    return [d for path in EXAMPLES for d in yamls.load_all(path.read_text()) if d["apiVersion"] == API_VERSION]


def test_each_of_the_four_kinds_has_an_example() -> None:
    assert {d["kind"] for d in ours()} == set(MODELS)


@pytest.mark.parametrize("document", [pytest.param(d, id=f"{d['kind']} {d['metadata']['name']}") for d in ours()])
def test_the_operator_reads_every_field_of_an_example(document: dict[str, Any]) -> None:
    """A field that the model does not know, or spells otherwise, is missing from what it gives back."""
    read = MODELS[document["kind"]].model_validate(document)
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True)["spec"] == document["spec"]


@pytest.mark.parametrize("path", [pytest.param(p, id=p.name) for p in EXAMPLES])
def test_the_readme_shows_an_example_word_for_word_or_links_it(path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    shown = path.read_text() in BLOCK.findall(readme)
    assert shown == (path.stem == INLINE)
    assert (
        shown
        or f"({path.relative_to(ROOT)})" in readme
        or path.read_text() in (ROOT / "docs" / "strategies.md").read_text()
    )


def test_the_readme_shows_no_other_object_of_ours() -> None:
    shown = [block for block in BLOCK.findall((ROOT / "README.md").read_text()) if API_VERSION in block]
    assert shown == [p.read_text() for p in EXAMPLES if p.stem == INLINE]


PLAYED_ELSEWHERE = {
    "release-checks": "tests/sim/test_checks.py",
    "release-direct": "tests/sim/test_direct.py",
    "release-metadata": "tests/sim/test_pod_metadata.py",
    "release-patch": "tests/sim/test_template_patch.py",
    "release-warm": "tests/sim/test_warm.py",
}


def test_every_strategy_of_the_page_is_an_example_that_is_played() -> None:
    """And the other way round: tests/sim/test_strategies.py plays each of them."""
    shown = BLOCK.findall((ROOT / "docs" / "strategies.md").read_text())
    played = re.findall(r'"(release[\w-]*)":', (ROOT / "tests" / "sim" / "test_strategies.py").read_text())
    examples = {
        path.stem: path.read_text()
        for path in EXAMPLES
        if path.stem.startswith("release") and path.stem not in PLAYED_ELSEWHERE
    }
    assert sorted(played) == sorted(examples) and sorted(shown) == sorted(examples.values())


def test_a_page_shows_an_example_as_it_is() -> None:
    page = (ROOT / "docs" / "target.md").read_text()
    shown = [block for block in BLOCK.findall(page) if block.startswith("# docs/examples/")]
    assert shown and all(block == (ROOT / block.split()[1]).read_text() for block in shown)
