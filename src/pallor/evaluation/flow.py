"""Who was read, who is scored, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.errors import FeatureTableError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Flow:
    """Rows that are scored, and the account of the rest.

    Attributes
    ----------
    scored
        ``(rows,)`` bool.
    account
        ``{"participants": {"read", "scored"}, "clips": {"read", "scored"}, "left_out":
        [{"reason", "participants", "clips"}, ...]}``. Clips add up: read = scored + those
        left out. A participant is left out where none of their clips is scored, and
        counts under the first reason that applies, so participants add up as well.
    """

    scored: NDArray[np.bool_]
    account: dict[str, Any]


def participants_flow(table: pd.DataFrame, reasons: dict[str, NDArray[np.bool_]]) -> Flow:
    """Leave rows out, each for the first reason that applies to it.

    Parameters
    ----------
    table
        One row a clip. Clips that never became a row are taken from
        ``attrs["extraction"]["failures"]``, where ``load_features`` keeps them, so that
        nobody gets lost between the cohort and the scores.
    reasons
        For each reason the rows that it applies to, ``(rows,)`` bool.

    Raises
    ------
    FeatureTableError
        If no row is left.
    """
    person = table["participant_id"].astype(str).to_numpy(dtype=object)
    scored = np.ones(len(table), dtype=bool)
    clips_of: dict[str, list[str]] = _failed_extractions(table)
    for reason, applies in reasons.items():
        clips_of.setdefault(reason, []).extend(person[scored & applies])
        scored &= ~applies
    if not scored.any():
        raise FeatureTableError(
            "no clip can be scored: "
            + "; ".join(f"{len(people)} clips: {reason}" for reason, people in clips_of.items())
        )
    kept = set(person[scored])
    left_out, gone = [], set(kept)
    for reason, people in clips_of.items():
        if people:
            new = set(people) - gone
            gone |= new
            left_out.append({"reason": reason, "participants": len(new), "clips": len(people)})
    read = int(scored.sum()) + sum(len(people) for people in clips_of.values())
    account = {
        "participants": {"read": len(gone), "scored": len(kept)},
        "clips": {"read": read, "scored": int(scored.sum())},
        "left_out": left_out,
    }
    return Flow(scored, account)


def _failed_extractions(table: pd.DataFrame) -> dict[str, list[str]]:
    """List the participants of the clips that gave no features, by reason."""
    settings = table.attrs.get("extraction")
    failures = settings.get("failures") if isinstance(settings, dict) else None
    found: dict[str, list[str]] = {}
    for failure in failures if isinstance(failures, list) else []:
        reason = f"no features extracted ({failure.get('code', 'unknown')})"
        found.setdefault(reason, []).append(str(failure.get("participant_id")))
    return dict(sorted(found.items()))
