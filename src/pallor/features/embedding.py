"""Embeddings of pre-trained image networks as modalities, pooled over the sampled frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pallor.features.modality import FeatureDoc, FrameFeatures, Modality
from pallor.features.pooling import OF_STILLS, STATISTICS, pool
from pallor.features.settings import CUSTOM, FeatureSettings
from pallor.video.recording import InputKind, Recording


def embedding_modality(name: str, settings: FeatureSettings) -> Modality:
    """Make the modality of a backbone.

    Parameters
    ----------
    name
        A name in `pallor.features.backbones.table.BACKBONES`, or ``custom``.
    settings
        Which weights, at which precision, on how many threads.

    Returns
    -------
    Modality
        Nothing is loaded before its first use.
    """

    def with_frames(recording: Recording) -> FrameFeatures:
        return _embed(name, settings, recording)

    def ready() -> dict[str, Any]:
        from pallor.features.backbones.network import network_of

        network = network_of(name, settings)
        network.embed(_blank())  # a graph that loads may still not compute
        return dict(network.identity)

    return Modality(
        name=name,
        compute=lambda recording: with_frames(recording).features,
        docs=_docs(name),
        input_kinds=frozenset(InputKind),
        needs_crops=True,
        with_frames=with_frames,
        ready=ready,
    )


def _embed(name: str, settings: FeatureSettings, recording: Recording) -> FrameFeatures:
    from pallor.features.backbones.network import network_of

    embed = network_of(name, settings).embed
    crops = [sample.crop for sample in recording.samples if sample.crop is not None]
    time_s = np.array([s.time_s for s in recording.samples if s.crop is not None], dtype=np.float64)
    frames = embed(np.stack(crops)) if crops else embed(_blank())[:0]
    return FrameFeatures(features(name, frames, time_s, recording.input_kind), frames, time_s)


def _blank() -> NDArray[np.uint8]:
    return np.zeros((1, 224, 224, 3), dtype=np.uint8)


def features(
    name: str, frames: NDArray[np.float32], time_s: NDArray[np.float64], kind: InputKind
) -> dict[str, float]:
    """Pool frame embeddings and name the result.

    Parameters
    ----------
    name
        Of the modality.
    frames, time_s
        As for `pallor.features.pooling.pool`.
    kind
        A still has one frame, and the mean alone is defined.

    Returns
    -------
    dict
        ``name.statistic.0000``, statistic by statistic.
    """
    statistics = tuple(STATISTICS) if kind is InputKind.FACE_VIDEO else OF_STILLS
    return {
        f"{name}.{statistic}.{index:04d}": float(value)
        for statistic, values in pool(frames, time_s, statistics).items()
        for index, value in enumerate(values)
    }


def _docs(name: str) -> tuple[FeatureDoc, ...]:
    return tuple(
        FeatureDoc(
            pattern=f"{name}.{statistic}.{{index}}",
            description=f"{description} of one component of the embedding"
            + ("; the embedding itself for a still" if statistic in OF_STILLS else ""),
            formula=f"{statistic} over time of the global average pool of the network's last maps",
            unit=unit,
            source=_reference(name),
        )
        for statistic, (description, unit, _) in STATISTICS.items()
    )


def _reference(name: str) -> str:
    from pallor.features.backbones.table import BACKBONES

    return "a network of the user's own" if name == CUSTOM else BACKBONES[name].reference
