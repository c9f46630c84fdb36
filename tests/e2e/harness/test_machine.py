"""The program that measures the CPU of the cluster, run here."""

from __future__ import annotations

import json
import subprocess
import sys

from e2e.harness import machine


def test_the_calibration_program_reports_the_share_done_in_time() -> None:
    program = machine.PROGRAM.replace("12, 2.5, 0.05", "2, 0.1, 0.05")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    report = json.loads(done.stdout)
    assert 0 < report["share"] <= 1.5 and report["began"] > 0
