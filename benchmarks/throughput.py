"""Frames a second of processor time, from a video to a heart rate, beside decoding and a peer.

    python benchmarks/throughput.py [--rounds 5] [--mbit 1.5] [--folder bench] [--no-peer]

Whole processes with their start-up, in turn, round after round, so that a busy machine slows
all of them alike; medians count, and ratios are taken within a round:

- ``pallor check`` on a 2700-frame clip, 640x480 H.264, and on one that is ten times longer;
- decoding alone with PyAV, threads as PyAV chooses them;
- POS of vitallens (the fastest of the open peers known), in an environment of its own that
  this script makes in FOLDER from the package index.

The default bit rate is one at which decoding alone runs at some 1000 frames a second, which is
the hardest test for everything besides the decoder; cameras write 8 Mbit/s and more.
Then: the error of the heart rate against landmarks in every frame, on clips at rest and in
motion; ``import pallor``; POS on 900 frames.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import timeit
from pathlib import Path

import numpy as np

import clips
from processes import Cost, in_turn, run, spread

FRAMES = 2700
PEER = ("vitallens==0.6.2", "scipy", "psutil")

DECODE = """
import sys, av
with av.open(sys.argv[1]) as container:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    print(sum(1 for _ in container.decode(stream)))
"""
POS = """
import sys
from vitallens import Method, VitalLens
result = VitalLens(method=Method.POS, export_to_json=False)(sys.argv[1])[0]
print(result.get("vitals", result.get("vital_signs"))["heart_rate"]["value"])
"""
IMPORT = "import time; t = time.perf_counter(); import pallor; print(time.perf_counter() - t)"


def peer_python(folder: Path) -> str | None:
    """Return the Python of an environment that holds the peer; None where it cannot be had."""
    python = folder / "peer" / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder / "peer")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEER], check=True)
        subprocess.run([str(python), "-c", "import vitallens"], check=True, capture_output=True)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"vitallens is left out: {error}")
        return None
    return str(python)


def show(name: str, costs: list[Cost], frames: int) -> None:
    """Print one line of the table."""
    rate = spread([frames / cost.cpu_s for cost in costs], 0)
    wall = spread([cost.wall_s for cost in costs])
    print(f"  {name:28} {rate:>18}  {wall:>18}  {max(cost.peak_mb for cost in costs):6.0f}")


def ratio(what: str, above: list[Cost], below: list[Cost], scale: float, goal: str) -> None:
    """Print the ratio of processor times, taken within each round."""
    values = [scale * a.cpu_s / b.cpu_s for a, b in zip(above, below, strict=True)]
    print(f"  {what:44} {spread(values):>18}   goal {goal}")


def throughput(folder: Path, rounds: int, mbit_s: float, python: str | None) -> None:
    """Time the processes and print frames a second and ratios."""
    name = f"{mbit_s:g}".replace(".", "_")
    short, long = folder / f"short-{name}.mp4", folder / f"long-{name}.mp4"
    if not short.exists():
        print(f"making {short} ...")
        clips.write(short, FRAMES, mbit_s)
    if not long.exists():
        clips.repeat(short, 10, long)
    check = [sys.executable, "-m", "pallor", "check", "--json"]
    commands = {
        "pallor check": [*check, str(short)],
        "decode alone (PyAV)": [sys.executable, "-c", DECODE, str(short)],
        "pallor check, 10 x longer": [*check, str(long)],
    }
    if python is not None:
        commands["vitallens POS"] = [python, "-c", POS, str(short)]
    costs = in_turn(commands, rounds)
    ours, decode, longer = (costs[key] for key in list(commands)[:3])
    print(f"\n640x480 H.264, {mbit_s:g} Mbit/s, {FRAMES} frames, {rounds} rounds, median (range)")
    print(f"  {'':28} {'frames/CPU s':>18}  {'wall s':>18}  {'peak MB':>6}")
    for key, cost in costs.items():
        show(key, cost, FRAMES * (10 if cost is longer else 1))
    print("ratios of processor time, within each round")
    ratio("pallor check over decode alone (frames/CPU s)", decode, ours, 1, ">= 0.60")
    if python is not None:
        ratio("pallor check over vitallens POS", costs["vitallens POS"], ours, 1, ">= 2.0")
    peak, peak_long = (statistics.median(c.peak_mb for c in each) for each in (ours, longer))
    print(
        f"  peak memory {peak:.0f} MB, goal <= 250; 10 x longer: {peak_long / peak:.3f} of it, "
        "goal <= 1.05"
    )
    bpm = json.loads(ours[-1].output)["heart_rate_bpm"]
    told = f"heart rate: true {clips.BPM:.2f}, pallor {bpm:.2f}"
    if python is not None:
        told += f", vitallens {float(costs['vitallens POS'][-1].output.split()[-1]):.2f}"
    print(told)


def heart_rates(folder: Path) -> None:
    """Print the error of the heart rate with few landmarks and with landmarks in every frame."""
    from pallor.features.quality import assess
    from pallor.video.recorder import record

    print("\nerror of the heart rate, bpm (30 s clips); landmarks in every frame beside it")
    errors: dict[str, list[float]] = {"as it is": [], "every frame": []}
    for sway in (0.0, 6.0, 15.0, 30.0):
        for seed in range(3):
            path = folder / f"sway-{sway:g}-{seed}.mp4"
            if not path.exists():
                clips.write(path, 900, 4, sway_px=sway, seed=seed)
            found = {}
            for name, options in (("as it is", {}), ("every frame", {"landmark_interval_s": 0.0})):
                quality = assess(record(path, samples=0, **options))
                if quality.heart_rate_bpm is None:
                    found[name] = f"refused ({quality.snr_db})"
                    errors[name].append(np.inf)
                    continue
                errors[name].append(abs(quality.heart_rate_bpm - clips.BPM))
                found[name] = f"{errors[name][-1]:.3f} (SNR {quality.snr_db:.1f} dB)"
            print(f"  sway {sway:4.0f} px, noise {seed}:  " + "   ".join(found.values()))
    means = "   ".join(f"{name} {np.mean(values):.3f}" for name, values in errors.items())
    print(f"  mean: {means}   goal: not worse")


def small_things(rounds: int) -> None:
    """Time what is quick."""
    seconds = [float(run([sys.executable, "-c", IMPORT]).output) for _ in range(rounds)]
    print(f"\nimport pallor: {1000 * statistics.median(seconds):.0f} ms   goal <= 300")
    from pallor.features.rppg import pos

    rgb = np.random.default_rng(0).normal(100, 1, (900, 3))
    once = min(timeit.repeat(lambda: pos(rgb, 30.0), number=20, repeat=5 * rounds)) / 20
    print(f"POS on 900 frames: {1000 * once:.2f} ms   goal <= 1")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mbit", default="1.5", help="comma-separated bit rates, Mbit/s")
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="clips, peer")
    parser.add_argument("--no-peer", action="store_true")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    # As users have it, not as this shell has it.
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.pop(name, None)
    python = None if asked.no_peer else peer_python(asked.folder)
    for mbit_s in asked.mbit.split(","):
        throughput(asked.folder, asked.rounds, float(mbit_s), python)
    heart_rates(asked.folder)
    small_things(asked.rounds)


if __name__ == "__main__":
    main()
