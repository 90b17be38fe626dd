"""Wall time, processor time and memory of the repeated nested protocol on a table of full size.

    python benchmarks/protocol.py [--folds-measured 1] [--full] [--participants 600] [--clips 6]
        [--features 5000] [--repeats 5] [--folds 10] [--workers 1] [--quick]

The table is synthetic: embeddings of low rank with noise, a few gaps, hemoglobin with sex and
age and a weak trace in the features. `pallor.evaluation.protocol.evaluate` runs on it twice:
with models that only know the mean, which leaves the time of everything else; and as it is, but
stopped after the first splits (never with --full). The time of all splits is then that of the
rest plus that of the measured splits in proportion, and said to be projected. With several
workers, steps of later splits run ahead before the stop, so that the projection errs upward.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
import warnings
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from pallor.evaluation.protocol import evaluate
from pallor.video.regions import REGIONS

SHARES = {
    "color": 600, "pulse": 400, "mobilenet_v2": 1280, "resnet152": 2048, "efficientnet_lite0": 672,
}  # fmt: skip
"""Columns of each modality in 5000."""

PROBE = "sex from "
"""How labels of the steps begin that fit no model of hemoglobin."""

RANK = {"color": 25, "pulse": 15}
"""Latent dimensions; 60 for an embedding."""


def make_table(participants: int, clips: int, features: int, seed: int = 0) -> pd.DataFrame:
    """Make a feature table with `clips` clips of each participant, float32 features."""
    rng = np.random.default_rng(seed)
    sex, age = rng.integers(0, 2, participants), rng.uniform(18, 80, participants)
    blood = rng.normal(size=participants)
    hemoglobin = 13.3 + 1.4 * sex - 0.008 * (age - 45) + 1.1 * blood
    person = np.repeat(np.arange(participants), clips)
    parts = {
        "participant_id": [f"p{i:04d}" for i in person],
        "clip": [f"p{i:04d}_{j}.mp4" for i in range(participants) for j in range(clips)],
        "hemoglobin_g_dl": hemoglobin[person],
        "sex": np.where(sex == 1, "male", "female")[person],
        "age_years": age[person],
        "simulated": True,
    }
    frames = [pd.DataFrame(parts)]
    for modality, share in SHARES.items():
        columns = max(2, round(share * features / sum(SHARES.values())))
        rank = min(columns, RANK.get(modality, 60))
        latent = rng.normal(size=(participants, rank))
        latent[:, 0] = 0.35 * blood + 0.5 * (sex - 0.5) + 0.9 * latent[:, 0]
        shown = latent[person] + 0.4 * rng.normal(size=(len(person), rank))
        # Singular values fall off as those of pooled embeddings do.
        loadings = rng.normal(size=(rank, columns)) / np.sqrt(1.0 + np.arange(rank))[:, None]
        values = shown @ loadings + 0.3 * rng.normal(size=(len(person), columns))
        values = values.astype(np.float32)
        if modality in RANK:
            gaps = rng.random(columns) < 0.1
            values[np.ix_(rng.random(len(person)) < 0.15, gaps)] = np.nan
            places = list(REGIONS)
            names = [f"{modality}.{places[i % 9]}.q{i // 9}.mean" for i in range(columns)]
        else:
            names = [f"{modality}.mean.{i:04d}" for i in range(columns)]
        frames.append(pd.DataFrame(values, columns=names))
    return pd.concat(frames, axis=1)


class Mean:
    """A model that costs nothing."""

    def fit(self, X: pd.DataFrame, y: Any, groups: Any) -> Mean:
        """Keep the mean."""
        del X, groups
        self.mean = float(np.mean(y))
        return self

    def predict(self, X: pd.DataFrame) -> Any:
        """Return it for every row."""
        return np.full(len(X), self.mean)


def mean_factory(
    modalities: tuple[str, ...], learners: tuple[str, ...], seed: int, quick: bool
) -> Mean:
    """Make a model that costs nothing."""
    del modalities, learners, seed, quick
    return Mean()


class EnoughError(Exception):
    """The splits that were to be measured are done."""


@dataclass
class Watch:
    """Notes when each step of an evaluation ends, and ends it after some splits.

    Attributes
    ----------
    splits
        How many to let through; None for all.
    steps
        Label, wall and processor time in seconds of each step.
    """

    splits: int | None
    steps: list[tuple[str, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.last = time.perf_counter(), time.process_time()

    def __call__(self, done: int, total: int, label: str) -> None:
        """Take the time of a step; `label` ends with what was held out."""
        del done, total
        now = time.perf_counter(), time.process_time()
        held_out = [entry[0].rpartition(" without ")[2] for entry in self.steps]
        new = label.rpartition(" without ")[2]
        begun = sum(a != b for a, b in pairwise([None, *held_out, new]))
        if self.splits is not None and begun > self.splits:
            raise EnoughError
        self.steps.append((label, now[0] - self.last[0], now[1] - self.last[1]))
        self.last = now


def processor_s() -> float:
    """Return the processor time of this process and its workers, which are sent home first."""
    from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]

    get_reusable_executor().shutdown(wait=True)
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_mb(who: int) -> float:
    """Return the peak of the resident memory in MB (Linux counts in KiB)."""
    return resource.getrusage(who).ru_maxrss / 1024


def run(table: pd.DataFrame, asked: argparse.Namespace, **options: Any) -> Any:
    """Evaluate with what was asked for on the command line."""
    return evaluate(
        table, repeats=asked.repeats, folds=asked.folds, workers=asked.workers, quick=asked.quick,
        **options,
    )  # fmt: skip


def print_steps(watch: Watch, splits: int) -> None:
    """Print the mean times of each kind of step."""
    of_kind: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for label, wall, processor in watch.steps:
        of_kind[label.rpartition(" without ")[0]].append((wall, processor))
    width = max(map(len, of_kind))
    print(f"{'step':{width}}  times   wall s    CPU s  all {splits} splits, CPU min")
    for kind, found in of_kind.items():
        wall, processor = np.mean(found, axis=0)
        whole = processor * splits / 60
        print(f"{kind:{width}}  {len(found):5d} {wall:8.2f} {processor:8.2f}  {whole:10.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (
        ("participants", 600), ("clips", 6), ("features", 5000), ("repeats", 5), ("folds", 10),
        ("workers", 1), ("folds-measured", 1),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--full", action="store_true", help="measure every split")
    parser.add_argument("--quick", action="store_true", help="small models")
    asked = parser.parse_args()
    table = make_table(asked.participants, asked.clips, asked.features)
    print(
        f"{asked.participants} participants, {len(table)} clips, {asked.features} features;"
        f" {asked.repeats} x {asked.folds} splits, {asked.workers} workers"
    )
    rest, start = Watch(None), time.perf_counter()
    splits = run(table, asked, model_factory=mean_factory, progress=rest).metrics["splits"]
    count = splits["folds"] * splits["repeats"]
    probes = sum(step[1] for step in rest.steps if step[0].startswith(PROBE))
    fits = sum(step[1] for step in rest.steps) - probes
    around = time.perf_counter() - start - fits
    print(f"everything but the models: {around:.1f} s, of which sex probes {probes:.1f} s")
    measured = count if asked.full else min(asked.folds_measured, count)
    watch = Watch(None if measured == count else measured)
    before, start = processor_s(), time.perf_counter()
    warnings.filterwarnings("ignore", message=".*executed +but not used")  # by stopping early
    with suppress(EnoughError):
        run(table, asked, progress=watch)
    wall, processor = time.perf_counter() - start, processor_s() - before
    if asked.workers == 1:
        print_steps(watch, count)
    print(f"{measured} of {count} splits: {wall:.1f} s wall, {processor:.1f} s of processor time")
    if measured < count:
        # To the last step of the last split: what ran until the stop belongs to the next.
        of_splits = sum(step[1] for step in watch.steps)
        whole = around + of_splits * count / measured
        print(f"projected, not measured: {whole / 60:.1f} min for all {count} splits")
    print(
        f"peak memory {peak_mb(resource.RUSAGE_SELF):.0f} MB,"
        f" largest worker {peak_mb(resource.RUSAGE_CHILDREN):.0f} MB"
    )


if __name__ == "__main__":
    main()
