"""Whether fusing helps: the model of all modalities against that of each, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pallor.evaluation.bootstrap import paired_difference
from pallor.evaluation.study import Study
from pallor.evaluation.task import Spec


def fused_against_singles(
    study: Study, specs: Sequence[Spec], modalities: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Compare, regressor by regressor, all modalities together with every single one.

    Every single modality is listed, not the one that scored best: the best of several is
    good by chance, too, and a comparison with it alone would be biased against fusing.

    Parameters
    ----------
    study
        Out-of-fold predictions of the models.
    specs
        The models of the table.
    modalities
        All that are evaluated.

    Returns
    -------
    One entry a comparison: ``model`` (fused), ``against`` (single), ``regressor``, and ``mae``
    (g/dL, negative where fusing helps) and ``r2`` (positive where it helps), fused minus
    single as ``{value, low, high}``, paired over the same resamples of the participants.
    Empty where there is one modality only.
    """
    if len(modalities) < 2:
        return []
    return [
        {
            "model": fused.name,
            "against": single.name,
            "regressor": fused.regressor,
            **{
                score: paired_difference(
                    score, study.sums[fused.name], study.sums[single.name], study.counts
                ).as_dict()
                for score in ("mae", "r2")
            },
        }
        for fused in specs
        if fused.modalities == modalities
        for single in specs
        if single.regressor == fused.regressor and len(single.modalities) == 1
    ]
