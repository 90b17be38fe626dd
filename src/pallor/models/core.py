"""The few columns of a modality in which physics expects hemoglobin to show.

A modality has hundreds of columns, a cohort often fewer people. One learner (``chromophore``)
therefore sees these columns alone, chosen before any data by what is known of skin:

- Color: in the logarithm absorbers add up (Beer and Lambert), so a mean of ln(R/G) and of
  ln(G/B) over a region is a weighted sum of blood, melanin and light, and regions of unlike
  weights (lips, lids, sclera, cheeks) tell these apart.
- Pulse: the relative amplitude in each channel, which grows with the arterial blood, and the
  heart rate, which rises in anemia.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

CORE: Final[dict[str, str]] = {
    "color": r"color\.(?!background\.)(?!\w*_minus_)\w+\.log_(rg|gb)\.mean",
    "pulse": r"pulse\.face\.((red|green|blue)\.ac_dc|heart_rate\.value)",
}
"""Modality to a regular expression of its core columns; a modality without one has no core."""


def core_columns(modality: str, columns: Sequence[str]) -> NDArray[np.intp]:
    """Return the positions of a modality's core columns, ``(k,)``; empty where it has none."""
    pattern = CORE.get(modality)
    if pattern is None:
        return np.zeros(0, dtype=np.intp)
    chosen = [i for i, name in enumerate(columns) if re.fullmatch(pattern, name)]
    return np.asarray(chosen, dtype=np.intp)
