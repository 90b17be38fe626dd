"""Why something is not in this report: a reason in words wherever a number is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

NO_MAIN_MODEL: Final = (
    "No model of all modalities by stacking was scored, so there is no main result."
)
_HOLDOUT: Final = (
    "Under hold-out each seed tests a fifth of the participants only, so this is not computed:"
    " the protocol nested gives it."
)
_MISSING: Final = {
    "incremental_r2": "It needs the sex and the age of the participants and stacking.",
    "coverage": "The models keep no residuals within their training parts, so they have no"
    " intervals.",
    "quality": "No clip has a signal-to-noise ratio of the pulse: stills and very short clips have"
    " none.",
    "controls": "They need the sex and the age of the participants, stacking, and features of the"
    " background or facts of the recording.",
    "permutation_within_sex": "It needs the sex and the age of the participants and stacking.",
    "explanation": "The models of this run were not explained.",
}


def reason(metrics: Mapping[str, Any], key: str) -> str:
    """Say why an entry of the metrics is None or empty; empty text where it is there.

    Parameters
    ----------
    metrics
        As in ``metrics.json``.
    key
        Of the entry.
    """
    if metrics.get(key):
        return ""
    if metrics["headline"] is None and key not in ("incremental_r2", "controls"):
        return NO_MAIN_MODEL
    if metrics["protocol"] == "holdout" and key not in ("incremental_r2", "controls"):
        return _HOLDOUT
    return _MISSING.get(key, "It could not be computed from this table.")
