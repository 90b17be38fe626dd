"""What the fused models of all outer folds and repeats look at: a mean and a spread of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pallor.evaluation.contributions import KINDS
from pallor.evaluation.fold_explanation import FoldExplanation
from pallor.evaluation.permutation_importance import Importance

TOP: Final = 20
SPREAD: Final = (0.1, 0.9)
"""Quantiles over the folds that are given beside a mean."""


@dataclass(frozen=True)
class OverFolds:
    """A number over the folds.

    Attributes
    ----------
    value
        Mean over the folds, each counted with its units.
    spread
        The quantiles `SPREAD` over the folds. This is no confidence interval: the folds share
        most of their training rows, and more repeats do not narrow it.
    """

    value: float
    spread: tuple[float, float]


@dataclass(frozen=True)
class CombinedImportance:
    """Importance of one group over all folds; attributes as in `Importance`."""

    group: str
    kind: str
    features: int
    increase_mae_g_dl: OverFolds
    increase_mse: OverFolds


@dataclass(frozen=True)
class CombinedContribution:
    """Contribution of one feature or sum over all folds.

    Attributes
    ----------
    name, kind
        As in `Contribution`.
    mean_abs_g_dl
        A fold whose trees do not use the feature counts with zero.
    sign
        Mean over the folds in which it is defined.
    folds
        In how many folds it contributes.
    """

    name: str
    kind: str
    mean_abs_g_dl: OverFolds
    sign: float
    folds: int


@dataclass(frozen=True)
class Explanation:
    """What the models of all outer folds and repeats look at.

    Attributes
    ----------
    folds, silent_folds
        How many models were explained, and how many of them had no member of positive weight.
    importance
        Modalities, then places, in the order of the folds' own.
    contributions
        Features, modalities and places; largest first in each kind.
    weight_share, clipped_share
        Mean over the folds in which they are defined, see `FoldExplanation`.
    """

    folds: int
    silent_folds: int
    importance: tuple[CombinedImportance, ...]
    contributions: tuple[CombinedContribution, ...]
    weight_share: float
    clipped_share: float

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know."""
        notes = []
        if self.silent_folds:
            notes.append(
                f"In {self.silent_folds} of {self.folds} folds no member earned a weight: the"
                " model gave the mean, or what sex and age say, and the importance of every"
                " feature is zero there."
            )
        if any(c.name.endswith(".*") for c in self.contributions):
            notes.append(
                "Trees on principal components of a wide modality: its contributions are given"
                " as one sum, modality.*, since no part of a component belongs to one feature."
            )
        if self.clipped_share > 0.0:
            notes.append(
                f"{self.clipped_share:.1%} of the boosted trees' predictions were held at the"
                " range of the training outcomes; contributions are those before that."
            )
        return tuple(notes)

    def as_dict(self, top: int = TOP) -> dict[str, Any]:
        """Return everything in built-in types for JSON, with so many features; NaN as None."""
        return {
            "folds": self.folds,
            "silent_folds": self.silent_folds,
            "spread_quantiles": list(SPREAD),
            "permutation": [
                {
                    "group": found.group,
                    "kind": found.kind,
                    "features": found.features,
                    "increase_mae_g_dl": _number(found.increase_mae_g_dl.value),
                    "increase_mse": _number(found.increase_mse.value),
                    "spread_mae_g_dl": [_number(v) for v in found.increase_mae_g_dl.spread],
                    "spread_mse": [_number(v) for v in found.increase_mse.spread],
                }
                for found in self.importance
            ],
            "contributions": self._contributions("feature", top),
            "contributions_by_modality": self._contributions("modality", None),
            "contributions_by_place": self._contributions("place", None),
            "contributions_weight_share": _number(self.weight_share),
            "clipped_share": _number(self.clipped_share),
            "notes": list(self.notes),
        }

    def _contributions(self, kind: str, top: int | None) -> list[dict[str, Any]]:
        return [
            {
                kind: found.name,
                "mean_abs_g_dl": _number(found.mean_abs_g_dl.value),
                "spread_g_dl": [_number(v) for v in found.mean_abs_g_dl.spread],
                "sign_correlation": _number(found.sign),
                "folds": found.folds,
            }
            for found in [c for c in self.contributions if c.kind == kind][:top]
        ]


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _over_folds(values: Iterable[float], units: Sequence[int]) -> OverFolds:
    numbers, weights = np.array(list(values)), np.array(units, dtype=np.float64)
    known = np.isfinite(numbers)
    if not known.any():
        return OverFolds(float("nan"), (float("nan"), float("nan")))
    low, high = np.quantile(numbers[known], SPREAD)
    mean = np.average(numbers[known], weights=weights[known])
    return OverFolds(float(mean), (float(low), float(high)))


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def combine(folds: Sequence[FoldExplanation]) -> Explanation:
    """Gather the explanations of one model's fits over outer folds and repeats.

    Parameters
    ----------
    folds
        One a fit, of the same modalities.

    Returns
    -------
    Explanation
        Means and spreads over the folds.

    Raises
    ------
    ValueError
        If there are none, or they are of different modalities.
    """
    if not folds:
        raise ValueError("there is no fold to gather")
    units = [fold.units for fold in folds]
    groups = [[(i.group, i.kind, i.features) for i in fold.importance] for fold in folds]
    if any(of_fold != groups[0] for of_fold in groups):
        raise ValueError("the folds explain models of different features")

    def of(i: int, score: Callable[[Importance], float]) -> OverFolds:
        return _over_folds((score(fold.importance[i]) for fold in folds), units)

    importance = tuple(
        CombinedImportance(
            *group, of(i, lambda x: x.increase_mae_g_dl), of(i, lambda x: x.increase_mse)
        )
        for i, group in enumerate(groups[0])
    )
    found = [{(c.kind, c.name): c for c in fold.contributions} for fold in folds]
    combined = [
        CombinedContribution(
            name,
            kind,
            _over_folds(
                (f[kind, name].mean_abs_g_dl if (kind, name) in f else 0.0 for f in found), units
            ),
            _mean(f[kind, name].sign for f in found if (kind, name) in f),
            sum((kind, name) in f for f in found),
        )
        for kind, name in dict.fromkeys(key for of_fold in found for key in of_fold)
    ]
    combined.sort(key=lambda c: (KINDS.index(c.kind), -c.mean_abs_g_dl.value, c.name))
    return Explanation(
        folds=len(folds),
        silent_folds=sum(fold.silent for fold in folds),
        importance=importance,
        contributions=tuple(combined),
        weight_share=_mean(fold.weight_share for fold in folds),
        clipped_share=_mean(fold.clipped_share for fold in folds),
    )
