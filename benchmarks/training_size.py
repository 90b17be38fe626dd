"""Memory and time of training against the rows of the table, and where memory ends.

    python benchmarks/training_size.py [--rows 2000 8000 32000] [--regressor stacking]
        [--quick] [--columns 970] [--clips 2] [--memory-gib 24] [--folder DIR] [--load-only]

The values are synthetic: low-rank features with noise and gaps under the names of color and
pulse features, and hemoglobin with a weak trace in them; the scores mean nothing. Each table is
written part by part as `pallor extract` writes one, then loaded and trained on in a process of
its own, whose peak memory is measured (with `--quick` it is
less, since fewer trees are kept). A straight line through the peaks says at how many rows
training would need all of the memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pallor.cohort.extraction_record import library_versions, write_record
from pallor.cohort.feature_folder import FORMAT
from pallor.cohort.feature_table import iter_features, load_features
from pallor.cohort.table_assembly import rows_a_part
from pallor.cohort.table_parts import write_parts
from pallor.models.training import train
from pallor.video.regions import REGIONS

RANK = 40
"""Latent dimensions behind the features."""


def feature_names(columns: int) -> list[str]:
    """Name color and pulse features, the core ones (`pallor.models.core`) among them."""
    places = list(REGIONS)
    names = [f"color.{place}.log_{pair}.mean" for place in places for pair in ("rg", "gb")]
    names += [f"pulse.face.{channel}.ac_dc" for channel in ("red", "green", "blue")]
    more = columns - len(names)
    names += [f"color.{places[i % 9]}.q{i // 9}.mean" for i in range(more * 6 // 10)]
    left = columns - len(names)
    return names + [f"pulse.{places[i % 9]}.q{i // 9}.mean" for i in range(left)]


def tables(rows: int, names: list[str], clips: int) -> Iterator[Any]:
    """Yield the parts of a synthetic table."""
    loadings = np.random.default_rng(0).normal(size=(RANK, len(names))).astype(np.float32)
    most = rows_a_part(len(names)) // clips * clips
    for start in range(0, rows, most):
        rng = np.random.default_rng((1, start))
        count = min(most, rows - start)
        people = -(-count // clips)
        male, age = rng.integers(0, 2, people), rng.uniform(18, 80, people)
        blood = rng.normal(size=people)
        latent = rng.normal(size=(people, RANK))
        latent[:, 0] += 0.5 * blood
        person = np.repeat(np.arange(people), clips)[:count]
        values = (latent[person] + 0.4 * rng.normal(size=(count, RANK))).astype(np.float32)
        values = values @ loadings + 2 * rng.standard_normal((count, len(names)), np.float32)
        values[rng.random(count) < 0.1, : len(names) // 10] = np.nan
        number = np.arange(start, start + count)
        labels = pd.DataFrame(
            {
                # Not in the order of the rows: they have to be sorted, as those of most cohorts.
                "participant_id": [f"p{10**7 - start // clips - i}" for i in person],
                "clip": [f"{i:07d}.mp4" for i in number],
                "hemoglobin_g_dl": (13.3 + 1.4 * male + 1.1 * blood)[person],
                "sex": np.where(male == 1, "male", "female")[person],
                "age_years": age[person],
                "input_kind": "face_video",
                "simulated": True,
                **dict.fromkeys(("duration_s", "fps", "face_coverage"), 1.0),
                **dict.fromkeys(("heart_rate_bpm", "snr_db"), 1.0),
                "usable_pulse": True,
                "file_sha256": [f"{i:064x}" for i in number],
                "content_sha256": [f"{i:064x}" for i in number],
                "warnings": "",
            }
        )
        left = pa.Table.from_pandas(labels, preserve_index=False).replace_schema_metadata(None)
        for name, column in zip(names, np.ascontiguousarray(values.T), strict=True):
            left = left.append_column(name, pa.array(column, from_pandas=True))
        yield left


def write_table(folder: Path, rows: int, columns: int, clips: int) -> None:
    """Write a synthetic table as a finished extraction."""
    folder.mkdir(parents=True)
    settings: dict[str, Any] = {
        "format": FORMAT,
        "complete": True,
        "samples": 16,
        "precision": "float32",
        "versions": library_versions(),
        "modalities": ["color", "pulse"],
        "input_kinds": ["face_video"],
        "simulated": True,
        "counts": {"read": rows, "done": rows, "failed": 0},
        "failures": [],
    }
    parts = write_parts(folder, tables(rows, feature_names(columns), clips), settings)
    write_record(folder, settings | {"parts": [asdict(part) for part in parts]})


def peak_mib() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(folder: Path, regressor: str, *, quick: bool, load_only: bool) -> dict[str, float]:
    """Load and train in this process; return seconds and MiB."""
    began = time.perf_counter()
    if load_only:
        rows = sum(len(part) for part in iter_features(folder))
        streamed = time.perf_counter() - began
        found = {"rows": rows, "iter_s": streamed, "iter_peak_mib": peak_mib()}
        began = time.perf_counter()
        load_features(folder)
        return found | {"load_s": time.perf_counter() - began, "load_peak_mib": peak_mib()}
    loaded = {}

    def load() -> pd.DataFrame:
        table = load_features(folder)
        loaded.update(load_s=time.perf_counter() - began, load_peak_mib=peak_mib())
        return table

    train(load(), regressor=regressor, quick=quick)
    seconds = time.perf_counter() - began - loaded["load_s"]
    return loaded | {"train_s": seconds, "train_peak_mib": peak_mib()}


def main() -> None:
    """Measure every size and print a line each, then where memory ends."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2000, 8000, 32000])
    parser.add_argument("--regressor", default="stacking")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--columns", type=int, default=970)
    parser.add_argument("--clips", type=int, default=2, help="a participant")
    parser.add_argument("--memory-gib", type=float, default=24.0)
    parser.add_argument("--folder", type=Path, help="keeps the tables; a temporary one if absent")
    parser.add_argument("--load-only", action="store_true")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        choices = {"quick": asked.quick, "load_only": asked.load_only}
        print(json.dumps(measure(asked.measure, asked.regressor, **choices)))
        return
    peaks = []
    with TemporaryDirectory() as scratch:
        for rows in asked.rows:
            folder = (asked.folder or Path(scratch)) / f"{rows}x{asked.columns}x{asked.clips}"
            if not folder.exists():
                began = time.perf_counter()
                write_table(folder, rows, asked.columns, asked.clips)
                print(f"{rows} rows: written in {time.perf_counter() - began:.1f} s", flush=True)
            command = [sys.executable, __file__, "--measure", folder, "--regressor"]
            command += [asked.regressor] + ["--load-only"] * asked.load_only
            command += ["--quick"] * asked.quick
            run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(run.stdout.splitlines()[-1])
            told = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
            print(f"{rows} rows, {asked.regressor}: {told}", flush=True)
            peaks.append(found.get("train_peak_mib", found["load_peak_mib"]))
    if len(peaks) > 1:
        slope, start = np.polyfit(asked.rows, peaks, 1)
        limit = (asked.memory_gib * 1024 - start) / slope
        print(
            f"{slope * 1024:.1f} KiB a row and {start:.0f} MiB besides: {asked.memory_gib:g} GiB "
            f"end at about {limit:,.0f} rows"
        )


if __name__ == "__main__":
    main()
