"""A hemoglobin as it is shown beside the WHO groups."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Final

from pallor.anemia.classification import below

TENTH: Final = Decimal("0.1")
HUNDREDTH: Final = Decimal("0.01")


def shown_g_dl(hemoglobin_g_dl: float, limits_g_dl: Iterable[float]) -> Decimal:
    """Round to the tenth that an estimate deserves at most, or a digit less coarsely.

    Parameters
    ----------
    hemoglobin_g_dl
        An estimate or an end of its interval, g/dL.
    limits_g_dl
        Where the person's groups begin, whole tenths of g/dL; none where they are not known.

    Returns
    -------
    The nearest tenth. Where that would reach a limit that the value lies below, which would show
    it in a group that it is not in, the hundredth below: 11.96 at the limit 12.0.
    """
    exact = Decimal(repr(float(hemoglobin_g_dl)))
    tenth = exact.quantize(TENTH, ROUND_HALF_EVEN)
    moved = any(
        below(hemoglobin_g_dl, limit) and not below(float(tenth), limit) for limit in limits_g_dl
    )
    return exact.quantize(HUNDREDTH, ROUND_FLOOR) if moved else tenth
