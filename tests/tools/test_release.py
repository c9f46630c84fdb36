"""`tools/release.py`: a tag is released only where everything names its version; and the workflows hold to the project's rules."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.builders import yamls
from tools import changelog, release

WORKFLOWS = sorted((release.ROOT / ".github" / "workflows").glob("*.yml"))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (*release.PLACES, *(name for name, _ in release.RENDERED), "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((release.ROOT / name).read_text())
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "a.added.md").write_text("- Something new.\n")
    (tmp_path / "changelog.d" / "b.security.md").write_text("- A hole is closed.\n")
    return tmp_path


def released(root: Path, version: str = "7.8.9") -> Path:
    """As `bump` and `make generate` leave it."""
    release.bump(root, version, "2026-12-01")
    for name, line in release.RENDERED:
        path = root / name
        path.write_text(line.sub(lambda found: found[0].replace(found[1], version), path.read_text()))
    return root


def test_this_repository_names_one_version_everywhere() -> None:
    (version,) = set(release.versions(release.ROOT).values())
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_what_was_bumped_may_be_released_and_has_its_notes(root: Path) -> None:
    released(root)
    assert release.faults(root, "v7.8.9") == []
    assert release.notes(root, "7.8.9") == "### Added\n- Something new.\n\n### Security\n- A hole is closed.\n"


@pytest.mark.parametrize("version", ["7.8.9", "0.2.0"])
def test_the_notes_are_those_of_one_version(root: Path, version: str) -> None:
    released(root, "0.2.0")
    (root / "changelog.d" / "c.fixed.md").write_text(f"- In {version}.\n")
    released(root, "7.8.9")
    assert ("Something new" in release.notes(root, version)) == (version == "0.2.0")
    assert "## [" not in release.notes(root, version)
    assert release.notes(root, "0.2") == release.notes(root, "1.0.0") == ""


@pytest.mark.parametrize(
    ("change", "tag", "says"),
    [
        pytest.param("", "7.8.9", "7.8.9 is no tag of a release", id="a tag without v"),
        pytest.param("", "v7.8", "v7.8 is no tag of a release", id="two numbers"),
        pytest.param("", "v7.8.10", "pyproject.toml version is 7.8.9, not 7.8.10", id="another version"),
        pytest.param("chart", "v7.8.9", "charts/opsloop/Chart.yaml appVersion is 0.1.0, not 7.8.9", id="the chart's image is another"),
        pytest.param("manifest", "v7.8.9", "manifests/opsloop.yaml image is 0.1.0, not 7.8.9", id="manifests that were not rendered"),
        pytest.param("fragment", "v7.8.9", "changelog.d has 1 fragments that are in no release: late.fixed.md", id="a change that came later"),
        pytest.param("notes", "v7.8.9", "CHANGELOG.md has no section of 7.8.9", id="no notes"),
    ],
)  # fmt: skip
def test_what_keeps_a_tag_from_being_released(root: Path, change: str, tag: str, says: str) -> None:
    released(root)
    match change:
        case "chart":
            path = root / "charts/opsloop/Chart.yaml"
            path.write_text(path.read_text().replace('appVersion: "7.8.9"', 'appVersion: "0.1.0"'))
        case "manifest":
            path = root / "manifests/opsloop.yaml"
            path.write_text(path.read_text().replace("opsloop.invalid/opsloop:7.8.9", "opsloop.invalid/opsloop:0.1.0"))
        case "fragment":
            (root / "changelog.d" / "late.fixed.md").write_text("- Late.\n")
        case "notes":
            (root / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog.MARK}")
    wrong = release.faults(root, tag)
    assert any(line.startswith(says) for line in wrong), wrong


@pytest.mark.parametrize(
    "how", ["twice", "with nothing to release", "with a fragment that is none", "without a version"]
)
def test_a_bump_that_cannot_be_writes_nothing(root: Path, how: str) -> None:
    if how == "twice":
        released(root)
        (root / "changelog.d" / "c.fixed.md").write_text("- More.\n")
    for path in changelog.fragments(root) if how == "with nothing to release" else ():
        path.unlink()
    if how == "with a fragment that is none":
        (root / "changelog.d" / "x.odd.md").write_text("- X\n")
    if how == "without a version":
        (root / "pyproject.toml").write_text("[project]\n")
    before = {name: (root / name).read_text() for name in (*release.PLACES, "CHANGELOG.md")}
    with pytest.raises(ValueError):
        release.bump(root, "7.8.9", "2026-12-01")
    assert {name: (root / name).read_text() for name in before} == before


# --- workflows: what OpenSSF Scorecard asks of them (their grammar is checked by actionlint; CONTRIBUTING.md)


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in yamls.load(path.read_text())["jobs"].values() for step in job["steps"]]


def test_one_action_has_one_commit_in_all_workflows() -> None:
    pins = {step["uses"].split("@")[0]: set[str]() for path in WORKFLOWS for step in steps(path) if "uses" in step}
    for path in WORKFLOWS:
        for step in steps(path):
            if "uses" in step:
                pins[step["uses"].split("@")[0]].add(step["uses"].split("@")[1])
    assert {action: commits for action, commits in pins.items() if len(commits) > 1} == {}


@each_workflow
def test_a_workflow_may_only_read_and_a_job_says_what_more(path: Path) -> None:
    body = yamls.load(path.read_text())
    assert body["permissions"] in ({"contents": "read"}, "read-all")
    assert all("timeout-minutes" in job for job in body["jobs"].values())
    writes = {
        right for job in body["jobs"].values() for right, how in job.get("permissions", {}).items() if how == "write"
    }
    assert not writes or path.name in ("release.yml", "scorecard.yml", "codeql.yml"), writes


@each_workflow
def test_no_script_takes_what_somebody_may_have_written_as_code(path: Path) -> None:
    """Expressions are put into a script before the shell sees it: they go by variables of the environment."""
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []
    kept = [
        step.get("with", {}).get("persist-credentials")
        for step in steps(path)
        if "actions/checkout" in step.get("uses", "")
    ]
    assert kept and set(kept) == {False}


def test_the_release_builds_for_both_processors_and_signs_what_it_pushes() -> None:
    text = (release.ROOT / ".github" / "workflows" / "release.yml").read_text()
    jobs = yamls.load(text)["jobs"]
    assert [one["arch"] for one in jobs["image"]["strategy"]["matrix"]["include"]] == ["amd64", "arm64"]
    assert jobs["image"]["needs"] == "verify" and jobs["publish"]["needs"] == "image"
    assert "id-token" not in jobs["image"]["permissions"]
    for part in ("--sbom=true", "--provenance=mode=max", "cosign sign --yes --recursive", "cosign verify"):
        assert part in text


def test_each_kubernetes_that_the_chart_allows_is_tried_from_the_oldest_on() -> None:
    node = yamls.load((release.ROOT / ".github/workflows/kubernetes.yml").read_text())["jobs"]["stories"]["strategy"][
        "matrix"
    ]["node"]
    minors = [int(re.fullmatch(r"kindest/node:v1\.(\d+)\.\d+@sha256:[0-9a-f]{64}", one)[1]) for one in node]  # type: ignore[index]
    least = re.search(r'kubeVersion: ">=1\.(\d+)\.0', (release.ROOT / "charts/opsloop/Chart.yaml").read_text())
    assert least is not None and sorted(minors) == list(range(int(least[1]), max(minors) + 1))
    from e2e.cluster.node import PUBLIC

    assert PUBLIC in node


def test_the_stories_of_the_matrix_are_there() -> None:
    from e2e.stories.__main__ import SOAK, STORIES

    text = (release.ROOT / ".github/workflows/kubernetes.yml").read_text()
    named = re.search(r"--only (.*)", text)
    assert named is not None and set(named[1].split()) <= {*STORIES, *SOAK}
