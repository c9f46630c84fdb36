"""`python -m tests.sim`: what its exit code says."""

from collections.abc import Iterator, Sequence

import pytest

from opsloop.simulator.campaign import Lived, Task
from opsloop.simulator.figures import Sample, table
from tests.sim import __main__ as command
from tests.sim import toys

MET, MISSED = Sample("promoted", 100, 0), Sample("unpaged", 1, 1, "nobody was called")


def _exit(monkeypatch: pytest.MonkeyPatch, samples: list[Sample], failures: list[str] | None = None) -> int:
    def lived(tasks: Sequence[Task], processes: int) -> Iterator[Lived]:
        yield from (Lived(task.seed, "quiet", samples, failures or [], 1.0) for task in tasks)

    monkeypatch.setattr(command, "campaign", lived)
    monkeypatch.setattr("sys.argv", ["tests.sim", "--episodes", "2"])
    return command.main()


def test_every_goal_that_had_a_trial_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _exit(monkeypatch, [MET]) == 0


def test_a_goal_that_is_missed_is_named_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _exit(monkeypatch, [MET, MISSED]) == 1
    assert "FAILED: outages without a page: 2" in capsys.readouterr().out


def test_a_part_of_the_operator_that_fails_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _exit(monkeypatch, [MET], ["a part ended"]) == 1
    assert "FAILED: parts of the operator failed in 2 episodes" in capsys.readouterr().out


def test_a_toy_that_passes_all_that_the_perfect_judge_meets_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wise, foolish = table([(1, MET)]), table([(1, MET), (1, MISSED)])
    monkeypatch.setattr(toys, "TOYS", {"wise": None, "foolish": None})
    monkeypatch.setattr(toys, "tried", lambda judge, *_: foolish if judge == "foolish" else wise)
    monkeypatch.setattr("sys.argv", ["tests.sim", "--episodes", "0", "--toys"])
    assert command.main() == 1
    out = capsys.readouterr().out
    assert "toy: wise fails NO ROW" in out
    assert "FAILED: the toy 'foolish'" in out, "what the perfect judge had no trial of proves nothing"


def test_a_toy_fails_where_the_perfect_judge_does_not() -> None:
    perfect, other = table([(1, MET), (1, Sample("unpaged", 1, 0))]), table([(1, MET), (1, MISSED)])
    assert toys.failed(other, perfect) == ["unpaged"]
    assert toys.failed(perfect, perfect) == []
