"""A small model on simulated clips, for the tests of the service."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallModel:
    model: Path
    clip: Path


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    folder = tmp_path_factory.mktemp("service-model")

    def pallor(*arguments: object) -> None:
        command = [sys.executable, "-m", "pallor", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    cohort = folder / "cohort"
    pallor("simulate", cohort, "--preset", "easy", "--participants", 12, "--duration", 6)
    pallor("extract", cohort / "cohort.csv", "-o", folder / "features")
    pallor("train", folder / "features", "-o", folder / "small.pallor", "--quick")
    clip = next(iter(sorted((cohort / "clips").glob("sim*.mp4"))))
    return SmallModel(folder / "small.pallor", clip)
