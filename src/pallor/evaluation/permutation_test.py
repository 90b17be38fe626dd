"""Permutation test within sex: does a model know more of hemoglobin than the sex of a face.

The measured values are exchanged among participants of the same sex, which breaks every link
between face and hemoglobin but that through sex, and the score is computed again. Shuffling
across sexes would not do: a model that sees nothing but sex would pass.

What is tested. The hypothesis is that, given sex, measured hemoglobin is exchangeable with
respect to the features. Refitting everything for each permutation tests it exactly
(`refitted_permutation_test`), at the price of as many evaluations. `permutation_test` holds the
out-of-fold predictions fixed instead, which is cheap but by itself too easily significant:
i is predicted from the label of j in one fold and j from that of i in another, so by chance
both agree or both disagree, while an exchange draws them apart. With ``y' H y`` for the
statistic of a linear smoother, H without blocks on its diagonal, the variance under the
hypothesis is up to twice that over exchanges of one of the two y (exactly twice for a
symmetric H). The null distribution of cross-fitted predictions is therefore widened by the
square root of 2 about its mean. On noise (120 participants, 5 folds, 1000 cohorts for
linear models and nearest neighbor, 300 for trees) the widths that were needed were 1.4 for ridge
regression, 1.3 for the best of 50 features, 1.2 for random forest, boosted trees and nearest
neighbor; p below 0.05 came in 8 to 10 % of the cohorts without and in 2 to 5 % with it.

What is not tested. Exchangeability within sex includes age: where hemoglobin changes with age, a
model that sees age alone is no chance finding here. Give strata of sex and age for that. The
light, the camera or the site may go with hemoglobin as well, and the test cannot tell them
from blood; that is for the control models (``pallor.evaluation.controls``).

A small p beside an incremental R2 below 0 is no contradiction: the predictions know something
of hemoglobin within sex, and yet their errors cost more than that is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.exchange import exchange_groups, permute
from pallor.evaluation.groupings import Labels
from pallor.evaluation.resampling import require_finite

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

PERMUTATIONS: Final = 1000
WIDENING: Final = float(np.sqrt(2.0))
"""Of the null distribution of cross-fitted predictions; see above."""
_CHUNK: Final = 200
_TIE: Final = 1e-9
"""Statistics that differ by less are equal: the same exchange may be summed in another order."""


@dataclass(frozen=True)
class Fixed:
    """What stays as it is while measured values are exchanged.

    Attributes
    ----------
    predicted
        Out of fold, g/dL, ``(repeats, units)``.
    reference
        Likewise, of the reference (``baseline:sex_age``), or None.
    stratum
        Number of each unit's stratum, ``(units,)``.
    """

    predicted: FloatArray
    reference: FloatArray | None
    stratum: IntArray


Statistic = Callable[[FloatArray, Fixed], FloatArray]
"""Measured values ``(m, units)`` to ``(m,)``; large where the model knows hemoglobin."""


def incremental_r2(measured: FloatArray, fixed: Fixed) -> FloatArray:
    """R2 of the model minus that of the reference, mean over repeats, ``(m,)``."""
    if fixed.reference is None:
        raise ValueError("the incremental R2 needs the predictions of a reference")
    center = measured - measured.mean(axis=1, keepdims=True)
    total = np.square(center).sum(axis=1)
    gains = [
        np.square(measured - other).sum(axis=1) - np.square(measured - own).sum(axis=1)
        for own, other in zip(fixed.predicted, fixed.reference, strict=True)
    ]
    return np.asarray(np.mean(gains, axis=0) / np.where(total > 0, total, np.nan))


def partial_correlation(measured: FloatArray, fixed: Fixed) -> FloatArray:
    """Correlation of predicted and measured about the means of their strata, ``(m,)``.

    Mean over repeats: the partial correlation given the strata as a factor.
    """
    y = _about_strata(measured, fixed.stratum)
    p = _about_strata(fixed.predicted, fixed.stratum)
    norms = np.sqrt(np.square(y).sum(axis=1)[:, None] * np.square(p).sum(axis=1))
    return np.asarray(np.mean((y @ p.T) / np.where(norms > 0, norms, np.nan), axis=1))


def _about_strata(values: FloatArray, stratum: IntArray) -> FloatArray:
    _, number = np.unique(stratum, return_inverse=True)
    member = (number[:, None] == np.arange(number.max(initial=-1) + 1)).astype(np.float64)
    means = values @ member / member.sum(axis=0)
    return np.asarray(values - means[:, number])


STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {"incremental_r2": incremental_r2, "partial_correlation": partial_correlation}
)
"""Statistics by name."""


@dataclass(frozen=True)
class PermutationTest:
    """Outcome of the test.

    Attributes
    ----------
    statistic
        Name in `STATISTICS`.
    observed
        Its value.
    null_mean, null_high
        Mean and 95 % quantile of the statistic under the hypothesis.
    p_value
        One-sided, ``(1 + b) / (1 + n)`` where b of n permutations reach the observed value: the
        observed order is one of those possible, so p is never 0 (Phipson and Smyth, Stat Appl
        Genet Mol Biol 2010;9:39). NaN where nobody can be exchanged or the statistic is undefined.
    permutations
        n.
    participants
        Of the cohort.
    refitted
        Whether everything was fitted again for every permutation.
    exchanged
        Participants who had somebody to exchange with. The others kept their values: those of
        unknown sex, and those who are alone in their stratum with their number of units.
    """

    statistic: str
    observed: float
    null_mean: float
    null_high: float
    p_value: float
    permutations: int
    participants: int
    exchanged: int
    refitted: bool

    @property
    def sentence(self) -> str:
        """What may be said, for a report."""
        if not np.isfinite(self.p_value):
            return "No permutation test within sex: nobody can be exchanged with anybody."
        kept = self.participants - self.exchanged
        return (
            f"Permutation within sex: {self.statistic} {self.observed:.3f} against a mean of"
            f" {self.null_mean:.3f} over {self.permutations} permutations"
            f" ({'refitted' if self.refitted else 'predictions fixed'}), p ="
            f" {self.p_value:.2g} (one-sided)"
            + (f"; {kept} of {self.participants} participants kept their values." if kept else ".")
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON."""
        return {**asdict(self), "sentence": self.sentence}


