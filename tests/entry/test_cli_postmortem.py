"""`opsloop postmortem`: what is stored as Markdown or HTML, by the default template or a team's, which runs apart and within limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from opsloop import names
from opsloop.core.postmortem import stored
from opsloop.core.postmortem.document import Document
from opsloop.entry.cli import commands as cli
from opsloop.entry.cli import rendering
from opsloop.errors import Invalid
from opsloop.shell.evidence.sources import Cluster
from tests.builders.gate_shift import INCIDENT, NS
from tests.builders.postmortems import closed_loop
from tests.fakes.gate_world import ShopCluster, after_the_shift, config_map


def run(cluster: ShopCluster, *argv: str) -> int:
    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
        yield cluster

    return cli.main(["postmortem", "-n", NS, INCIDENT, *argv], connect)


@pytest.fixture
def shop() -> ShopCluster:
    """With a stored postmortem."""
    cluster, episode = after_the_shift(), closed_loop()
    made = stored.contents(stored.Stored(), stored.Edits({}), episode.document, episode.markdown)
    body = config_map(names.postmortem_name(INCIDENT), names.INCIDENT, INCIDENT, data=made["data"])
    cluster.seed({**body, "binaryData": made["binaryData"]})
    return cluster


def test_markdown_is_printed_as_it_is_stored(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop) == 0
    assert capsys.readouterr().out == closed_loop().markdown


def test_html_is_made_of_what_is_stored(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "-o", "html") == 0
    said = capsys.readouterr().out
    assert said.startswith("<!doctype html>") and "Time to mitigate</dt><dd>56 s" in said


def test_one_without_data_can_only_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = after_the_shift()
    cluster.seed(
        config_map(names.postmortem_name(INCIDENT), names.INCIDENT, INCIDENT, data={"postmortem.md": "# Old\n"})
    )
    assert run(cluster) == 0 and capsys.readouterr().out == "# Old\n"
    assert run(cluster, "-o", "html") == 2
    assert "without its data" in capsys.readouterr().err


def test_a_file_is_the_template(shop: ShopCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = tmp_path / "ours.j2"
    ours.write_text("{{ service }} was down for {{ ttm }}")
    assert run(shop, "--template", str(ours)) == 0
    assert capsys.readouterr().out == "answers was down for 56 s\n"


def test_the_namespace_s_configmap_is_the_template_of_its_form(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.seed(config_map(names.TEMPLATES, names.INCIDENT, "", data={"postmortem.md.j2": "ours: {{ incident }}"}))
    assert run(shop) == 0 and capsys.readouterr().out == "ours: answers-1\n"
    assert run(shop, "-o", "html") == 0 and capsys.readouterr().out.startswith("<!doctype html>")


def test_a_wrong_template_is_told_of_and_the_default_takes_its_place(
    shop: ShopCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.seed(config_map(names.TEMPLATES, names.INCIDENT, "", data={"postmortem.md.j2": "a\n{{ servce }}"}))
    assert run(shop) == 0
    said = capsys.readouterr()
    assert said.out == closed_loop().markdown
    why = "ConfigMap opsloop-postmortem, postmortem.md.j2, line 2: 'servce' is undefined"
    assert said.err == f"opsloop: {why}; rendered by the default template instead\n"


def test_a_file_that_is_not_there_is_exit_2(shop: ShopCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "--template", "/nowhere.j2") == 2
    assert "--template /nowhere.j2: " in capsys.readouterr().err


LOOPS = (
    "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% endfor %}{% endfor %}{% endfor %}"
)
ENDLESS = [
    pytest.param(LOOPS, "no end within", id="loops that print nothing"),
    pytest.param("{{ 'x' * 1000000000 }}", "memory", id="a string that is too long"),
    pytest.param("{{ '%4000000000d' | format(1) }}", "memory", id="a number that is too wide"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "why"), ENDLESS)
async def test_a_template_without_an_end_is_ended(template: str, why: str) -> None:
    with pytest.raises(Invalid) as raised:
        await rendering.rendered(document(), "md", template, "ours.j2")
    assert str(raised.value).startswith("ours.j2") and why in str(raised.value)


def document() -> Document:
    return closed_loop().document
