"""Conformal prediction intervals from out-of-fold residuals.

An interval is ``prediction +- q`` where q is the k-th smallest of n absolute residuals,
``k = ceil((n + 1) * coverage)``: a new residual that is exchangeable with those n lies below q
with at least that probability, whatever its distribution (Vovk, Gammerman, Shafer, Algorithmic
Learning in a Random World, 2005, chapter 2; Lei et al, J Am Stat Assoc 2018;113:1094). The
quantile is taken by the package ``crepes``; what is kept of it is the list of residuals.

Two things to know. The residuals are out of fold, while the model that predicts was fitted on
all rows; this is the cross-conformal shortcut, close to nominal in practice, with a worst case
guarantee of 1 - 2 * (1 - coverage) only for its CV+ form (Barber et al, Ann Stat 2021;49:486).
And clips of one person are not exchangeable with one another, so a person counts once
(`one_residual_a_group`).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pallor.errors import FeatureTableError, ModelFileError, UsageError

Per = Literal["clip", "mean"]


@dataclass(frozen=True)
class ConformalIntervals:
    """Absolute residuals, and the coverage that is asked of them unless told otherwise.

    Attributes
    ----------
    scores
        Absolute residuals in g/dL in ascending order, one a person or session; divided by the
        difficulty where `normalized`.
    coverage
        Default share of new cases whose true value shall lie inside, strictly between 0 and 1.
    per
        What the interval is for: ``clip`` an estimate from one clip, ``mean`` the average of
        all clips of a person's session.
    normalized
        Whether widths are multiplied by a difficulty.
    """

    scores: tuple[float, ...]
    coverage: float = 0.9
    per: Per = "clip"
    normalized: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises
        ------
        FeatureTableError
            No score, one that is negative or not finite, or not in order.
        UsageError
            A coverage outside 0..1.
        """
        scores = np.asarray(self.scores, dtype=np.float64)
        if scores.ndim != 1 or scores.size == 0:
            raise FeatureTableError("an interval needs residuals, and there are none")
        if not np.isfinite(scores).all() or (scores < 0).any() or (np.diff(scores) < 0).any():
            raise FeatureTableError("residuals must be finite, absolute and in ascending order")
        check_coverage(self.coverage)

    def half_width(self, coverage: float | None = None) -> float:
        """Return half the width of the interval at difficulty 1, in g/dL.

        Infinite where there are too few residuals for the coverage (`smallest_n`).
        """
        low, high = self.interval(0.0, coverage)
        return (high - low) / 2.0

    def interval(
        self, prediction: float, coverage: float | None = None, *, difficulty: float = 1.0
    ) -> tuple[float, float]:
        """Return the interval around a prediction.

        Parameters
        ----------
        prediction
            g/dL.
        coverage
            Between 0 and 1; the default of this object where None.
        difficulty
            Positive; only where `normalized`.

        Returns
        -------
        low, high
            g/dL. Minus and plus infinity where there are too few residuals for the coverage;
            `message` says so in words.

        Raises
        ------
        UsageError
            A coverage outside 0..1, or a difficulty that is not positive or not expected.
        """
        from crepes import ConformalRegressor

        asked = self.coverage if coverage is None else check_coverage(coverage)
        if not difficulty > 0.0 or (not self.normalized and difficulty != 1.0):
            raise UsageError(
                "a difficulty must be positive, and intervals fitted with difficulties"
            )
        regressor = ConformalRegressor().fit(np.asarray(self.scores, dtype=np.float64))
        with warnings.catch_warnings():
            # Too few residuals: the infinite interval says it, and `message` in words.
            warnings.simplefilter("ignore")
            # A hair less: 1 - 0.9 is below 0.1 in floating point, which would cost a rank.
            bounds = regressor.predict_int(np.zeros(1), confidence=asked - 1e-12)
        low, high = (float(bound) * difficulty for bound in bounds[0])
        return float(prediction) + low, float(prediction) + high

    def message(self, coverage: float | None = None) -> str | None:
        """Say in words why the interval is infinite; None where it is not."""
        asked = self.coverage if coverage is None else check_coverage(coverage)
        needed = smallest_n(asked)
        if len(self.scores) >= needed:
            return None
        return (
            f"an interval of coverage {asked:g} needs {needed} residuals, the model has "
            f"{len(self.scores)}: train on more participants, or ask for less coverage"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return a dictionary of plain numbers and words, for JSON."""
        return {
            "scores": list(self.scores),
            "coverage": self.coverage,
            "per": self.per,
            "normalized": self.normalized,
        }

    def to_json(self) -> str:
        """Return `as_dict` as JSON; numbers keep all digits."""
        return json.dumps(self.as_dict(), allow_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ConformalIntervals:
        """Build from what `as_dict` returned.

        Raises
        ------
        ModelFileError
            The dictionary does not hold valid intervals.
        """
        try:
            per = values["per"]
            if per not in ("clip", "mean"):
                raise ValueError(f"per is {per!r}")
            return cls(
                scores=tuple(float(score) for score in values["scores"]),
                coverage=float(values["coverage"]),
                per=per,
                normalized=bool(values["normalized"]),
            )
        except (KeyError, TypeError, ValueError, FeatureTableError, UsageError) as error:
            raise ModelFileError(
                f"the intervals of the model file are not valid: {error}"
            ) from error


def check_coverage(coverage: float) -> float:
    """Return the coverage.

    Raises
    ------
    UsageError
        It is not strictly between 0 and 1.
    """
    if not 0.0 < coverage < 1.0:
        raise UsageError(f"coverage must lie between 0 and 1, such as 0.9; got {coverage:g}")
    return float(coverage)


def smallest_n(coverage: float) -> int:
    """Return the smallest number of residuals that gives a finite interval.

    The rank ``ceil((n + 1) * coverage)`` must not exceed n, so ``n >= coverage / (1 - coverage)``.
    """
    return int(np.ceil(coverage / (1.0 - coverage) - 1e-9))


def one_residual_a_group(
    residuals: ArrayLike, groups: ArrayLike, *, per: Per = "clip", seed: int = 0
) -> NDArray[np.float64]:
    """Reduce the residuals of each group to one.

    Parameters
    ----------
    residuals
        Truth minus prediction, ``(rows,)``.
    groups
        Person, or person and session, ``(rows,)``; groups must be exchangeable.
    per
        ``clip``: one row of each group, drawn by the seed. It makes an interval valid for a
        single clip of a new person without any further assumption (Dunn, Wasserman, Ramdas,
        J Am Stat Assoc 2023;118:2491, subsampling once). ``mean``: the mean of a group's signed
        residuals, for an interval around the average of all its clips; for a single clip that
        would be too narrow.
    seed
        Of the draw.

    Returns
    -------
    ndarray
        ``(groups,)`` signed residuals, in the order of the sorted groups.

    Raises
    ------
    FeatureTableError
        The lengths differ.
    UsageError
        ``per`` is neither.
    """
    values, labels = np.asarray(residuals, dtype=np.float64), np.asarray(groups)
    if values.ndim != 1 or values.shape != labels.shape:
        raise FeatureTableError("residuals and their groups differ in number")
    if per not in ("clip", "mean"):
        raise UsageError(f"per must be clip or mean, got {per}")
    generator = np.random.default_rng(seed)
    _, inverse = np.unique(labels, return_inverse=True)
    members = [values[inverse == group] for group in range(int(inverse.max(initial=-1)) + 1)]
    if per == "mean":
        return np.array([group.mean() for group in members])
    return np.array([generator.choice(group) for group in members])


def calibrate(
    residuals: ArrayLike,
    groups: ArrayLike,
    *,
    coverage: float = 0.9,
    per: Per = "clip",
    difficulty: ArrayLike | None = None,
    seed: int = 0,
) -> ConformalIntervals:
    """Fit conformal intervals to out-of-fold residuals.

    Parameters
    ----------
    residuals
        Truth minus out-of-fold prediction in g/dL, ``(rows,)``; gaps are left out.
    groups, per, seed
        As in `one_residual_a_group`.
    coverage
        Default coverage of the intervals.
    difficulty
        Positive, one a row; intervals then widen in proportion to it.

    Returns
    -------
    ConformalIntervals

    Raises
    ------
    FeatureTableError
        Nothing is left, or a difficulty is not positive.
    """
    values, labels = np.asarray(residuals, dtype=np.float64), np.asarray(groups)
    if difficulty is not None:
        scale = np.asarray(difficulty, dtype=np.float64)
        if scale.shape != values.shape or not (scale > 0).all():
            raise FeatureTableError("difficulties must be positive, one for each residual")
        values = values / scale
    known = np.isfinite(values)
    kept = one_residual_a_group(values[known], labels[known], per=per, seed=seed)
    return ConformalIntervals(
        scores=tuple(float(score) for score in np.sort(np.abs(kept))),
        coverage=check_coverage(coverage),
        per=per,
        normalized=difficulty is not None,
    )
