"""What else than blood might explain the scores: the setting, chance, one lucky seed."""

from __future__ import annotations

from typing import Any

from pallor.evaluation.baselines import REFERENCE
from pallor.evaluation.controls import judge_control
from pallor.evaluation.groupings import GROUPINGS, labels_of
from pallor.evaluation.permutation_test import permutation_test
from pallor.evaluation.prior_work import reported
from pallor.evaluation.reproduction import REPRODUCED, placement
from pallor.evaluation.request import Request
from pallor.evaluation.study import Study


def doubts(study: Study, request: Request) -> dict[str, Any]:
    """Hold the scores against what should score nothing.

    Parameters
    ----------
    study
        Out-of-fold predictions of all models, the controls among them.
    request
        What was asked for.

    Returns
    -------
    dict
        ``controls``, one entry each; ``permutation_within_sex``, None where sex and age are not
        known or a repeat does not test everybody; ``reproduction``, where the figures of the
        paper fall among those of the seeds, None but under ``holdout``.
    """
    return {
        "controls": [
            judge_control(
                name, study.sums[spec.name], study.sums[REFERENCE], study.counts
            ).as_dict()
            for name, spec in request.controls.items()
        ],
        "permutation_within_sex": _permuted(study, request),
        "reproduction": _reproduction(study, request),
    }


def _permuted(study: Study, request: Request) -> dict[str, Any] | None:
    if request.incremental is None or not study.complete:
        return None
    units = study.units
    return permutation_test(
        units.measured,
        study.predicted[request.incremental.name],
        units.participant,
        labels_of(GROUPINGS["sex"], units.frame),
        reference=study.predicted[REFERENCE],
        seed=request.seed,
    ).as_dict()


def _reproduction(study: Study, request: Request) -> list[dict[str, Any]] | None:
    """Where the paper's figures fall among those of the seeds; None but under ``holdout``."""
    if study.plan.protocol != "holdout" or request.headline is None:
        return None
    models = {"gunes2026_stacking": request.headline.name}
    models["gunes2026_resnet152_xgboost"] = "resnet152:xgboost"
    found = []
    for key in REPRODUCED:
        name = models[key]
        if name in study.predicted:
            seeds = study.by_seed(name)
            found.append(
                {"model": name, **placement(reported(key), seeds).as_dict(), "by_seed": seeds}
            )
    return found
