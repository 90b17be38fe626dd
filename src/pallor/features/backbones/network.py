"""A network that is ready to embed crops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pallor.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pallor.features.backbones.prepared import PreparedBackbone
    from pallor.features.settings import FeatureSettings

Embed = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]
"""``(N, 224, 224, 3)`` uint8 RGB to ``(N, d)`` float32."""

BATCH = 16
"""Crops at once: what a clip has by default, and a bound on memory."""


@dataclass(frozen=True)
class Network:
    """A network in memory.

    Attributes
    ----------
    embed
        Crops to embeddings.
    identity
        What makes its features what they are, `PreparedBackbone.identity`.
    """

    embed: Embed
    identity: Mapping[str, Any]


def load_network(prepared: PreparedBackbone, precision: str, threads: int) -> Embed:
    """Load a graph into what runs it.

    Parameters
    ----------
    prepared
        The graph.
    precision
        One of `pallor.features.settings.PRECISIONS`.
    threads
        To compute on; the result does not depend on it.

    Returns
    -------
    callable
        Crops to embeddings, in batches.

    Raises
    ------
    WeightsError
        If the graph cannot be loaded or computed, or gives something that is not finite.
    """
    import numpy as np

    from pallor.features.backbones.own_graph import feed
    from pallor.features.backbones.runtime import RUNTIMES

    run = RUNTIMES[precision](prepared.graph, threads, prepared.file)
    how, file = prepared.own, prepared.file  # not the graph: the runtime has its own copy

    def embed(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches = [crops[start : start + BATCH] for start in range(0, len(crops), BATCH)]
        parts = [run(b) if how is None else feed(run, how, b, file) for b in batches]
        embeddings = np.concatenate(parts)
        if not np.isfinite(embeddings).all():
            raise WeightsError(f"{file}: the network gave values that are not finite")
        return embeddings

    return embed


def network_of(name: str, settings: FeatureSettings) -> Network:
    """Return the network of a backbone, loaded once in a process.

    Parameters
    ----------
    name
        A name in `pallor.features.backbones.table.BACKBONES`, or ``custom``.
    settings
        Which weights, at which precision, on how many threads.

    Raises
    ------
    UsageError
        If the version of the weights is unknown, or ``custom`` has no file.
    WeightsError
        If the weights are absent, altered or unusable.
    """
    return _loaded(
        name,
        settings.weights.get(name),
        settings.files.get(name),
        settings.precision,
        settings.threads,
    )


@lru_cache(maxsize=4)
def _loaded(
    name: str, version: str | None, file: str | None, precision: str, threads: int
) -> Network:
    from pallor.features.backbones.prepared import prepare
    from pallor.features.settings import FeatureSettings

    settings = FeatureSettings(
        weights={} if version is None else {name: version},
        files={} if file is None else {name: file},
    )
    prepared = prepare(name, settings)
    return Network(load_network(prepared, precision, threads), prepared.identity)


def forget_networks() -> None:
    """Let go of all networks in memory."""
    _loaded.cache_clear()