def permutation_test(
    measured: FloatArray,
    predicted: FloatArray,
    participant: IntArray,
    strata: Labels,
    *,
    reference: FloatArray | None = None,
    statistic: str | None = None,
    cross_fitted: bool = True,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> PermutationTest:
    """Test whether predictions go with hemoglobin within strata.

    Parameters
    ----------
    measured
        Hemoglobin, g/dL, ``(units,)``.
    predicted
        Out of fold, g/dL, ``(repeats, units)``.
    participant
        Index of each unit's participant, ``(units,)``.
    strata
        Sex of each unit (``labels_of`` the grouping ``sex``), or sex and age band, ``(units,)``;
        ``unknown`` where not known.
    reference
        Predictions of sex and age alone on the same units, g/dL, ``(repeats, units)``.
    statistic
        A name of `STATISTICS`. Default: ``incremental_r2`` with a reference, else
        ``partial_correlation``.
    cross_fitted
        Whether the predictions were learned from the same participants in other folds; the
        null distribution is then widened. False for a model from elsewhere, for which the
        test is exact as it is.
    permutations
        1 or more; p cannot be below ``1 / (1 + permutations)``.
    seed
        Of the permutations.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not a number, the statistic is unknown or lacks its
        reference, or there are no permutations.
    """
    name = statistic or ("partial_correlation" if reference is None else "incremental_r2")
    if name not in STATISTICS or permutations < 1:
        raise ValueError(
            f"statistic {name!r} must be one of {', '.join(STATISTICS)}, and permutations"
            f" {permutations} at least 1"
        )
    wrong = reference is not None and reference.shape != predicted.shape
    if wrong or not predicted.shape[1:] == measured.shape == participant.shape == strata.shape:
        raise ValueError(
            f"measured {measured.shape}, predicted {predicted.shape}, participant"
            f" {participant.shape}, strata {strata.shape} and the reference do not fit"
        )
    require_finite(measured, predicted, *(() if reference is None else (reference,)))
    fixed = Fixed(predicted, reference, np.unique(strata.astype(str), return_inverse=True)[1])
    groups = exchange_groups(participant, strata)
    observed = float(STATISTICS[name](measured[None], fixed)[0])
    rng = np.random.default_rng(seed)
    sizes = [_CHUNK] * (permutations // _CHUNK) + [permutations % _CHUNK]
    null = np.concatenate(
        [STATISTICS[name](permute(measured, groups, rng, size), fixed) for size in sizes if size]
    )
    if cross_fitted:
        null = null.mean() + WIDENING * (null - null.mean())
    return _outcome(name, observed, null, participant, groups, refitted=False)


def refitted_permutation_test(
    measured: FloatArray,
    participant: IntArray,
    strata: Labels,
    score: Callable[[FloatArray], float],
    *,
    name: str = "incremental_r2",
    permutations: int = 99,
    seed: int = 0,
) -> PermutationTest:
    """Test whether a whole procedure finds more than it finds in noise within strata.

    Parameters
    ----------
    measured, participant, strata, seed
        As in `permutation_test`.
    score
        Measured hemoglobin of the units, ``(units,)``, to the statistic: fits all folds on
        these values and scores the predictions against them. Called once with the true values
        and once a permutation.
    name
        Of the statistic.
    permutations
        1 or more; 99 let p come down to 0.01.

    Raises
    ------
    ValueError
        If there are no permutations.
    """
    if permutations < 1:
        raise ValueError(f"permutations {permutations} must be at least 1")
    groups = exchange_groups(participant, strata)
    rows = permute(measured, groups, np.random.default_rng(seed), permutations)
    null = np.array([score(row) for row in rows], dtype=np.float64)
    return _outcome(name, float(score(measured)), null, participant, groups, refitted=True)


def _outcome(
    name: str,
    observed: float,
    null: FloatArray,
    participant: IntArray,
    groups: list[IntArray],
    *,
    refitted: bool,
) -> PermutationTest:
    reached = int(np.count_nonzero(null >= observed - _TIE))
    possible = bool(groups) and bool(np.isfinite(observed) and np.isfinite(null).all())
    return PermutationTest(
        statistic=name,
        observed=observed,
        null_mean=float(null.mean()),
        null_high=float(np.quantile(null, 0.95)),
        p_value=(1 + reached) / (1 + len(null)) if possible else float("nan"),
        permutations=len(null),
        participants=len(np.unique(participant)),
        exchanged=sum(len(group) for group in groups),
        refitted=refitted,
    )
