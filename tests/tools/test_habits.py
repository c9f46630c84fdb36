"""Files for contributors and robots name checks, folders and commits that exist."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.builders import yamls

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(name: str) -> Any:
    return yamls.load((ROOT / name).read_text())


def commands_of_make_check() -> list[str]:
    recipe = re.search(r"^check: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    lines = [line.strip().removeprefix("@") for line in recipe[1].splitlines()]
    return [line.replace("$(PY)", ".venv/bin/python").replace("$(VENV)", ".venv") for line in lines]


def test_pre_commit_runs_the_checks_of_make_check_and_downloads_nothing() -> None:
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    assert [hook["entry"] for hook in repository["hooks"]] == commands_of_make_check()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_tag(workflow: Path) -> None:
    uses = re.findall(r"uses: (.*)", workflow.read_text())
    assert uses
    assert [use for use in uses if not re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40}  # v\d+(\.\d+)*", use)] == []


def test_dependabot_looks_into_folders_that_exist() -> None:
    manifests = {"github-actions": "*.yml", "pip": "pyproject.toml", "gomod": "go.mod", "docker": "*Dockerfile"}
    updates = load(".github/dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == set(manifests)
    for update in updates:
        ecosystem = update["package-ecosystem"]
        for folder in update.get("directories") or [update["directory"]]:
            pattern = ".github/workflows" if ecosystem == "github-actions" else folder.strip("/")
            assert list(ROOT.glob(f"{pattern}/{manifests[ecosystem]}".lstrip("/"))), (ecosystem, folder)


@pytest.mark.parametrize("form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda p: p.name)
def test_an_issue_form_has_a_name_and_labelled_fields(form: Path) -> None:
    document = yamls.load(form.read_text())
    assert document["name"] and document["description"]
    fields = [field for field in document["body"] if field["type"] != "markdown"]
    assert all(field["id"] and field["attributes"]["label"] for field in fields)
