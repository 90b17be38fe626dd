"""Seconds from one 30 s clip to an estimate, cold and warm, beside its extraction alone.

    python benchmarks/latency.py [--rounds 5] [--folder bench]

The model is trained here on the same few benchmark clips: its figure means nothing, its time is
that of a real one. *Cold* is a whole process, ``pallor predict``; *warm* is a process that has
loaded the model and estimated once; *extraction* is recording the clip and computing the same
features in the same warm process; *service* is ``pallor serve`` with one worker, from the upload
to the result (left out where the extra ``service`` is not installed).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
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


@contextlib.contextmanager
def service(model: Path) -> Iterator[str]:
    """Run the service on a free port of this machine and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as data:
        command = ["serve", "--model", str(model), "--data", data, "--port", str(port)]
        process = subprocess.Popen(
            [sys.executable, "-m", "pallor", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            while True:
                try:
                    urllib.request.urlopen(f"{address}/readyz").close()
                    break
                except OSError:
                    if process.poll() is not None:
                        raise SystemExit("pallor serve does not start") from None
                    time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait()


def answered_s(address: str, clip: Path) -> float:
    """Send a clip and return the seconds until its result is there."""
    start = time.perf_counter()
    edge = "pallor-latency"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    body = head.encode() + clip.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    request = urllib.request.Request(f"{address}/v1/estimates", body, kind)
    with urllib.request.urlopen(request) as answer:
        place = f"{address}/v1/estimates/{json.load(answer)['id']}"
    while True:
        with urllib.request.urlopen(place) as answer:
            job = json.load(answer)
        if job["state"] in {"done", "failed"}:
            if job["state"] == "failed" or not job["result"]["usable"]:
                raise SystemExit(f"the service gave no estimate: {job}")
            return time.perf_counter() - start
        time.sleep(0.05)


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
    served: list[float] = []
    if importlib.util.find_spec("fastapi") is not None:
        with service(model) as address:
            answered_s(address, clip)
            served = [answered_s(address, clip) for _ in range(asked.rounds)]
    command = [sys.executable, "-m", "pallor", "predict", str(model), str(clip), "--json"]
    cold = in_turn({"cold": command}, asked.rounds)["cold"]
    print(f"\none clip of 30 s, 640x480, 8 Mbit/s, {asked.rounds} rounds, seconds by the clock")
    print(f"  cold (pallor predict)    {spread([cost.wall_s for cost in cold])}")
    print(f"  warm                     {spread(warm)}")
    print(f"  extraction alone, warm   {spread(alone)}")
    ratios = [a / b for a, b in zip(warm, alone, strict=True)]
    print(f"  warm over extraction     {spread(ratios)}   goal <= 1.5")
    if served:
        print(f"  service, upload to result {spread(served)}")
        ratios = [a / b for a, b in zip(served, alone, strict=True)]
        print(f"  service over extraction  {spread(ratios)}   goal <= 1.5")


if __name__ == "__main__":
    main()
