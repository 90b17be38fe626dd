"""The meta learner of late fusion: a non-negative, shrunken sum of member predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, np.inf)
"""Candidates for the penalty of the weights, relative to the members' mean variance; the last
puts every weight to zero, which leaves the mean (or what sex and age say) alone."""


@dataclass(frozen=True)
class SumOfMembers:
    """``intercept + members @ weights`` with ``weights >= 0``.

    Attributes
    ----------
    weights
        One a member, ``(m,)``, never negative.
    intercept
        In the unit of the target.
    penalty
        The candidate of `PENALTIES` that was taken.
    """

    weights: NDArray[np.float64]
    intercept: float
    penalty: float

    def predict(self, members: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum for member predictions ``(rows, m)``."""
        return np.asarray(self.intercept + members @ self.weights, dtype=np.float64)


def fit_sum(
    members: NDArray[np.float64], target: NDArray[np.float64], penalty: float
) -> SumOfMembers:
    """Fit ridge regression under non-negativity with an unpenalized intercept.

    Non-negative weights keep stacking stable where members are nearly copies of each other
    (Breiman, Stacked regressions, Mach Learn 1996;24:49). The members enter unscaled: one
    whose out-of-fold predictions hardly vary has itself found no signal, and the penalty
    weighs hardest on it.

    Parameters
    ----------
    members
        Out-of-fold predictions, ``(n, m)``.
    target
        ``(n,)``.
    penalty
        Relative to n times the mean variance of the members; infinite gives zero weights.
    """
    from scipy.optimize import nnls

    center = members.mean(axis=0)
    mean = float(target.mean())
    centered = members - center
    scale = float(np.square(centered).mean()) * len(target)
    if not np.isfinite(penalty) or scale <= 0.0:
        return SumOfMembers(np.zeros(members.shape[1]), mean, penalty)
    shrink = np.sqrt(penalty * scale) * np.eye(members.shape[1])
    weights, _ = nnls(
        np.vstack([centered, shrink]),
        np.concatenate([target - mean, np.zeros(members.shape[1])]),
    )
    return SumOfMembers(weights, mean - float(center @ weights), penalty)


def tune_sum(
    members: NDArray[np.float64], target: NDArray[np.float64], folds: Sequence[Fold]
) -> SumOfMembers:
    """Choose the penalty by cross-validation over given folds, then fit on all rows.

    The members must earn their place: unless the best penalty lowers the squared error of
    zero weights by more than one standard error of that (paired) difference, the weights are
    zero (the one-standard-error rule of Breiman et al, Classification and Regression Trees,
    1984, section 3.4.3, for this one choice). Modalities of noise are thereby mostly kept out.

    Parameters
    ----------
    members, target
        As in `fit_sum`.
    folds
        ``(train, test)`` positions within these rows; groups must not straddle them.
    """
    errors = np.array([_squared_errors(members, target, folds, p) for p in PENALTIES])
    best = int(np.argmin(errors.mean(axis=1)))
    gain = errors[-1] - errors[best]
    if gain.mean() <= gain.std(ddof=1) / np.sqrt(len(gain)):
        best = len(PENALTIES) - 1
    return fit_sum(members, target, PENALTIES[best])


def _squared_errors(
    members: NDArray[np.float64], target: NDArray[np.float64], folds: Sequence[Fold], penalty: float
) -> NDArray[np.float64]:
    errors = np.empty_like(target)
    for train, test in folds:
        fitted = fit_sum(members[train], target[train], penalty)
        errors[test] = np.square(target[test] - fitted.predict(members[test]))
    return errors
