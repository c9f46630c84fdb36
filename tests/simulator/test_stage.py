"""`opsloop simulate` as a newcomer sees it."""

import re
import subprocess
import sys

import pytest

from opsloop.entry.cli import commands as cli
from opsloop.simulator.figures import GOALS
from opsloop.simulator.kinds import KINDS
from opsloop.simulator.stage import GOOD


@pytest.mark.simulation
def test_a_bad_push_is_told_from_the_harm_to_the_fix(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["simulate", "--story", "bad-push", "--seed", "5"])
    lines = capsys.readouterr().out.splitlines()
    told = "\n".join(lines)
    turns = ["pushes v2", "users of answers", "Incident answers-1 opens", "rollback of v2 to v1"]
    turns += ["answers-1: Resolved", "asks for the fix v9", "v9 is live, promoted", "✓ the harm to live was mitigated"]
    assert [turn for turn in turns if turn not in told] == [], told
    places = [told.index(turn) for turn in turns]
    assert places == sorted(places), told
    assert "PAGE answers-1" in told, told
    times = [line for line in lines if line.startswith("[")]
    assert all(re.match(r"\[\d:\d\d:\d\d\] \S", line) for line in times)
    assert times == sorted(times, key=lambda line: line[:9])


def test_a_story_that_does_not_exist_is_one_line_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", "--story", "meteor"]) == 2
    said = capsys.readouterr().err
    assert "'meteor'" in said and all(kind in said for kind in KINDS)


def test_every_figure_has_a_sentence_for_an_episode_that_went_well() -> None:
    assert GOOD.keys() == {goal.figure for goal in GOALS}


def test_no_other_command_loads_the_simulator() -> None:
    code = (
        "import sys; import opsloop.entry.cli.commands; import opsloop.entry.wiring;"
        " print([m for m in sys.modules if m.startswith('opsloop.simulator')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
