"""One scoring of one set of rows: out-of-fold predictions, then scores with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation import metrics
from pallor.evaluation.baselines import BASELINES, lacking
from pallor.evaluation.bootstrap import (
    paired_difference,
    participant_sums,
    resample_counts,
    scores_with_intervals,
)
from pallor.evaluation.fitting import out_of_fold
from pallor.evaluation.rank_scores import rank_scores_with_intervals
from pallor.evaluation.splits import Plan
from pallor.evaluation.sums import NEED_VARYING_PREDICTIONS
from pallor.evaluation.task import OutOfFold, Task
from pallor.evaluation.unit import OUTCOME, mean_of_units, unit_of_rows, units_of_table

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class Units:
    """The units of analysis of a set of rows.

    Attributes
    ----------
    frame
        One row a unit, see ``units_of_table``.
    of_row
        Unit of each row, ``(rows,)``.
    measured
        Hemoglobin, g/dL, ``(units,)``.
    participant
        Index of each unit's participant, ``(units,)``.
    participants
        How many there are.
    fold
        Fold in which each unit is tested, ``(repeats, units)``; -1 where a repeat does not.
    """

    frame: pd.DataFrame
    of_row: IntArray
    measured: FloatArray
    participant: IntArray
    participants: int
    fold: IntArray

    @property
    def tested(self) -> NDArray[np.bool_]:
        """Which units each repeat tests, ``(repeats, units)``."""
        return self.fold >= 0


def make_units(table: pd.DataFrame, plan: Plan, unit: str) -> Units:
    """Gather rows to units and note where each is tested."""
    of_row = unit_of_rows(table, unit)
    frame = units_of_table(table, of_row)
    participant, names = frame["participant_id"].factorize()
    fold = np.full((plan.repeats, len(frame)), -1, dtype=np.intp)
    for split in plan.splits:
        fold[split.repeat, of_row[split.test]] = split.fold
    return Units(
        frame,
        of_row,
        frame[OUTCOME].to_numpy(dtype=np.float64),
        np.asarray(participant, dtype=np.intp),
        len(names),
        fold,
    )


def _baseline_out_of_fold(name: str, units: Units, plan: Plan) -> FloatArray:
    predicted = np.full((plan.repeats, len(units.measured)), np.nan)
    for split in plan.splits:
        train, test = np.unique(units.of_row[split.train]), np.unique(units.of_row[split.test])
        predicted[split.repeat, test] = BASELINES[name].predict(
            units.frame.iloc[train], units.measured[train], units.frame.iloc[test]
        )
    return predicted


def _varies_inside_a_fold(predicted: FloatArray, fold: IntArray) -> bool:
    return any(
        np.ptp(values[folds == number]) > 0
        for values, folds in zip(predicted, fold, strict=True)
        for number in np.unique(folds[folds >= 0])
    )


def _mean_over_folds(units: Units, predicted: FloatArray) -> float:
    scores = [
        metrics.r2(units.measured[folds == number], values[folds == number])
        for values, folds in zip(predicted, units.fold, strict=True)
        for number in np.unique(folds[folds >= 0])
    ]
    defined = [score for score in scores if np.isfinite(score)]
    return float(np.mean(defined)) if defined else float("nan")


@dataclass(frozen=True)
class Study:
    """Scores of one set of rows.

    Attributes
    ----------
    units
        What was scored.
    predicted
        For each model and each ``baseline:...`` its out-of-fold predictions, g/dL,
        ``(repeats, units)``.
    sums
        For the same names the sums of ``participant_sums``.
    counts
        Resamples of the participants, common to all.
    plan
        The splits.
    fitted
        What came of the models, row by row.
    """

    units: Units
    predicted: Mapping[str, FloatArray]
    sums: Mapping[str, FloatArray]
    counts: NDArray[np.uint16]
    plan: Plan
    fitted: OutOfFold

    @property
    def complete(self) -> bool:
        """Whether every repeat tests every unit."""
        return bool(self.units.tested.all())

    def scores(self, name: str) -> dict[str, Any]:
        """Every score of one model or baseline with its interval, ready for JSON.

        ``r2`` is pooled over folds; ``r2_fold_mean`` is the mean of each fold's own. ``r`` and
        whatever else needs predictions that vary is NaN where they do not vary inside any
        fold: pooled over folds, constants correlate with the outcome only because what a fold
        holds is missing from the mean of the others.
        """
        units, predicted = self.units, self.predicted[name]
        intervals = scores_with_intervals(self.sums[name], self.counts)
        intervals |= rank_scores_with_intervals(
            units.measured, predicted, units.participant, self.counts, units.tested
        )
        if not _varies_inside_a_fold(predicted, units.fold):
            for key in NEED_VARYING_PREDICTIONS:
                intervals[key] = metrics.Interval(float("nan"))
        scores: dict[str, Any] = {key: value.as_dict() for key, value in intervals.items()}
        scores["r2_fold_mean"] = _mean_over_folds(self.units, self.predicted[name])
        return scores

    def baselines(self) -> list[dict[str, Any]]:
        """Scores of the baselines, out of fold and (``in_sample``) on what they learned from."""
        entries = []
        for name, baseline in BASELINES.items():
            if f"baseline:{name}" not in self.predicted:
                continue
            frame, measured = self.units.frame, self.units.measured
            fitted = baseline.predict(frame, measured, frame)
            in_sample = {
                score: getattr(metrics, score)(measured, fitted)
                for score in ("mae", "rmse", "r", "r2")
            }
            entries.append(
                {
                    "name": name,
                    "description": baseline.description,
                    **self.scores(f"baseline:{name}"),
                    "in_sample": in_sample,
                }
            )
        return entries

    def r2_gain(self, model: str, reference: str) -> dict[str, Any]:
        """R2 of a model minus that of another on the same units, paired over participants."""
        difference = paired_difference("r2", self.sums[model], self.sums[reference], self.counts)
        return {**difference.as_dict(), "model": model, "reference": reference}

    def by_seed(self, name: str) -> dict[str, list[float]]:
        """Mean absolute error, r and R2 of one model in each repeat by itself."""
        parts = [
            (self.units.measured[tested], row[tested])
            for row, tested in zip(self.predicted[name], self.units.tested, strict=True)
        ]
        return {
            score: [getattr(metrics, score)(*part) for part in parts]
            for score in ("mae", "r", "r2")
        }

    def by_held_out(self, name: str) -> list[dict[str, Any]]:
        """Scores of one model in each part that was held out in the first repeat."""
        entries = []
        for split in (split for split in self.plan.splits if split.repeat == 0):
            rows = self.units.fold[0] == split.fold
            measured, predicted = self.units.measured[rows], self.predicted[name][0, rows]
            entries.append(
                {
                    "held_out": split.label,
                    "participants": len(np.unique(self.units.participant[rows])),
                    "units": int(rows.sum()),
                    **{
                        score: getattr(metrics, score)(measured, predicted)
                        for score in ("mae", "bias", "r", "r2")
                    },
                }
            )
        return entries

    def frame(self) -> pd.DataFrame:
        """All out-of-fold predictions, one row a unit and repeat."""
        import pandas as pd

        keys = ["participant_id", "session", "clip"]
        keys = [key for key in keys if key in self.units.frame.columns]
        parts = []
        for repeat in range(self.plan.repeats):
            part = self.units.frame[[*keys, OUTCOME]].copy()
            part["repeat"] = repeat
            part["fold"] = self.units.fold[repeat]
            values = {name: rows[repeat] for name, rows in self.predicted.items()}
            joined = pd.concat([part, pd.DataFrame(values, index=part.index)], axis=1)
            parts.append(joined[self.units.tested[repeat]])
        everything: pd.DataFrame = pd.concat(parts, ignore_index=True)
        return everything


def run_study(
    table: pd.DataFrame,
    task: Task,
    *,
    unit: str,
    bootstrap: int,
    workers: int = 1,
    done: Callable[[str], None] | None = None,
) -> Study:
    """Fit, predict and gather.

    Parameters
    ----------
    table
        The rows that ``task`` is made of, with the cohort's columns.
    task
        Features, outcome, splits and models (which may be none).
    unit
        Unit of analysis, see ``pallor.evaluation.unit``.
    bootstrap
        Resamples of the participants.
    workers, done
        As in ``out_of_fold``.
    """
    units = make_units(table, task.plan, unit)
    predicted = {
        f"baseline:{name}": _baseline_out_of_fold(name, units, task.plan)
        for name, baseline in BASELINES.items()
        if not lacking(baseline, units.frame)
    }
    fitted = out_of_fold(task, workers=workers, done=done)
    for name, values in fitted.predicted.items():
        # A unit is tested as a whole, or not: its rows are of one participant.
        predicted[name] = np.stack([mean_of_units(row, units.of_row) for row in values])
    sums = {name: _sums_of(units, values) for name, values in predicted.items()}
    counts = resample_counts(units.participants, bootstrap, task.seed)
    return Study(units, predicted, sums, counts, task.plan, fitted)


def _sums_of(units: Units, predicted: FloatArray) -> FloatArray:
    """Sum up what each repeat tests, ``(repeats, participants, sums)``."""
    return np.stack(
        [
            participant_sums(
                units.measured[tested], row[tested], units.participant[tested], units.participants
            )
            for row, tested in zip(predicted, units.tested, strict=True)
        ]
    )
