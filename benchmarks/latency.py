"""Seconds from one 30 s clip to an estimate, cold and warm, beside its extraction alone.

    python benchmarks/latency.py [--rounds 5] [--folder bench]

The model is trained here on the same few benchmark clips: its figure means nothing, its time is
that of a real one. *Cold* is a whole process, ``pallor predict``; *warm* is a process that has
loaded the model and estimated once, as a service has; *extraction* is recording the clip and
computing the same features in the same warm process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import clips
from processes import in_turn, spread

CLIPS = 12


def model_of(folder: Path) -> Path:
    """Train a model of color and pulse, once."""
    model = folder / "latency.pallor"
    if not model.exists():
        table = clips.cohort(folder / "train", CLIPS, 6.0, 1.5)
        pallor = [sys.executable, "-m", "pallor"]
        features = str(folder / "train-features")
        subprocess.run([*pallor, "extract", str(table), "-o", features], check=True)
        subprocess.run([*pallor, "train", features, "-o", str(model)], check=True)
    return model


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="clips and model")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    model = model_of(asked.folder)
    clip = asked.folder / "latency.mp4"
    if not clip.exists():
        clips.write(clip, 30 * clips.FPS, 8.0)

    import pallor
    from pallor.features.quality import assess
    from pallor.features.registry import compute_features
    from pallor.video.recorder import record

    loaded = pallor.load_model(model)
    names = [name for name in loaded.model.modalities if name != "demographics"]
    loaded.predict(clip)
    warm: list[float] = []
    alone: list[float] = []
    for _ in range(asked.rounds):
        start = time.perf_counter()
        loaded.predict(clip)
        between = time.perf_counter()
        recording = record(clip)
        assess(recording)
        compute_features(recording, names)
        warm.append(between - start)
        alone.append(time.perf_counter() - between)
    command = [sys.executable, "-m", "pallor", "predict", str(model), str(clip), "--json"]
    cold = in_turn({"cold": command}, asked.rounds)["cold"]
    print(f"\none clip of 30 s, 640x480, 8 Mbit/s, {asked.rounds} rounds, seconds by the clock")
    print(f"  cold (pallor predict)    {spread([cost.wall_s for cost in cold])}")
    print(f"  warm                     {spread(warm)}")
    print(f"  extraction alone, warm   {spread(alone)}")
    ratios = [a / b for a, b in zip(warm, alone, strict=True)]
    print(f"  warm over extraction     {spread(ratios)}   goal <= 1.5")


if __name__ == "__main__":
    main()
