"""Extraction of many clips: two workers against one, memory, and what networks add to a clip.

    python benchmarks/batch.py [--rounds 3] [--clips 8] [--folder bench]

Whole processes in turn, as in `throughput.py`:

- ``pallor extract`` with one worker and with two, on the same clips;
- the largest memory of a worker and of the parent, with few clips and with four times as many,
  and how many threads the processes have while they work;
- one 30 s clip with ``color,pulse`` and with 16 crops through ResNet152 as well, beside the
  network alone on 16 crops. Its weights are random (a stand-in for the published file, which
  takes the same time).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import clips
from processes import in_turn, spread

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def extract(table: Path, out: Path, workers: int, *more: str) -> list[str]:
    """Return the command line of an extraction."""
    command = [sys.executable, "-m", "pallor", "extract", str(table), "-o", str(out)]
    return [*command, "--overwrite", "--workers", str(workers), *more]


def processes_of(parent: int) -> Iterator[int]:
    """Yield a process and all that its threads started."""
    yield parent
    for thread in Path(f"/proc/{parent}/task").glob("*"):
        try:
            children = (thread / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from processes_of(int(child))


def status(process: int, key: str) -> int:
    """Return a number of /proc/PID/status, 0 where the process is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)


def watched(command: list[str]) -> tuple[dict[str, float], float]:
    """Run a command; return peaks of memory (MB) and threads by kind of process, and seconds."""
    peaks = {"parent MB": 0.0, "worker MB": 0.0, "all MB": 0.0, "worker threads": 0.0}
    start = time.perf_counter()
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            first, *others = list(processes_of(run.pid))
            peaks["parent MB"] = max(peaks["parent MB"], status(first, "VmHWM") * 1024 / 1e6)
            for other in others:
                peaks["worker MB"] = max(peaks["worker MB"], status(other, "VmHWM") * 1024 / 1e6)
                peaks["worker threads"] = max(peaks["worker threads"], status(other, "Threads"))
            together = sum(status(process, "VmRSS") for process in (first, *others))
            peaks["all MB"] = max(peaks["all MB"], together * 1024 / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    if run.wait() != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    ended.set()
    watcher.join()
    return peaks, time.perf_counter() - start


def scaling(folder: Path, rounds: int, count: int) -> None:
    """Compare one worker on one processor with two on two; and one that may use both."""
    table = clips.cohort(folder / "cohort", count, 20.0, 4.0)
    out = folder / "features"
    one_core = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    commands = {
        "1 worker, 1 processor": [*one_core, *extract(table, out, 1)],
        "2 workers, 2 processors": extract(table, out, 2),
        "1 worker, 2 processors": extract(table, out, 1),
    }
    costs = in_turn(commands, rounds)
    print(f"\n{count} clips of 20 s, 640x480, 4 Mbit/s, color and pulse, {rounds} rounds")
    for name, each in costs.items():
        print(
            f"  {name:24} wall {spread([cost.wall_s for cost in each])} s   "
            f"processors {spread([cost.cpu_s for cost in each])} s"
        )
    one, two, _ = costs.values()
    ratios = [a.wall_s / b.wall_s for a, b in zip(one, two, strict=True)]
    print(f"  two workers on two processors over one on one: {spread(ratios)}   goal >= 1.8")
    per_clip = statistics.median(cost.cpu_s for cost in two) / count
    print(f"  {per_clip:.2f} processor seconds a clip, {per_clip / 20:.3f} a second of video")


def memory(folder: Path, count: int) -> None:
    """Show that memory goes with the workers and not with the clips."""
    print("\npeaks with two workers (the parent writes the table)")
    for many in (count, 4 * count):
        table = clips.cohort(folder / f"short-{many}", many, 4.0, 1.5)
        peaks, _ = watched(extract(table, folder / "features", 2))
        shown = "   ".join(f"{name} {value:.0f}" for name, value in peaks.items())
        print(f"  {many:3} clips: {shown}")
    peaks, _ = watched(extract(table, folder / "features", 1))
    print(f"  {many:3} clips, one worker: all MB {peaks['all MB']:.0f}")


def networks(folder: Path, rounds: int) -> None:
    """Compare a clip with and without ResNet152, in one warm process."""
    from pallor.features.backbones.graph import onnx_graph
    from pallor.features.backbones.network import network_of
    from pallor.features.backbones.table import BACKBONES
    from pallor.features.registry import compute
    from pallor.features.settings import FeatureSettings, usable_cores
    from pallor.video.recorder import record
    from random_weights import weights_for

    backbone = BACKBONES["resnet152"]
    file = folder / "resnet152-random.onnx"
    how = next(iter(backbone.weights.values())).preprocessing
    file.write_bytes(onnx_graph(backbone, how, weights_for(backbone)))
    clips.cohort(folder / "one", 1, 30.0, 4.0)
    clip = folder / "one" / "000.mp4"
    settings = FeatureSettings(files={"custom": str(file)}, threads=usable_cores())
    embed = network_of("custom", settings).embed
    crops = np.random.default_rng(0).integers(0, 256, (16, 224, 224, 3), dtype=np.uint8)

    def small() -> None:
        compute(record(clip), ["color", "pulse"], settings)

    def full() -> None:
        compute(record(clip, crops=True), ["color", "pulse", "custom"], settings)

    parts = {
        "color, pulse": small,
        "color, pulse, ResNet152": full,
        "network alone, 16 crops": lambda: embed(crops),
    }
    costs: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(rounds + 1):
        for name, part in parts.items():
            start = time.process_time()
            part()
            if turn:
                costs[name].append(time.process_time() - start)
    print("\none clip of 30 s, processor seconds in a warm process (ResNet152: random weights)")
    for name, each in costs.items():
        print(f"  {name:26} {spread(each)}")
    ratios = [(more - net) / less for less, more, net in zip(*costs.values(), strict=True)]
    print(f"  (all - network) / (color, pulse): {spread(ratios)}   goal <= 2")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="clips and tables")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    scaling(asked.folder, asked.rounds, asked.clips)
    memory(asked.folder, asked.clips)
    networks(asked.folder, asked.rounds)
    shutil.rmtree(asked.folder / "features", ignore_errors=True)


if __name__ == "__main__":
    main()
