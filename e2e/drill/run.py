"""Runs one whole shift."""

from __future__ import annotations

from collections.abc import Callable

from e2e.drill import stages
from e2e.drill.prepare import prepare
from e2e.drill.progress import StageFailed
from e2e.drill.shift import Shift
from e2e.drill.stages import Kills
from e2e.drill.watch import Watch
from e2e.recorder import Recorder

NO_KILLS = Kills()
WATCHED = ("sev1 Mitigating", "sev1 Mitigated", "sev1 Resolved")


def run(shift: Shift, kills: Kills = NO_KILLS, prepared: Callable[[], None] = lambda: None) -> int:
    """Prepare, all stages, gate; the gate's exit code. Raises StageFailed. `prepared` is called before the first stage."""
    prepare(shift)
    prepared()
    watch, recorder = Watch(shift.namespace), Recorder("releases", shift.namespace)
    shift.progress.restart()
    try:
        stages.break_it(shift)
        stages.storm(shift, kills)
        stages.detect(shift)
        stages.mitigate(shift, kills)
        stages.push_again(shift)
        stages.learn(shift)
        stages.refuse_v3(shift)
        stages.promote_v4(shift, kills)
    finally:
        watch.stop()
        shift.versions = recorder.stop()
    _check_watch(watch)
    shift.progress.stage("verify", "the gate scores the shift, recomputed where it happened")
    code, text = shift.gate()
    print(text)
    shift.progress.say(f"the shift took {shift.progress.elapsed:.0f} s; gate exit code {code}")
    return code


def _check_watch(watch: Watch) -> None:
    """A person who watched must have seen it go through its phases."""
    seen = watch.phases("answers-1")
    missing = [w for w in WATCHED if w not in seen]
    if missing:
        raise StageFailed(f"kubectl get incidents -w did not show {missing}; it showed {seen}")
