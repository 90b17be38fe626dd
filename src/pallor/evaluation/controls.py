"""Control models: what hemoglobin can be told from without looking at the skin.

Where the anemic are recorded in a ward and the healthy in a laboratory, the light, the camera
or the length of the clip gives hemoglobin away, and a model of the face learns that. Models
that see everything but the face must therefore add nothing to sex and age. If one does,
what the models of the face add cannot be ascribed to the face.

An innocent explanation remains: automatic exposure and white balance react to the skin, which
fills much of the picture, and so carry some of its color into the background. A control
that stays at zero proves little where it holds little: ``lacking_technical`` says what a table
does not tell. A further control, the networks on pictures with the face painted over, needs
an extraction of its own, as crops are made of the face alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.errors import FeatureTableError, UsageError
from pallor.evaluation.bootstrap import paired_difference
from pallor.evaluation.metrics import Interval

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

TECHNICAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "duration_s": "length of the clip",
        "fps": "frame rate",
        "face_coverage": "share of the frames in which a face was tracked",
        "frames": "number of frames",
        "width_px": "width of the picture",
        "height_px": "height of the picture",
        "face_size_px": "median interocular distance",
        "face_x": "median position of the face across the picture, 0..1",
        "face_y": "median position of the face down the picture, 0..1",
        "file_size_bytes": "size of the file",
        "bit_rate_kbit_s": "bit rate of the video stream",
        "keyframe_interval_s": "median time between keyframes",
    }
)
"""Facts of the recording that are no property of the skin. Extraction writes the first three;
the others are used where a table has them. Heart rate, signal-to-noise ratio and head motion are
not among them: they come from the person."""

_BACKGROUND: Final = "color.background."
_BACKGROUND_LIGHT: Final = tuple(
    f"pulse.background.{channel}.dc" for channel in ("red", "green", "blue")
)

SEEN: Final = (_BACKGROUND, *_BACKGROUND_LIGHT)
"""How the features that controls see begin: a table needs them whatever models are asked for."""


def background_columns(table: pd.DataFrame) -> tuple[str, ...]:
    """Name the color features of the background; no difference with a region of the face."""
    return tuple(str(name) for name in table.columns if str(name).startswith(_BACKGROUND))


def face_less_columns(table: pd.DataFrame) -> tuple[str, ...]:
    """Name the columns that tell of the surroundings: background, its light, the recording.

    The light of the background over the whole clip (``pulse.background.*.dc``) is among
    them; its amplitudes are not, since they are measured with the pulse of the face.
    """
    import pandas as pd

    more = [
        name
        for name in (*_BACKGROUND_LIGHT, *TECHNICAL)
        if name in table.columns and pd.api.types.is_numeric_dtype(table[name])
    ]
    return (*background_columns(table), *more)


CONTROLS: Mapping[str, Callable[[pd.DataFrame], tuple[str, ...]]] = MappingProxyType(
    {"background": background_columns, "face_less": face_less_columns}
)
"""Controls by name: feature table to the columns that the control sees."""


def lacking_technical(table: pd.DataFrame) -> list[str]:
    """Name the facts of `TECHNICAL` that the table does not hold."""
    return [name for name in TECHNICAL if name not in table.columns]


def _columns(table: pd.DataFrame, name: str) -> tuple[str, ...]:
    if name not in CONTROLS:
        raise UsageError(f"control {name!r} is unknown; choose from {', '.join(CONTROLS)}")
    columns = CONTROLS[name](table)
    if not columns:
        raise FeatureTableError(
            f"the table has no column for the control {name}: extract the modality color"
        )
    return columns


def control_features(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the columns of a control under names that make them a modality of their own.

    Parameters
    ----------
    table
        Feature table.
    name
        A name of `CONTROLS`.

    Returns
    -------
    ``(rows, columns)`` with the table's index; ``color.background.luma.mean`` is called
    ``background.color.background.luma.mean`` in the control ``background``.

    Raises
    ------
    UsageError
        If the control is unknown.
    FeatureTableError
        If the table has no column for it.
    """
    columns = _columns(table, name)
    return table[list(columns)].rename(columns={column: f"{name}.{column}" for column in columns})


def control_columns(table: pd.DataFrame, name: str) -> tuple[str, ...]:
    """Name the features of a control model: sex, age and the columns of the control.

    The model is one over the modalities ``demographics`` and the control's name, with the
    regressor of the model whose incremental R2 it is to be held against.

    Parameters
    ----------
    table, name
        As in `control_features`, which makes all but the first three.

    Raises
    ------
    UsageError, FeatureTableError
        As `control_features`.
    """
    from pallor.models.preprocessing import DEMOGRAPHIC_COLUMNS

    return (*DEMOGRAPHIC_COLUMNS, *(f"{name}.{column}" for column in _columns(table, name)))


@dataclass(frozen=True)
class ControlVerdict:
    """What a control found.

    Attributes
    ----------
    name
        In `CONTROLS`.
    incremental_r2
        R2 of sex, age and the control minus R2 of sex and age, with its 95 % interval.
    """

    name: str
    incremental_r2: Interval

    @property
    def alarm(self) -> bool | None:
        """Whether the whole interval lies above 0; None where there is no interval."""
        return None if not np.isfinite(self.incremental_r2.low) else self.incremental_r2.low > 0

    @property
    def sentence(self) -> str:
        """What may be said, for a report."""
        gain = self.incremental_r2
        if self.alarm is None:
            return f"The control {self.name} cannot be judged: its R2 has no interval."
        numbers = f"incremental R2 {gain.value:.3f} [{gain.low:.3f}, {gain.high:.3f}]"
        if self.alarm:
            return (
                f"Warning: the control {self.name}, which sees no skin, tells hemoglobin beyond"
                f" sex and age ({numbers}). Light, place or camera go with hemoglobin in this"
                " cohort, and what models of the face add cannot be ascribed to the face."
            )
        return (
            f"The control {self.name}, which sees no skin, is not shown to tell hemoglobin"
            f" beyond sex and age ({numbers})."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON."""
        return {
            "name": self.name,
            "incremental_r2": self.incremental_r2.as_dict(),
            "alarm": self.alarm,
            "sentence": self.sentence,
        }


def judge_control(
    name: str, sums: FloatArray, reference: FloatArray, counts: NDArray[np.uint16]
) -> ControlVerdict:
    """Judge a control model by what it adds to sex and age.

    Parameters
    ----------
    name
        In `CONTROLS`.
    sums, reference
        Of the control model and of ``baseline:sex_age`` on the same units, ``(repeats,
        participants, sums)`` of ``participant_sums``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.

    Notes
    -----
    The interval holds the fits fixed, so it lacks the chance that lies in them: of 1000 controls
    of noise (ridge regression, 120 participants, 5 folds) 4 % gave an alarm where the penalty
    was strong, and next to none where it was weak, instead of 2.5 %.
    """
    return ControlVerdict(name, paired_difference("r2", sums, reference, counts))
