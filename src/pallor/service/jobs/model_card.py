"""What a page or an answer says about a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pallor.models.model import Model


def model_card(model: Model, path: Path) -> dict[str, Any]:
    """Return what is to be known about a model, as plain values.

    Parameters
    ----------
    model
        A loaded one.
    path
        Its file; the name without folder and ending names the model.

    Returns
    -------
    dict
        ``name``, ``id``, ``simulated``, ``summary`` (one line), ``modalities``, ``regressor``,
        ``input_kind``, ``coverage``, ``created``, ``pallor_version``, ``metrics`` (its own
        cross-validation beside the baselines), ``cohort``, ``notes``.
    """
    metadata = model.metadata
    return {
        "name": path.stem,
        "id": model.model_id,
        "simulated": model.simulated,
        "summary": model.summary(),
        "modalities": list(model.modalities),
        **{
            name: metadata.get(name)
            for name in (
                "regressor",
                "input_kind",
                "coverage",
                "created",
                "pallor_version",
                "metrics",
                "cohort",
                "notes",
            )
        },
    }
