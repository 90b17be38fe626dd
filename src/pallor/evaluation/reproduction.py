"""Where published figures fall among those of many random hold-out splits.

A paper that tests on one hold-out part reports one draw. Drawing the split again with many
seeds shows what the same models reach by luck of the split alone, and where the published
figures lie among that. Whether they lie inside says that they are compatible with the
reproduction, not that they are right; lying outside says that data, split or method differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pallor.evaluation.metrics import Interval
from pallor.evaluation.prior_work import PriorWork

LARGER_IS_BETTER: Final[Mapping[str, bool]] = MappingProxyType(
    {"mae": False, "r": True, "r2": True}
)
"""The scores that are compared, named as in the evaluation."""
REPRODUCED: Final = ("gunes2026_stacking", "gunes2026_resnet152_xgboost")
"""Keys of the reported results that this package sets out to reproduce."""


@dataclass(frozen=True)
class FigurePlacement:
    """One published figure among those of the seeds.

    Attributes
    ----------
    score
        ``mae`` (g/dL), ``r`` or ``r2``.
    published
        The figure.
    seeds
        In how many seeds the score is defined; the rest leave these numbers.
    median, low, high
        Of the seeds: median, 2.5 % and 97.5 % quantile, NaN where no seed is defined.
    percentile
        Share of the seeds below the published figure, ties counting half, 0..100: 50 in the
        middle. For ``mae`` a low percentile, for the others a high one means that the
        published figure is better than most.
    inside
        Whether it lies from ``low`` to ``high``.
    """

    score: str
    published: float
    seeds: int
    median: float
    low: float
    high: float
    percentile: float
    inside: bool


@dataclass(frozen=True)
class Placement:
    """The published figures of one result among those of the seeds.

    Attributes
    ----------
    key, study
        Which result.
    seeds
        How many there were.
    figures
        One entry for each figure that is published.
    joint_share
        Share of the seeds that are at least as good in all of these figures at once, with
        the exact 95 % binomial interval for that many seeds. Undefined is not as good.
    """

    key: str
    study: str
    seeds: int
    figures: tuple[FigurePlacement, ...]
    joint_share: Interval

    def as_dict(self) -> dict[str, Any]:
        """Everything by its name, ``figures`` as a list."""
        return {
            **vars(self),
            "figures": [asdict(figure) for figure in self.figures],
            "joint_share": self.joint_share.as_dict(),
        }


def _place(score: str, published: float, values: NDArray[np.float64]) -> FigurePlacement:
    from scipy.stats import percentileofscore

    defined = values[np.isfinite(values)]
    if not defined.size:
        nan = float("nan")
        return FigurePlacement(score, published, 0, nan, nan, nan, nan, False)
    low, median, high = (float(x) for x in np.quantile(defined, (0.025, 0.5, 0.975)))
    return FigurePlacement(
        score=score,
        published=published,
        seeds=int(defined.size),
        median=median,
        low=low,
        high=high,
        percentile=float(percentileofscore(defined, published, kind="mean")),
        inside=low <= published <= high,
    )


def placement(work: PriorWork, seeds: Mapping[str, ArrayLike]) -> Placement:
    """Find the published figures among those of many seeds.

    Parameters
    ----------
    work
        The reported result; those of its MAE, r and R2 that are published are compared.
    seeds
        For each of these names the score of every seed, ``(seeds,)``, in one order of seeds.

    Returns
    -------
    Percentile and 95 % range of each figure, and how often a seed is at least as good in all.

    Raises
    ------
    ValueError
        If a score is missing, there are no seeds, or their numbers differ.

    Notes
    -----
    The interval of the joint share is that of Clopper and Pearson, Biometrika
    1934;26:404-413. It describes the number of seeds, not of participants: all splits are of
    one cohort, and another cohort would move every seed together.
    """
    from scipy.stats import binomtest

    published = {
        score: value for score in LARGER_IS_BETTER if (value := getattr(work, score)) is not None
    }
    missing = [score for score in published if score not in seeds]
    if missing or not published:
        raise ValueError(f"no score of the seeds to compare: {', '.join(missing) or 'none'}")
    values = {score: np.asarray(seeds[score], dtype=np.float64) for score in published}
    shapes = {array.shape for array in values.values()}
    count = next(iter(values.values())).size
    if len(shapes) != 1 or count == 0 or values[next(iter(values))].ndim != 1:
        raise ValueError(f"one vector of seeds a score is needed, all of one length: {shapes}")
    good = np.ones(count, dtype=np.bool_)
    for score, figure in published.items():
        array = values[score]
        good &= array >= figure if LARGER_IS_BETTER[score] else array <= figure
    ends = binomtest(int(good.sum()), count).proportion_ci(method="exact")
    return Placement(
        key=work.key,
        study=work.study,
        seeds=count,
        figures=tuple(_place(score, figure, values[score]) for score, figure in published.items()),
        joint_share=Interval(float(good.mean()), float(ends.low), float(ends.high)),
    )
