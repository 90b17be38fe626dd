"""A clip and a model to an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pallor.errors import ClipError, NoIntervalError, OutsideModelError, UsageError
from pallor.models.applicability import check_applicability

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pallor.models.model import Model
    from pallor.video.clip import ClipLimits
    from pallor.video.recording import Recording

NOTICE = (
    "Research use only. Not a medical device; not for diagnosis, treatment or transfusion "
    "decisions. Confirm by venous blood count."
)


@dataclass(frozen=True)
class Estimate:
    """What a model says of a clip.

    Attributes
    ----------
    clip
        Path as given.
    usable
        Whether there is an estimate.
    reasons
        Why there is none; empty when usable.
    warnings
        What is worth knowing beside the estimate.
    hemoglobin_g_dl
        Estimated hemoglobin concentration in g/dL; None when not usable.
    interval_low_g_dl, interval_high_g_dl
        Bounds of the conformal prediction interval in g/dL; None where the model has too few
        residuals for the coverage, and a warning ``no_interval`` says so.
    coverage
        Share of people like those trained on whose true value lies in such an interval.
    model
        The model's id.
    simulated
        True if the model was trained on simulated clips or the clip is one.
    input_kind, duration_s, face_coverage, heart_rate_bpm, snr_db
        Of the clip; None where unknown.
    """

    clip: str
    usable: bool
    reasons: tuple[ClipError, ...]
    warnings: tuple[ClipError, ...]
    hemoglobin_g_dl: float | None
    interval_low_g_dl: float | None
    interval_high_g_dl: float | None
    coverage: float | None
    model: str
    simulated: bool
    input_kind: str | None = None
    duration_s: float | None = None
    face_coverage: float | None = None
    heart_rate_bpm: float | None = None
    snr_db: float | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the estimate as one JSON object."""
        values: dict[str, object] = {
            name: getattr(self, name) for name in self.__dataclass_fields__
        }
        values["reasons"] = [reason.as_dict() for reason in self.reasons]
        values["warnings"] = [warning.as_dict() for warning in self.warnings]
        values["notice"] = NOTICE
        return values

    def sentence(self) -> str:
        """Return the estimate in words; empty when not usable."""
        if self.hemoglobin_g_dl is None:
            return ""
        text = f"hemoglobin {self.hemoglobin_g_dl:.1f} g/dL"
        if self.interval_low_g_dl is not None and self.interval_high_g_dl is not None:
            text += (
                f" ({self.coverage:.0%} interval {self.interval_low_g_dl:.1f} to "
                f"{self.interval_high_g_dl:.1f})"
            )
        return text + "."


def predict(
    model: Model,
    clip: str | Path,
    *,
    sex: str | None = None,
    age_years: float | None = None,
    coverage: float | None = None,
    limits: ClipLimits | None = None,
    face_model: str | Path | None = None,
    precision: str | None = None,
    backbone_files: Mapping[str, str] | None = None,
) -> Estimate:
    """Estimate the hemoglobin concentration from a clip.

    Parameters
    ----------
    model
        A trained model.
    clip
        Path of a video or still, of the kind that the model was trained on.
    sex
        ``female`` or ``male``, where known; a model trained with demographics needs it.
    age_years
        Age in years, where known; likewise.
    coverage
        Of the interval, between 0 and 1; the model's own by default.
    limits
        Largest size and length accepted.
    face_model
        Path of the landmark model file; searched for when not given.
    precision
        Of the networks; the model's own by default, and another is refused.
    backbone_files
        Modality to the file of its network, where a file of the user's own was extracted
        with.

    Returns
    -------
    Estimate
        ``usable`` is False, with reasons and without a number, where the clip or the person
        lies outside what the model can serve.

    Raises
    ------
    UsageError
        If ``sex`` is another word, or the model needs sex or age and they are not given.
    WeightsError
        If the weights of a network are absent, or others than the model was trained with.
    """
    return predict_recorded(
        model,
        clip,
        sex=sex,
        age_years=age_years,
        coverage=coverage,
        limits=limits,
        face_model=face_model,
        precision=precision,
        backbone_files=backbone_files,
    )[0]


