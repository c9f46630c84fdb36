"""An Incident of a Release with several objectives: what it names, what mends it, and when it is over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.incident import BurnSignal, Incident
from opsloop.api.play import HarmedObjective
from opsloop.api.release import Release
from opsloop.api.slo import Objective, Sli
from opsloop.core.actions import SendPage
from opsloop.core.correlation.new_incident import for_burn
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident.decide import slo_decides, title
from opsloop.core.readings import Harm, Interval, Readings, SinceAct, Unknown
from opsloop.core.slo.merged import merged
from tests.builders.incidents import (
    NOW,
    ORDERED,
    acts,
    after,
    book,
    burnt,
    condition_of,
    facts,
    play,
    plays,
    service,
    timeline_keys,
)
from tests.builders.objects import BURN, V1, at, readings, value, verdict, view
from tests.builders.rollouts import record

SLOW = Sli.model_validate({"latency": {"histogram": "took_seconds", "threshold": 0.5}})
SLOW_BURN = BURN.model_copy(
    update={"slo": "latency", "wrong": "slower than 0.5 s", "error_ratio": 0.12, "burn_short": 12}
)
FAILING = BURN.model_copy(update={"slo": "availability"})
EFFECT = at(80)


def root(**status: Any) -> Release:
    held = service(**status)
    assert held.spec.slo is not None
    also = [Objective(name="latency", objective=0.99, sli=SLOW)]
    slo = held.spec.slo.model_copy(update={"name": "availability", "also": also})
    return held.model_copy(update={"spec": held.spec.model_copy(update={"slo": slo})})


def both(availability: float | Readings | None, latency: float | Readings | None) -> Readings:
    each = {"availability": availability, "latency": latency}
    return merged({n: r if isinstance(r, Readings) else readings(r, NOW) for n, r in each.items()})


def since(error_ratio: float, seen: float | None = 0.5, effect: Any = EFFECT) -> Readings:
    """The window still holds `seen`; since the act this share was bad."""
    act = SinceAct(effect, value(error_ratio), timedelta(seconds=20), Unknown("NotRead"), timedelta(seconds=1))
    return readings(seen, NOW, since_act=act)


def slow(**status: Any) -> Incident:
    return burnt(**{"burn": SLOW_BURN, **status})


def test_the_title_says_which_objective_and_what_is_wrong_with_it() -> None:
    assert (
        title(slow().spec, SLOW_BURN) == "answers: latency: 12% of events slower than 0.5 s, error budget burning 12x"
    )
    assert title(slow().spec, BURN) == "answers: 20% of events bad, error budget burning 20x"


def test_the_incident_that_is_created_says_it_too() -> None:
    seen = view(root(), both(0.0, 0.5))
    assert seen.readings.verdict is not None
    made = for_burn("answers", {"answers": seen}, {"answers": seen.readings.verdict}, ())
    assert (made.spec.title, made.spec.signal.burn and made.spec.signal.burn.slo) == (
        "answers burns its error budget of latency",
        "latency",
    )
    assert made.spec.signal.message.startswith("answers burns its error budget of latency 50 times too fast")
    assert made.spec.signal.burn is not None and made.spec.signal.burn.wrong == "slower than 0.5 s"


def test_another_objective_that_fires_later_is_told_once() -> None:
    status = after(facts(slow(), root(), both(0.9, 0.5)))
    assert status.burn == SLOW_BURN, "what people were paged for is not renamed"
    assert [b.slo for b in status.also_burned] == ["availability"]
    assert "burn-availability" in timeline_keys(status)
    again = slow(alsoBurned=[b.dump() for b in status.also_burned])
    assert "burn-availability" not in timeline_keys(after(facts(again, root(), both(0.9, 0.5))))


@pytest.mark.parametrize(
    ("also", "availability", "latency", "mitigated"),
    [
        pytest.param([], 0.0, 0.0, ("True", "SliBack"), id="all are back"),
        pytest.param([], 0.0, 0.5, ("False", "NotBack"), id="the one that burned is not"),
        pytest.param([], 0.5, 0.0, ("False", "NotBack"), id="the one that burned is, and another one is not"),
        pytest.param([], None, 0.0, ("Unknown", "TelemetryUnknown"), id="nobody can read another one"),
        pytest.param([], Readings(replace(verdict(None, NOW), reason="NoEvents")), 0.0, ("True", "SliBack"), id="nothing happens in another one"),
        pytest.param([FAILING.dump()], Readings(replace(verdict(None, NOW), reason="NoEvents")), 0.0, ("Unknown", "TelemetryUnknown"), id="nothing happens in one that burned as well"),
        pytest.param([], 0.0, Readings(replace(verdict(None, NOW), reason="NoEvents")), ("Unknown", "TelemetryUnknown"), id="nothing happens in the one that burned"),
    ],
)  # fmt: skip
def test_it_is_over_when_all_are_back(also: Any, availability: Any, latency: Any, mitigated: tuple[str, str]) -> None:
    status = after(facts(slow(alsoBurned=also), root(), both(availability, latency)))
    assert condition_of(status, "Mitigated") == mitigated


def rolled_back(
    harmed: list[str], seen: Readings, burns: tuple[BurnSignal, ...] = (SLOW_BURN, FAILING)
) -> IncidentFacts:
    before = [HarmedObjective(slo=name, bad=500, total=1000).dump() for name in harmed]
    running = play(effect_at=EFFECT, before={"bad": 500, "total": 1000}, harmed=before)
    done = record("Done", done_at=EFFECT, effect_at=EFFECT)
    first, *others = burns
    item = slow(
        phase="Mitigating", plays=[running], rollback=ORDERED, burn=first, alsoBurned=[b.dump() for b in others]
    )
    return facts(item, root(live=V1, rollback=done), seen, runbooks=(book(True),))


@pytest.mark.parametrize(
    ("harmed", "availability", "latency", "state"),
    [
        pytest.param(["latency"], readings(0.0, NOW), since(0.0), "Helped", id="the one that was harmed is better"),
        pytest.param(["latency"], since(0.0), since(0.5), "DidNotHelp", id="it is not"),
        pytest.param(["latency"], since(0.5), since(0.0), "Helped", id="it is, and one that was not harmed broke: no fault of what it was for"),
        pytest.param(["latency", "availability"], since(0.0), since(0.0), "Helped", id="both were harmed and both are better"),
        pytest.param(["latency", "availability"], since(0.5), since(0.0), "DidNotHelp", id="both were harmed and one stays so"),
        pytest.param(["latency", "availability"], readings(0.5, NOW), since(0.0), "Running", id="one was not read since"),
    ],
)  # fmt: skip
def test_a_rollback_is_judged_by_what_was_harmed_when_it_began(
    harmed: list[str], availability: Readings, latency: Readings, state: str
) -> None:
    status = after(rolled_back(harmed, both(availability, latency)))
    assert status.plays[0].state == state


@pytest.mark.parametrize(
    ("availability", "latency", "phase"),
    [
        pytest.param(readings(0.0, NOW), since(0.0), "Mitigated", id="the harmed one is within since the act, the other one is back"),
        pytest.param(since(0.0), since(0.0), "Mitigated", id="both are within since the act, though the windows hold harm"),
        pytest.param(since(0.5), since(0.0), "Mitigating", id="the act broke the other one"),
        pytest.param(readings(None, NOW), since(0.0), "Mitigating", id="nobody can read the other one"),
    ],
)  # fmt: skip
def test_a_rollback_that_breaks_another_objective_has_not_ended_the_harm(
    availability: Readings, latency: Readings, phase: str
) -> None:
    assert after(rolled_back(["latency"], both(availability, latency), (SLOW_BURN,))).phase == phase


def test_a_play_records_what_was_harmed_when_it_began() -> None:
    asked = play("Requested", started_at=None)
    item = slow(plays=[asked], alsoBurned=[FAILING.dump()])
    starting = after(facts(item, root(), both(0.0, 0.5), runbooks=(book(True),))).plays[0]
    assert (starting.state, [h.slo for h in starting.harmed]) == ("Running", ["latency"]), "availability is back"
    two = after(facts(item, root(), both(0.5, 0.5), runbooks=(book(True),))).plays[0]
    assert [(h.slo, h.bad, h.total) for h in two.harmed] == [("latency", 500, 1000), ("availability", 500, 1000)]


def test_nothing_is_undone_only_when_the_harm_is_over_in_each_that_burned() -> None:
    calm = Harm(tuple(Interval(at(n), at(n + 10), 0, 1000) for n in (70, 80, 90)))
    harmed = Harm(tuple(Interval(at(n), at(n + 10), 500, 1000) for n in (70, 80, 90)))
    item = slow(plays=[play("Requested", started_at=None)], alsoBurned=[FAILING.dump()])

    def state(availability: Harm, latency: Harm) -> str:
        seen = both(readings(0.5, NOW, harm=availability), readings(0.5, NOW, harm=latency))
        return after(facts(item, root(), seen, runbooks=(book(True),))).plays[0].state

    assert (state(calm, calm), state(harmed, calm), state(calm, harmed)) == ("Requested", "Running", "Running")


def test_the_evidence_is_that_of_the_objective_that_fired() -> None:
    """The counts of availability, which errs a little all the time, say nothing about when latency began to burn."""
    moments = range(-900, 100, 10)
    steady = Harm(tuple(Interval(at(n), at(n + 10), 5, 1000) for n in moments))
    broke = Harm(tuple(Interval(at(n), at(n + 10), 500 if n >= 70 else 0, 1000) for n in moments))
    seen = both(readings(0.005, NOW, harm=steady, onset=at(-800)), readings(0.5, NOW, harm=broke, onset=at(70)))
    status = after(facts(slow(cause=None, onsetAt=None, page=None, detectedAt=at(75)), root(), seen))
    assert status.onset_at == at(70)
    assert status.cause is not None and (status.cause.kind, status.cause.version) == ("bad_release", "v2")


@pytest.mark.parametrize(
    ("seen", "decides"),
    [
        pytest.param(both(0.0, 0.0), True, id="all are known"),
        pytest.param(both(None, 0.0), False, id="one is unknown: a critical alert pages"),
        pytest.param(both(None, 0.02), False, id="also while another one smoulders"),
        pytest.param(both(Readings(replace(verdict(None, NOW), reason="NoEvents")), 0.0), True, id="nothing happens in one"),
    ],
)  # fmt: skip
def test_alerts_speak_while_one_objective_is_unknown(seen: Readings, decides: bool) -> None:
    unknown = {"type": "TelemetryKnown", "status": "False", "reason": "NoSeries", "lastTransitionTime": at(0)}
    assert slo_decides(view(root(conditions=[unknown]), seen), NOW) is decides


def test_a_page_tells_each_objective_that_burns() -> None:
    unsent = slow(alsoBurned=[FAILING.dump()], page=None)
    (sent,) = acts(facts(unsent, root(), both(0.2, 0.2)), SendPage)
    assert sent.details["burn"] == "latency: 20x over 1m, 12.0% slower than 0.5 s; availability: 20x over 1m, 20.0% bad"


def test_an_incident_of_before_the_names_goes_on_with_the_only_objective() -> None:
    old = burnt(
        plays=[play(effect_at=EFFECT, before={"bad": 500, "total": 1000})], rollback=ORDERED, phase="Mitigating"
    )
    done = record("Done", done_at=EFFECT, effect_at=EFFECT)
    status = after(facts(old, service(live=V1, rollback=done), since(0.0), runbooks=(book(True),)))
    assert [p.state for p in status.plays] == ["Helped"]
    assert plays(facts(burnt(), service()))  # a play is asked for
