"""Whole processes, measured: processor time, wall time and peak memory, with all children.

As a program it runs a command and writes what that took, as JSON, to a file:

    python benchmarks/processes.py RESULT COMMAND...
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes
    ----------
    cpu_s, wall_s
        Seconds of all processors together, and by the clock.
    peak_mb
        Largest resident set of the process or of one of its children, MB of 10^6 bytes.
    output
        What it wrote to stdout.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float
    output: str


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end; an exit status other than 0 is an error with its last words."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        # Linux counts the memory of the process that starts another one to the other's peak,
        # so a small process does it.
        done = subprocess.run(
            [sys.executable, "-S", "-E", __file__, str(result), *command],
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command[:4])} ... failed: {done.stderr.strip()[-800:]}")
        return Cost(**json.loads(result.read_text()), output=done.stdout)


def in_turn(
    commands: Mapping[str, Sequence[str]], rounds: int, environment: Mapping[str, str] | None = None
) -> dict[str, list[Cost]]:
    """Run the commands one after the other, round after round, after one round to warm up."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            cost = run(command, environment)
            if turn:
                costs[name].append(cost)
    return costs


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return median, smallest and largest."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def main(result: str, command: list[str]) -> int:
    """Run a command, write what it took, and return its exit status."""
    start = time.perf_counter()
    _, status, usage = os.wait4(subprocess.Popen(command).pid, 0)
    cost = {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.perf_counter() - start,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
    }
    Path(result).write_text(json.dumps(cost))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