def predict_recorded(
    model: Model,
    clip: str | Path,
    *,
    sex: str | None = None,
    age_years: float | None = None,
    coverage: float | None = None,
    limits: ClipLimits | None = None,
    face_model: str | Path | None = None,
    precision: str | None = None,
    backbone_files: Mapping[str, str] | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[Estimate, Recording | None]:
    """Estimate as `predict` does, and return what was recorded of the clip as well.

    Parameters
    ----------
    model, clip, sex, age_years, coverage, limits, face_model, precision, backbone_files
        As for `predict`.
    progress
        Called with ``loading``, ``reading`` or ``measuring`` and the share of that stage that
        is done, 0..1, from the thread of the caller.

    Returns
    -------
    estimate, recording
        The recording is None where the clip could not be recorded; the estimate says why.

    Raises
    ------
    UsageError, WeightsError
        As `predict` does.
    """
    from pallor.features.quality import Quality, assess
    from pallor.features.registry import compute_features, load_modalities
    from pallor.models.networks import check_networks, settings_of
    from pallor.video.recorder import record

    report = progress or _silent
    report("loading", 0.0)
    _refuse_usage(model, sex, age_years)
    modalities = [name for name in model.modalities if name != "demographics"]
    settings = settings_of(model.metadata, precision, backbone_files or {})
    check_networks(model.metadata, modalities, settings)
    loaded = load_modalities(modalities, settings) if modalities else {}
    report("reading", 0.0)
    try:
        recording = record(
            clip,
            limits=limits,
            face_model=face_model,
            samples=int(model.metadata["extraction"]["samples"]),
            crops=any(modality.needs_crops for modality in loaded.values()),
            progress=lambda share: report("reading", share),
        )
    except ClipError as error:
        return _refusal(model, str(clip), (error,)), None
    report("measuring", 0.0)
    fit = check_applicability(
        model.metadata,
        clip=recording.clip,
        input_kind=str(recording.input_kind),
        simulated=recording.simulated,
        sex=sex,
        age_years=age_years,
    )
    quality: Quality = assess(recording)
    warnings = (*recording.warnings, *fit.warnings)
    reasons: tuple[ClipError, ...] = fit.refusals
    if "pulse" in modalities and not reasons:
        # A pulse that is not there would be imputed by the average pulse: not an estimate.
        reasons = quality.reasons
    if reasons:
        return _refusal(model, recording.clip, reasons, warnings, recording, quality), recording
    features = compute_features(recording, modalities, settings) if modalities else {}
    report("measuring", 0.5)
    value = _estimate(model, features, sex, age_years)
    low, high = model.intervals.interval(value, coverage)
    too_few = model.intervals.message(coverage)
    if too_few is not None:
        warnings = (*warnings, NoIntervalError(f"{recording.clip}: {too_few}"))
    estimate = Estimate(
        clip=recording.clip,
        usable=True,
        reasons=(),
        warnings=warnings,
        hemoglobin_g_dl=value,
        interval_low_g_dl=_finite(low),
        interval_high_g_dl=_finite(high),
        coverage=model.intervals.coverage if coverage is None else coverage,
        model=model.model_id,
        simulated=bool(model.metadata["simulated"]) or recording.simulated,
        input_kind=str(recording.input_kind),
        duration_s=recording.duration_s,
        face_coverage=recording.face_coverage,
        heart_rate_bpm=quality.heart_rate_bpm,
        snr_db=quality.snr_db,
    )
    return estimate, recording


def _silent(_stage: str, _share: float) -> None:
    pass


def _refuse_usage(model: Model, sex: str | None, age_years: float | None) -> None:
    if sex not in (None, "female", "male"):
        raise UsageError(f"sex is {sex!r}; say female or male")
    if "demographics" in model.modalities and (sex is None or age_years is None):
        raise UsageError("this model knows sex and age and needs both: give --sex and --age-years")


def _estimate(
    model: Model, features: Mapping[str, float], sex: str | None, age_years: float | None
) -> float:
    import pandas as pd

    from pallor.models.preprocessing import with_demographics

    row = pd.DataFrame([{**features, "sex": sex, "age_years": age_years}])
    if "demographics" in model.modalities:
        row = with_demographics(row)
    missing = [name for name in model.feature_names if name not in row.columns]
    if missing:
        raise OutsideModelError(
            f"the model needs the feature {missing[0]} and {len(missing) - 1} others that this "
            "version does not compute; extract and train again with it"
        )
    matrix = row[list(model.feature_names)].astype("float32")
    return float(np.asarray(model.estimator.predict(matrix))[0])


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _refusal(
    model: Model,
    clip: str,
    reasons: tuple[ClipError, ...],
    warnings: tuple[ClipError, ...] = (),
    recording: Recording | None = None,
    quality: object | None = None,
) -> Estimate:
    return Estimate(
        clip=clip,
        usable=False,
        reasons=reasons,
        warnings=warnings,
        hemoglobin_g_dl=None,
        interval_low_g_dl=None,
        interval_high_g_dl=None,
        coverage=None,
        model=model.model_id,
        simulated=bool(model.metadata["simulated"])
        or (recording is not None and recording.simulated),
        input_kind=None if recording is None else str(recording.input_kind),
        duration_s=None if recording is None else recording.duration_s,
        face_coverage=None if recording is None else recording.face_coverage,
        heart_rate_bpm=getattr(quality, "heart_rate_bpm", None),
        snr_db=getattr(quality, "snr_db", None),
    )
