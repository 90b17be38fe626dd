"""The networks behind a model's features: the same weights, at the same precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pallor.errors import WeightsError
from pallor.features.settings import FeatureSettings, usable_cores


def settings_of(
    metadata: Mapping[str, Any], precision: str | None, files: Mapping[str, str]
) -> FeatureSettings:
    """Return the settings under which a model's features were extracted.

    Parameters
    ----------
    metadata
        `pallor.models.model.Model.metadata`.
    precision
        What the user asks for; None for the model's own.
    files
        Modality to file, where the user names one.

    Raises
    ------
    WeightsError
        If another precision is asked for than the model was trained on.
    UsageError
        If the precision is unknown.
    """
    networks = _networks(metadata)
    trained = str(metadata.get("precision") or "float32")
    asked = FeatureSettings(precision=precision or trained, files=files, threads=usable_cores())
    if networks and asked.precision != trained:
        raise WeightsError(
            f"the model was trained on features of precision {trained}, and {asked.precision} was "
            f"asked for: use {trained}, or extract and train again"
        )
    versions = {
        name: str(identity["weights"])
        for name, identity in networks.items()
        if "graph_version" in identity
    }
    return FeatureSettings(asked.precision, versions, files, asked.threads)


def check_networks(
    metadata: Mapping[str, Any], modalities: Sequence[str], settings: FeatureSettings
) -> None:
    """Refuse other weights than those that a model was trained with.

    Parameters
    ----------
    metadata
        `pallor.models.model.Model.metadata`.
    modalities
        What is to be computed.
    settings
        How.

    Raises
    ------
    WeightsError
        If weights are absent, altered, or others.
    UsageError
        If a network was a file of the user's own, which is not given here.
    """
    from pallor.features.registry import check_ready

    trained = _networks(metadata)
    if not modalities or not (trained or settings.files):
        return
    for name, identity in check_ready(modalities, settings).items():
        for key, value in identity.items():
            known = trained.get(name, {}).get(key)
            if key != "file" and known != value:
                raise WeightsError(
                    f"{name}: the model was trained with {key} {known}, here it is {value} "
                    f"({identity['file']}): use the file that it was trained with, or extract and "
                    "train again"
                )


def _networks(metadata: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the networks of the model's modalities; its table may have held more."""
    held = (metadata.get("extraction") or {}).get("networks") or {}
    return {name: held[name] for name in metadata["modalities"] if name in held}
