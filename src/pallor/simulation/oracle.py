"""The ideal observer: what hemoglobin the true colors of simulated faces give away.

It sees no video and no noise, but the exact color that the camera would make of each tissue,
its white balance error included. No pipeline that works on the clips can know more of color;
how much of the oracle's R² it reaches is how good it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.draw import Subject, draw_subject
from pallor.simulation.rendering import albedo, pulse_response
from pallor.simulation.settings import Settings
from pallor.simulation.transfer import decode_srgb

if TYPE_CHECKING:
    from sklearn.model_selection import GridSearchCV

FloatArray = NDArray[np.float64]

ALPHAS = tuple(10.0**power for power in range(-4, 4))
"""Penalties from which each training part chooses."""

INNER_FOLDS = 5

DARKEST = float(decode_srgb(np.array(0.5 / 255.0)))
"""Linear value below which 8-bit sRGB stores 0; colors out of its gamut end here."""


def sex_signal(subject: Subject) -> list[float]:
    """Return 1 for men, 0 for women."""
    return [float(subject.person.sex == "male")]


def color_signals(subject: Subject) -> list[float]:
    """ln(R/G) and ln(G/B) of each tissue as the camera sees it, ``(2 tissues,)``."""
    matrix, signals = subject.camera.transform(), []
    for color in albedo(subject.person, subject.camera).values():
        red, green, blue = np.log(np.maximum(matrix @ color, DARKEST))
        signals += [float(red - green), float(green - blue)]
    return signals


def pulse_signals(subject: Subject) -> list[float]:
    """Heart rate and ln(AC/DC) of R, G, B of the skin as the camera sees it, ``(4,)``."""
    matrix, person = subject.camera.transform(), subject.person
    rest = albedo(person, subject.camera)["skin"]
    change = rest * pulse_response(person, subject.camera)["skin"] * person.volume_pulse
    relative = np.log(np.abs(matrix @ change) / np.maximum(matrix @ rest, DARKEST))
    return [person.heart_rate_bpm, *(float(value) for value in relative)]


SIGNALS: Mapping[str, Callable[[Subject], list[float]]] = MappingProxyType(
    {"sex": sex_signal, "color": color_signals, "pulse": pulse_signals}
)
"""What an observer may see, by name."""

OBSERVERS: tuple[tuple[str, ...], ...] = (
    ("sex",),
    ("color",),
    ("color", "sex"),
    ("color", "pulse", "sex"),
)
"""The observers that are reported; `ORACLE` is what a pipeline is measured against."""

ORACLE = "color+sex"


@dataclass(frozen=True)
class Observations:
    """What there is to see of the clips of a cohort, and what it means.

    Attributes
    ----------
    signals
        For each name of `SIGNALS` a row a clip, ``(clips, signals)``.
    hemoglobin_g_dl
        Labels, ``(clips,)``.
    participant
        Number of each clip's participant, ``(clips,)``.
    """

    signals: Mapping[str, FloatArray]
    hemoglobin_g_dl: FloatArray
    participant: NDArray[np.intp]

    def columns(self, names: Sequence[str]) -> FloatArray:
        """Return what an observer sees, ``(clips, signals)``."""
        return np.hstack([self.signals[name] for name in names])


def observe(
    settings: Settings,
    clips: Sequence[tuple[int, int]],
    progress: Callable[[int, int, str], None] | None = None,
) -> Observations:
    """Look at simulated people without rendering them.

    Parameters
    ----------
    settings
        What determines the clips.
    clips
        Number of the participant and of the session of each.
    progress
        Called with ``(done, total, "")``.
    """
    rows: dict[str, list[list[float]]] = {name: [] for name in SIGNALS}
    labels = []
    for done, (index, session) in enumerate(clips, start=1):
        subject = draw_subject(settings, index, session)
        for name, signal in SIGNALS.items():
            rows[name].append(signal(subject))
        labels.append(subject.person.hemoglobin_g_dl)
        if progress is not None:
            progress(done, len(clips), "")
    return Observations(
        {name: np.array(values) for name, values in rows.items()},
        np.array(labels),
        np.array([index for index, _ in clips], dtype=np.intp),
    )


def _regression() -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    return make_pipeline(
        StandardScaler(),
        PolynomialFeatures(include_bias=False),
        StandardScaler(),
        Ridge(),
    )


def fit_observer(
    seen: FloatArray, outcome: FloatArray, participant: NDArray[np.intp]
) -> GridSearchCV:
    """Teach an observer: ridge regression on the signals, or on them and their products.

    Which of the two, and the penalty, is chosen by cross-validation inside the data given,
    participants kept together.

    Parameters
    ----------
    seen
        ``(clips, signals)``.
    outcome
        Hemoglobin, g/dL, ``(clips,)``.
    participant
        ``(clips,)``; at least two different ones.

    Returns
    -------
    sklearn.model_selection.GridSearchCV
        Fitted; its ``predict`` gives g/dL.
    """
    from sklearn.model_selection import GridSearchCV, GroupKFold

    folds = GroupKFold(min(INNER_FOLDS, len(np.unique(participant))))
    search = GridSearchCV(
        _regression(),
        {"polynomialfeatures__degree": [1, 2], "ridge__alpha": list(ALPHAS)},
        scoring="neg_mean_squared_error",
        cv=folds,
    )
    return search.fit(seen, outcome, groups=participant)


def closed_form_r2(blood_cv: float, hemoglobin_cv: float, coupling: float = 0.0) -> float:
    """Share of the variance of hemoglobin that one patch of tissue can show at best.

    Its color tells the product of blood volume f and hemoglobin. With f varying on its own by
    CV_f, and with hemoglobin to the power c (vasoconstriction in anemia), the best estimate of
    ln(hemoglobin) from ln(f hemoglobin) reaches

    ``R² = ((1 + c) CV_Hb)² / (((1 + c) CV_Hb)² + CV_f²)``,

    for c = 0 CV_Hb² / (CV_Hb² + CV_f²). Several tissues whose blood varies separately, or a
    sex that is known, can give more; melanin and white balance give less.

    Parameters
    ----------
    blood_cv, hemoglobin_cv
        Coefficients of variation.
    coupling
        c.
    """
    signal = ((1.0 + coupling) * hemoglobin_cv) ** 2
    return signal / (signal + blood_cv**2)
