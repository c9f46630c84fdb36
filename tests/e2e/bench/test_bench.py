"""What the benchmark makes of what it recorded: changes, samples, numbers, the table."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from e2e.bench import changes, sampler, table
from e2e.bench.measure import Recorded, burn_stored, memory, rest
from e2e.bench.sampler import Sample
from e2e.harness.audit import Request
from e2e.harness.recorder import Version

EXPOSITION = """\
# HELP process_resident_memory_bytes Resident memory size in bytes.
process_resident_memory_bytes 9.437184e+07
process_cpu_seconds_total 12.5
process_start_time_seconds 1.7954457e+09
"""


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        pytest.param({"a": 1}, {"a": 1}, set(), id="nothing"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a.c"}, id="one number deep inside"),
        pytest.param({}, {"phase": "Open"}, {"phase"}, id="a field that came"),
        pytest.param(
            {"conditions": [{"type": "Held", "message": "a"}, {"type": "Drifted", "message": "b"}]},
            {"conditions": [{"type": "Drifted", "message": "b"}, {"type": "Held", "message": "c"}]},
            {"conditions[Held].message"},
            id="one condition, whatever their order",
        ),
        pytest.param({"timeline": []}, {"timeline": [{"key": "burn"}]}, {"timeline[burn]"}, id="a new entry"),
        pytest.param({"blocked": ["a"]}, {"blocked": ["a", "b"]}, {"blocked"}, id="a list of words counts as a whole"),
    ],
)
def test_what_a_write_changed(old: Any, new: Any, paths: set[str]) -> None:
    assert changes.changed(old, new) == paths


def test_writes_are_counted_by_what_they_changed() -> None:
    def version(band: str, name: str = "answers") -> Version:
        return Version(0, name, {"metadata": {}, "status": {"burnBand": band}})

    versions = [
        version("ok"),
        version("ok", "web"),
        version("fast"),
        version("fast"),
        version("ok"),
        version("slow", "web"),
    ]
    assert changes.causes(versions) == {"answers: burnBand": 2, "web: burnBand": 1}


def test_samples_are_read_from_the_exposition() -> None:
    assert sampler.parse(EXPOSITION, 7) == Sample(7, 90 * sampler.MIB, 12.5, 1.7954457e9)
    assert sampler.parse("<html>not the operator</html>", 7) is None
    assert sampler.peak([Sample(1, 80 * sampler.MIB, 0, 0), Sample(2, 90 * sampler.MIB, 0, 0)]) == 90


@pytest.mark.parametrize(
    ("samples", "used"),
    [
        pytest.param([(1, 10.0, 0), (2, 11.0, 0), (3, 13.0, 0)], 3, id="from the sample before the span on"),
        pytest.param([(1, 10.0, 0), (2, 11.0, 0), (3, 0.5, 2.5)], 1.5, id="a process that began anew counts from zero"),
        pytest.param([(2, 10.0, 0)], 0, id="one sample says nothing"),
        pytest.param([(1, 10.0, 0), (9, 99.0, 0)], 0, id="what came after the span is left out"),
    ],
)
def test_cpu_seconds_between_two_instants(samples: list[tuple[float, float, float]], used: float) -> None:
    assert sampler.cpu_seconds([Sample(at, 0, cpu, started) for at, cpu, started in samples], 1.5, 5) == used


def request(time: float, verb: str, resource: str, sub: str = "", name: str = "answers-1") -> Request:
    return Request(time, time + 0.01, "operator", verb, resource, sub, "shop", name, 200, "opsloop", "opsloop")


def recorded(
    *requests: Request, incidents: list[Version] | None = None, samples: list[Sample] | None = None
) -> Recorded:
    return Recorded(list(requests), [], incidents or [], samples or [], (100, 160), 12)


def test_at_rest_lists_and_watches_are_the_resync_and_everything_else_is_counted_against_us() -> None:
    numbers = rest(
        recorded(
            request(99, "create", "incidents"),
            request(101, "update", "leases"),
            request(102, "list", "releases"),
            request(103, "watch", "releases"),
            request(104, "get", "configmaps"),
            request(161, "create", "incidents"),
        )
    )
    assert numbers["leases"] == {"update leases": 1}
    assert numbers["requests"] == {"list releases": 1, "watch releases": 1, "get configmaps": 1}
    assert numbers["other"] == 1


def test_the_burn_is_stored_with_the_put_that_the_watch_showed_after_it() -> None:
    incidents = [Version(1, "answers-1", {}), Version(10.2, "answers-1", {"status": {"burn": {"long": "1m"}}})]
    puts = [request(t, "update", "incidents", "status") for t in (9.0, 10.1, 11.0)]
    assert burn_stored(recorded(*puts, incidents=incidents)) == (10.11, {"burn": {"long": "1m"}})
    with pytest.raises(ValueError, match="no version"):
        burn_stored(recorded(*puts))


def test_memory_before_at_most_and_at_rest() -> None:
    samples = [Sample(at, mib * sampler.MIB, 0, 1) for at, mib in ((1, 80), (10, 99), (120, 85))]
    numbers = memory(recorded(samples=samples), 5)
    assert (numbers["before"], numbers["max"], numbers["rest"], numbers["processes"]) == (80, 99, 85, 1)


SHIFT: dict[str, Any] = {
    "seed": 1, "seconds": 140.0,
    "reaction": {"tier": "1m & 5s at 14.4", "tick": 5.0, "push": -40.0, "incidentCreated": -20.0, "detectedAt": 2.0,
                 "burnStored": 2.5, "rollbackWrite": 6.0, "sliBack": 11.0},
    "requests": {"update releases/status": 60, "list pods": 10}, "leases": 70, "refused": {"403": 0, "409": 1},
    "memory": {"before": 80.0, "max": 90.0, "rest": 85.0, "restarts": 0}, "cpuSeconds": 9.0,
    "rest": {"seconds": 60.0, "settled": 20.0, "leases": {"update leases": 30}, "requests": {"list releases": 1}, "other": 0},
    "safety": {"undecided": 0}, "gate": 0,
}  # fmt: skip


def result(*shifts: dict[str, Any]) -> dict[str, Any]:
    load = [1.0] * len(shifts)
    return {
        "at": "2026-11-23T12:00:00Z",
        "shifts": list(shifts),
        "machine": {"cores": 2, "slowness": 1.25, "loadBefore": load, "loadAfter": load},
    }


def test_the_table_of_one_shift_names_all_goals_as_met() -> None:
    text = table.render(result(SHIFT))
    assert text.count("✓") == 4 and "✗" not in text
    assert "1 shift(s), 2 cores, slowness 1.2, load average" in text
    assert "rollback write (audit log)                     +6.0  (+1.2 ticks)" in text
    assert "all without the Lease                          70" in text
    assert "all with the Lease                             140" in text


@pytest.mark.parametrize(
    ("part", "key", "value", "sentence"),
    [
        pytest.param("reaction", "rollbackWrite", 10.0, "(10 s): 10.0 s", id="two whole ticks are not under two ticks"),
        pytest.param("memory", "max", 120.0, "under 120 MiB: 120 MiB", id="as much memory as the goal"),
        pytest.param("rest", "other", 1, "1 other requests", id="one write at rest"),
        pytest.param("safety", "undecided", 2, "2 such openings", id="gates that nobody had decided"),
    ],
)
def test_a_goal_is_missed_when_the_worst_of_several_shifts_misses_it(
    part: str, key: str, value: float, sentence: str
) -> None:
    bad = copy.deepcopy(SHIFT)
    bad[part][key] = value
    text = table.render(result(SHIFT, bad, SHIFT))
    (missed,) = [row for row in text.splitlines() if "✗" in row]
    assert sentence in missed


def test_what_was_not_seen_is_said_and_several_shifts_give_three_numbers() -> None:
    unseen = copy.deepcopy(SHIFT)
    unseen["reaction"]["sliBack"] = None
    assert "SLI back at its SLO (Prometheus)               not seen" in table.render(result(unseen))
    assert table.spread([3.0, 1.0, 2.0], "{:.0f}") == "1 / 2 / 3"
