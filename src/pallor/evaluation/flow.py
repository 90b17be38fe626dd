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
        One row a clip.
    reasons
        For each reason the rows that it applies to, ``(rows,)`` bool.

    Raises
    ------
    FeatureTableError
        If no row is left.
    """
    person = table["participant_id"].astype(str).to_numpy(dtype=object)
    scored = np.ones(len(table), dtype=bool)
    taken: dict[str, NDArray[np.bool_]] = {}
    for reason, applies in reasons.items():
        taken[reason] = scored & applies
        scored &= ~applies
    if not scored.any():
        raise FeatureTableError(
            "no clip can be scored: "
            + "; ".join(f"{int(rows.sum())} clips: {reason}" for reason, rows in taken.items())
        )
    kept = set(person[scored])
    left_out, gone = [], set(kept)
    for reason, rows in taken.items():
        if rows.any():
            new = set(person[rows]) - gone
            gone |= new
            left_out.append({"reason": reason, "participants": len(new), "clips": int(rows.sum())})
    account = {
        "participants": {"read": len(set(person)), "scored": len(kept)},
        "clips": {"read": len(table), "scored": int(scored.sum())},
        "left_out": left_out,
    }
    return Flow(scored, account)
