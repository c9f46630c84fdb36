"""Every command of every page: `opsloop` by its own parser, kubectl by verbs, flags, kinds, fields, conditions and annotations that there are.

What is run on kind besides: docs/tutorial.md (e2e/stories/podinfo.py), docs/operator-down.md (e2e/stories/down.py), `make drill` and
`make test` themselves.
"""

import shutil
import subprocess

import pytest

from tests.docs.fenced import Block, blocks, commands
from tests.docs.said import GLOBAL, KUBECTL, wrong

SHELL = [block for block in blocks() if block.language in ("sh", "bash", "shell")]
SHOWN = [block for block in blocks() if not block.language and "$ " in block.text]  # output, with the command above it


def ids(block: Block) -> str:
    return str(block)


@pytest.mark.parametrize("block", SHELL, ids=ids)
def test_a_shell_block_names_what_there_is(block: Block) -> None:
    given = commands(block.text)
    assert given
    assert [said for words in given if (said := wrong(words))] == []


@pytest.mark.parametrize("block", SHELL, ids=ids)
def test_a_shell_block_is_read_by_bash(block: Block) -> None:
    """Brackets and capitals of a synopsis are words to bash as well."""
    text = block.text.replace("…", "").replace("[-", "-").replace("table|json]", "table]").replace("]", "")
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False).stderr == ""


@pytest.mark.parametrize("block", SHOWN, ids=ids)
def test_the_command_above_an_output_names_what_there_is(block: Block) -> None:
    lines = [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
    assert [said for line in lines for words in commands(line) if (said := wrong(words))] == []


@pytest.mark.parametrize(
    ("command", "says"),
    [
        pytest.param("opsloop status -n shop answers --watch", "", id="right"),
        pytest.param("opsloop status answers --wach", "does not take", id="an option that is not there"),
        pytest.param("kubectl opsloop promote", "does not take", id="an argument is missing"),
        pytest.param("kubectl -n NS get rel,inc -o wide", "", id="kinds by their short names"),
        pytest.param("kubectl get releses", "no kind releses", id="a kind with a mistake"),
        pytest.param("kubectl get rel x -o jsonpath='{.status.phse}'", "no field status.phse", id="a field with a mistake"),
        pytest.param("kubectl wait rel/x --for=condition=Shiped", "no condition", id="a condition with a mistake"),
        pytest.param("kubectl annotate rel x opsloop.dev/aprove=v4", "no annotation", id="an annotation with a mistake"),
        pytest.param("kubectl patch rel x -p '{\"spec\": {\"pause\": true}}'", "no field pause", id="a patch of no field"),
        pytest.param("kubectl get rel --wach", "has no --wach", id="a flag that kubectl does not have"),
        pytest.param("make dril", "no target dril", id="a target that is not there"),
        pytest.param("curl -d '{}' http://h:8080/v1/namespaces/shop/alarms", "serves no", id="a path that the intake does not serve"),
        pytest.param("frobnicate now", "nothing checks", id="a program that nobody looks at"),
    ],
)  # fmt: skip
def test_the_check_of_a_command(command: str, says: str) -> None:
    (words,) = commands(command)
    assert (says in wrong(words)) if says else not wrong(words)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("a b  # c\nd", [["a", "b"], ["d"]], id="a comment ends a line"),
        pytest.param("a \\\n  b", [["a", "b"]], id="a backslash goes on"),
        pytest.param("a 'b\n# c' d", [["a", "b\n# c", "d"]], id="a quote goes on, whatever is in it"),
        pytest.param("X=1 a $(b c) | d && e", [["b", "c"], ["a", "VALUE"], ["d"], ["e"]], id="pipes and substitutions"),
        pytest.param("for x in $(a); do b $x; done", [["a"], ["b", "$x"]], id="a loop"),
        pytest.param("a -f - <<END\nkind: X\nEND\nb", [["a", "-f", "-"], ["b"]], id="a here-document"),
    ],
)
def test_the_commands_of_a_text(text: str, found: list[list[str]]) -> None:
    assert commands(text) == found


@pytest.mark.parametrize("verb", KUBECTL)
def test_kubectl_has_these_flags(verb: str) -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("no kubectl on the PATH")
    below = {"rollout": ["status", "undo"], "set": ["image"], "auth": ["can-i"], "config": ["view"]}
    below["create"] = ["configmap", "rolebinding", "token"]
    texts = "".join(
        subprocess.run(
            [kubectl, verb, *filter(None, [sub]), "--help"], capture_output=True, text=True, check=False
        ).stdout
        for sub in below.get(verb, [""])
    )
    missing = [flag for flag in KUBECTL[verb] if flag not in GLOBAL and f"{flag}" not in texts and flag != "-it"]
    assert missing == []
