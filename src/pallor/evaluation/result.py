"""What an evaluation leaves behind, in memory and in a folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pallor.errors import FeatureTableError

if TYPE_CHECKING:
    import pandas as pd

METRICS_FILE: Final = "metrics.json"
PREDICTIONS_FILE: Final = "predictions.csv"
TABLE_SCORES: Final = ("mae", "rmse", "r", "r2", "bias")


def without_nan(value: Any) -> Any:
    """Replace numbers that JSON does not know (NaN, infinities) by None, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value


@dataclass(frozen=True)
class Evaluation:
    """The result of ``evaluate``.

    Attributes
    ----------
    metrics
        The content of ``metrics.json``; undefined numbers are None.
    predictions
        One row a unit and repeat: ``participant_id``, ``session`` (and ``clip`` where clips
        are the unit), ``hemoglobin_g_dl``, ``repeat``, ``fold`` and one column for each
        model (``color+pulse:stacking``) and baseline (``baseline:sex_age``), all out of
        fold, g/dL. Every score follows from it.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """One row a model or baseline: what it is, and every score with its interval."""
        return tidy_table(self.metrics)

    def save(self, run_dir: str | Path) -> Path:
        """Write ``metrics.json`` and ``predictions.csv``, each completely or not at all.

        Parameters
        ----------
        run_dir
            Folder; made where it does not exist.

        Returns
        -------
        The folder.

        Raises
        ------
        OSError
            If the folder cannot be made or written to.
        """
        from pallor.cohort.atomic import write_text

        folder = Path(run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / PREDICTIONS_FILE, self.predictions.to_csv(index=False))
        text = json.dumps(without_nan(self.metrics), indent=2, allow_nan=False, ensure_ascii=False)
        write_text(folder / METRICS_FILE, text + "\n")
        return folder


def load_evaluation(run_dir: str | Path) -> Evaluation:
    """Read back what ``Evaluation.save`` wrote.

    Raises
    ------
    FeatureTableError
        If the folder holds no complete evaluation.
    """
    import pandas as pd

    folder = Path(run_dir)
    try:
        metrics = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
        predictions = pd.read_csv(
            folder / PREDICTIONS_FILE,
            dtype={"participant_id": str, "session": str, "clip": str},
        )
    except (OSError, ValueError) as error:
        raise FeatureTableError(
            f"{folder} holds no complete evaluation ({error}): run the evaluation again"
        ) from error
    if not isinstance(metrics, dict):
        raise FeatureTableError(
            f"{folder / METRICS_FILE} is not an object: run the evaluation again"
        )
    return Evaluation(metrics, predictions)


def tidy_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Baselines and models as one table for printing.

    Parameters
    ----------
    metrics
        As in ``metrics.json``.

    Returns
    -------
    Columns ``modalities`` (joined by ``+``; ``none`` for a baseline), ``regressor`` (or the
    baseline's name) and, for each score, itself and its ``_low`` and ``_high``.
    """
    import pandas as pd

    entries = [("none", entry["name"], entry) for entry in metrics["baselines"]]
    entries += [
        ("+".join(entry["modalities"]), entry["regressor"], entry) for entry in metrics["models"]
    ]
    rows = []
    for modalities, regressor, entry in entries:
        row: dict[str, Any] = {"modalities": modalities, "regressor": regressor}
        for score in TABLE_SCORES:
            for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
                number = entry[score][key]
                row[score + suffix] = math.nan if number is None else float(number)
        rows.append(row)
    columns = ["modalities", "regressor"]
    columns += [score + suffix for score in TABLE_SCORES for suffix in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=columns)
