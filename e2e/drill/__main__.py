"""`python -m e2e.drill --seed 1`: the drill on the cluster that `make cluster` made."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from e2e.drill.shift import Shift
from e2e.drill.stages import look_around, run
from e2e.harness.client import Client
from e2e.harness.progress import Progress, StageFailed
from e2e.harness.session import REFUSED, Refused, session

NAMESPACE, OPERATOR_NAMESPACE = "shop", "opsloop-system"


def main() -> int:
    """Exit code of the gate; 1 where the shift did not come to it; 2 usage, or the run cannot begin here."""
    parser = argparse.ArgumentParser(prog="make drill", description="One shift: break, detect, roll back, learn, fix.")
    parser.add_argument("--seed", type=int, default=1, help="which topic breaks, and how the tickets are worded")
    parser.add_argument("--ticket", type=Path, help="a ticket of your own (JSON with id, subject, body)")
    parser.add_argument("--narrate", action="store_true", help="pause at each stage and say what happens")
    options = parser.parse_args()
    extra = []
    if options.ticket:
        try:
            extra = [json.loads(options.ticket.read_text())]
        except (OSError, ValueError) as error:
            parser.error(f"--ticket {options.ticket}: {error}")
    try:
        with session({NAMESPACE, OPERATOR_NAMESPACE}) as pace, Client(pace) as client:
            progress = Progress(pace, narrate=options.narrate)
            return drill(Shift(client, progress, NAMESPACE, OPERATOR_NAMESPACE, options.seed, extra))
    except Refused as refusal:
        print(f"make drill: {refusal}", file=sys.stderr)
        return REFUSED


def drill(shift: Shift) -> int:
    """Runs the shift and says how to look around afterwards; the exit code."""
    try:
        code = run(shift)
    except (StageFailed, RuntimeError) as failure:
        shift.progress.say(f"FAILED {failure}")
        code = 1
    print("\nThe cluster stays for looking around:\n" + look_around(shift))
    return code


if __name__ == "__main__":
    sys.exit(main())
