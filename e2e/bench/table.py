"""The table for people: numbers beside goals, min / median / max where there were several shifts."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

Numbers = dict[str, Any]
TICKS = 2  # breach visible → rollback write
MEMORY = 120.0  # MiB


def render(result: Numbers) -> str:
    """All of one run of the benchmark."""
    shifts = result["shifts"]
    return "\n".join([_head(result), "", *_reaction(shifts), "", *_requests(shifts), "", *_rest(shifts), "", *_process(shifts),
                      "", *goals(shifts)])  # fmt: skip


def _head(result: Numbers) -> str:
    machine = result["machine"]
    load = ", ".join(f"{a:.1f} → {b:.1f}" for a, b in zip(machine["loadBefore"], machine["loadAfter"], strict=True))
    return (
        f"opsloop bench, {result['at']}: {len(result['shifts'])} shift(s), {machine['cores']} cores, "
        f"slowness {machine['slowness']:.1f}, "
        f"load average (1 min) {load}; gate exit code {spread([s['gate'] for s in result['shifts']], '{:.0f}')}"
    )


def _reaction(shifts: list[Numbers]) -> list[str]:
    tick, tier = shifts[0]["reaction"]["tick"], shifts[0]["reaction"]["tier"]
    rows = [("bad version pushed", "push"), ("Incident created (the first alerts do that)", "incidentCreated"),
            ("burn detected (status.detectedAt)", "detectedAt"), ("burn stored in the Incident (audit log)", "burnStored"),
            ("rollback write (audit log)", "rollbackWrite"), ("SLI back at its SLO (Prometheus)", "sliBack")]  # fmt: skip
    lines = [f"Reaction: from the breach visible in Prometheus ({tier}; ± 1 s) to …   seconds (ticks of {tick:g} s)"]
    for label, key in rows:
        values = [s["reaction"][key] for s in shifts if s["reaction"][key] is not None]
        ticks = f"  ({median(values) / tick:+.1f} ticks)" if values else ""
        lines.append(f"  {label:46} {spread(values, '{:+.1f}')}{ticks}")
    return lines


def _requests(shifts: list[Numbers]) -> list[str]:
    seconds = median(s["seconds"] for s in shifts)
    total = [sum(s["requests"].values()) for s in shifts]
    both = [t + s["leases"] for t, s in zip(total, shifts, strict=True)]
    lines = [f"API requests of the operator per shift of {seconds:.0f} s, from the push to LoopClosed (audit log)"]
    names = sorted(
        {n for s in shifts for n in s["requests"]}, key=lambda n: -median(s["requests"].get(n, 0) for s in shifts)
    )
    lines += [f"  {name:46} {spread([s['requests'].get(name, 0) for s in shifts], '{:.0f}')}" for name in names]
    lines.append(f"  {'all without the Lease':46} {spread(total, '{:.0f}')}")
    lines.append(f"  {'all with the Lease':46} {spread(both, '{:.0f}')}")
    refused = ", ".join(f"{code}: {spread([s['refused'][code] for s in shifts], '{:.0f}')}" for code in ("403", "409"))
    return [*lines, f"  of these refused: {refused}"]


def _rest(shifts: list[Numbers]) -> list[str]:
    first = shifts[0]["rest"]
    lines = [
        f"At rest, {first['seconds']:.0f} s, begun {spread([s['rest']['settled'] for s in shifts], '{:.0f}')} s after the shift"
    ]
    for part, note in (("leases", "the Lease"), ("requests", "")):
        for name in sorted({n for s in shifts for n in s["rest"][part]}):
            periodic = note or (
                "periodic resync, or a watch begun anew" if name.startswith(("list", "watch")) else "neither!"
            )
            lines.append(f"  {name:46} {spread([s['rest'][part].get(name, 0) for s in shifts], '{:.0f}')}  {periodic}")
    return lines


def _process(shifts: list[Numbers]) -> list[str]:
    def row(label: str, of: Callable[[Numbers], float], form: str) -> str:
        return f"  {label:46} {spread([of(s) for s in shifts], form)}"

    return [
        "The operator's process (its own /metrics, once a second)",
        row("resident memory before the shift, MiB", lambda s: s["memory"]["before"], "{:.0f}"),
        row("at most, MiB", lambda s: s["memory"]["max"], "{:.0f}"),
        row("at rest, MiB", lambda s: s["memory"]["rest"], "{:.0f}"),
        row("restarts", lambda s: s["memory"]["restarts"], "{:.0f}"),
        row("CPU seconds over the shift", lambda s: s["cpuSeconds"], "{:.1f}"),
    ]


def goals(shifts: list[Numbers]) -> list[str]:
    """Each goal is judged on the worst shift."""
    tick = shifts[0]["reaction"]["tick"]
    write = max(s["reaction"]["rollbackWrite"] for s in shifts)
    most = max(s["memory"]["max"] for s in shifts)
    others = max(s["rest"]["other"] for s in shifts)
    undecided = max(s["safety"]["undecided"] for s in shifts)
    return [
        "Goals (on the worst shift)",
        _goal(
            write < TICKS * tick,
            f"breach visible → rollback write under {TICKS} ticks ({TICKS * tick:g} s)",
            f"{write:.1f} s",
        ),
        _goal(most < MEMORY, f"operator under {MEMORY:g} MiB", f"{most:.0f} MiB"),
        _goal(others == 0, "at rest only the Lease and the periodic resync", f"{others} other requests"),
        _goal(undecided == 0, "no gate opened that had not been decided", f"{undecided} such openings"),
    ]


def _goal(met: bool, text: str, value: str) -> str:
    return f"  {'✓' if met else '✗'} {text}: {value}"


def spread(values: list[float], form: str) -> str:
    """One value, or min / median / max."""
    if not values:
        return "not seen"
    if len(values) == 1:
        return form.format(values[0])
    return " / ".join(form.format(v) for v in (min(values), median(values), max(values)))
