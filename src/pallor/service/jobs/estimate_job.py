"""A clip and what was said beside it, to the result of a job."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pallor.errors import UsageError, WeightsError
from pallor.service.errors import ModelUnknownError
from pallor.service.jobs.anemia_group import anemia_of
from pallor.service.jobs.model_card import model_card
from pallor.service.jobs.options import EstimateOptions
from pallor.service.jobs.pulse_wave import pulse_wave
from pallor.service.jobs.reading import FACELESS, clip_limits, warm_up_reader
from pallor.service.jobs.work import SHOWN_NAME, Progress, Work, plain_result, without_path
from pallor.service.refusals import InvalidFieldsError

if TYPE_CHECKING:
    from pallor.models.model import Model
    from pallor.models.prediction import Estimate
    from pallor.service.settings import ServiceSettings, UploadLimits

_log = logging.getLogger(__name__)

_SPAN = {"loading": (0.0, 0.05), "reading": (0.05, 0.85), "measuring": (0.85, 1.0)}
"""Which part of the whole a stage is."""


def prepare(settings: ServiceSettings) -> Work:
    """Load the models, and what an estimate imports, before the first job.

    Raises
    ------
    ModelFileError
        If a model cannot be loaded.
    """
    from pallor.models.bundle import load_model

    models = [(load_model(path), path) for path in settings.models]
    replaced = _replaced(models, settings.model_ids)
    if replaced:
        _log.error(
            "model files were replaced while the service runs (%s): restart it; until then "
            "estimates with their models fail",
            ", ".join(map(str, replaced)),
        )
    for model, _ in models:
        _warm_up(model, settings.face_model)

    def work(path: Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        chosen = _options(options)
        _refuse_replaced(models, settings.model_ids, chosen.model)
        model, file = choose_model(models, chosen.model)
        return estimate(
            path,
            model,
            chosen,
            card=model_card(model, file),
            limits=settings.limits,
            face_model=settings.face_model,
            progress=progress,
        )

    return work


def _options(values: Mapping[str, Any]) -> EstimateOptions:
    try:
        return EstimateOptions.from_dict(values)
    except InvalidFieldsError as error:
        # Of a job that an older version took. There is no form any more to mark a field in.
        raise UsageError(error.text) from None


def _replaced(models: list[tuple[Model, Path]], known: tuple[str, ...]) -> list[Path]:
    """Return the files whose model is not among those that the server read."""
    return [path for model, path in models if known and model.model_id not in known]


def _refuse_replaced(
    models: list[tuple[Model, Path]], known: tuple[str, ...], asked: str | None
) -> None:
    if asked in known and asked not in {model.model_id for model, _ in models}:
        raise ModelUnknownError(
            "the file of the model was replaced while the service runs: tell its operator to "
            "restart it, then send the clip again"
        )


def _warm_up(model: Model, face_model: Path | None) -> None:
    """Load what the first estimate of a model would load; see `warm_up_reader`."""
    import crepes  # noqa: F401
    import numpy as np
    import pandas as pd

    from pallor.features.registry import load_modalities
    from pallor.models.networks import check_networks, settings_of

    warm_up_reader(face_model)
    names = [name for name in model.modalities if name != "demographics"]
    # What is absent fails the jobs that need it, each with its reason; others are done.
    with contextlib.suppress(WeightsError):
        if names:
            features = settings_of(model.metadata, None, {})
            load_modalities(names, features)
            check_networks(model.metadata, names, features)
    row = np.zeros((1, len(model.feature_names)), dtype=np.float32)
    model.estimator.predict(pd.DataFrame(row, columns=list(model.feature_names)))


def choose_model(models: list[tuple[Model, Path]], asked: str | None) -> tuple[Model, Path]:
    """Return the model of a name or id, the first one where nothing is asked.

    Raises
    ------
    ModelUnknownError
        If there is none.
    """
    if not models:
        raise ModelUnknownError("no model is loaded: start the service with --model FILE")
    if asked is None:
        return models[0]
    for model, path in models:
        if asked in (path.stem, model.model_id):
            return model, path
    names = ", ".join(path.stem for _, path in models)
    raise ModelUnknownError(f"no model of this name is loaded: choose from {names}")


def estimate(
    path: Path,
    model: Model,
    options: EstimateOptions,
    *,
    card: Mapping[str, Any],
    limits: UploadLimits,
    face_model: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Estimate from a clip.

    Parameters
    ----------
    path
        Of the clip; it is nowhere in the result.
    model
        A loaded one.
    options
        What was said beside the clip.
    card
        Of `pallor.service.jobs.model_card.model_card`.
    limits
        Of the clip.
    face_model
        Path of the landmark model file; searched for when not given.
    progress
        Called with a stage and the share of the whole that is done.

    Returns
    -------
    dict
        Plain values that JSON can hold: the keys of `Estimate.as_dict`, and ``quality``
        (``usable`` for a pulse, ``reasons``, ``warnings``, ``frames``, ``fps``), ``anemia`` (see
        `anemia_of`), ``pulse_wave`` (see `pallor.service.jobs.pulse_wave.pulse_wave`),
        ``model_card``, ``person``. Where the clip is not usable there is no number, but reasons.

    Raises
    ------
    ClipError
        If the file is no clip that can be read, or larger than the limits. A clip that can be
        read and shows no usable face is a result.
    UsageError, WeightsError
        As `pallor.models.prediction.predict`.
    """
    from pallor.features.quality import assess
    from pallor.models.prediction import predict_recorded

    report = progress or (lambda _stage, _share: None)

    def whole(stage: str, share: float) -> None:
        start, end = _SPAN[stage]
        report(stage, start + (end - start) * share)

    found, recording = predict_recorded(
        model,
        path,
        sex=options.sex,
        age_years=options.age_years,
        coverage=options.coverage,
        limits=clip_limits(limits),
        face_model=face_model,
        progress=whole,
    )
    if recording is None and not isinstance(found.reasons[0], FACELESS):
        raise without_path(found.reasons[0], path)
    result = found.as_dict() | {
        "clip": SHOWN_NAME,
        "quality": None,
        "pulse_wave": None,
        "anemia": _anemia(found, options),
        "model_card": dict(card),
        "person": {k: v for k, v in options.as_dict().items() if k not in ("model", "coverage")},
    }
    if recording is not None:
        quality = assess(recording)
        result["quality"] = {
            "usable": quality.usable,
            "reasons": [reason.as_dict() for reason in quality.reasons],
            "warnings": [warning.as_dict() for warning in quality.warnings],
            "frames": recording.frames,
            "fps": recording.fps,
        }
        if quality.usable:
            result["pulse_wave"] = pulse_wave(recording)
    whole("measuring", 1.0)
    return plain_result(result, path)


def _anemia(found: Estimate, options: EstimateOptions) -> dict[str, Any]:
    return anemia_of(
        options.person,
        found.hemoglobin_g_dl,
        found.interval_low_g_dl,
        found.interval_high_g_dl,
        found.coverage,
    )
