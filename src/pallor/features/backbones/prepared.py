"""From a backbone's name to its graph: verified weights, translated once, kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pallor.errors import UsageError
from pallor.features.settings import CUSTOM, FeatureSettings

if TYPE_CHECKING:
    from pallor.features.backbones.own_graph import GraphInput

MAX_GRAPH_BYTES = 1 << 30


@dataclass(frozen=True)
class PreparedBackbone:
    """A graph that can be run.

    Attributes
    ----------
    name
        Of the backbone, or ``custom``.
    graph
        The ONNX model.
    own
        How the graph takes pictures, where it is a file of the user's own; None for ours.
    file
        Name of the file that it comes from, for the messages.
    identity
        What makes its features what they are, apart from the precision: ``weights``, ``file``,
        ``sha256`` and, for a graph of ours, ``graph_version``. Kept with feature tables and
        models; where it differs, features must not be mixed.
    """

    name: str
    graph: bytes
    own: GraphInput | None
    file: str
    identity: Mapping[str, Any]


def prepare(name: str, settings: FeatureSettings) -> PreparedBackbone:
    """Find, verify and translate the weights of a backbone.

    Parameters
    ----------
    name
        A name in `pallor.features.backbones.table.BACKBONES`, or ``custom``.
    settings
        Which version of the weights, or which file.

    Raises
    ------
    UsageError
        If the version is unknown, or ``custom`` has no file.
    WeightsError
        If the file is absent, altered or of another network.
    """
    from pallor.features.backbones.table import BACKBONES
    from pallor.weights.cache import user_path

    explicit = settings.files.get(name)
    if explicit is not None and (name == CUSTOM or explicit.lower().endswith(".onnx")):
        return _own(name, user_path(explicit))
    if name == CUSTOM:
        raise UsageError("the modality custom needs a network: give --backbone-file FILE.onnx")
    weights = BACKBONES[name].weights
    version = settings.weights.get(name, next(iter(weights)))
    if version not in weights:
        raise UsageError(f"{name} has no weights {version!r}; choose from {', '.join(weights)}")
    return _from_checkpoint(name, version, explicit)


def _own(name: str, path: Path) -> PreparedBackbone:
    from pallor.features.backbones.own_graph import inspect_graph
    from pallor.weights.regular_file import read_file

    graph = read_file(path, MAX_GRAPH_BYTES)
    identity = {
        "weights": "own file",
        "file": path.name,
        "sha256": hashlib.sha256(graph).hexdigest(),
    }
    return PreparedBackbone(name, graph, inspect_graph(graph, path.name), path.name, identity)


def _from_checkpoint(name: str, version: str, explicit: str | None) -> PreparedBackbone:
    from pallor.features.backbones.graph import GRAPH_VERSION, onnx_graph
    from pallor.features.backbones.table import BACKBONES
    from pallor.weights.checkpoint import read_checkpoint
    from pallor.weights.locate import find_weights, read_weights

    backbone = BACKBONES[name]
    weights = backbone.weights[version]
    located = find_weights(weights.file, explicit)
    graph = _kept(_cached_graph(name, located.sha256))
    if graph is None:
        content, located = read_weights(weights.file, explicit)
        state = read_checkpoint(content, str(located.path))
        graph = onnx_graph(backbone, weights.preprocessing, state, source=located.sha256)
        _keep(graph, _cached_graph(name, located.sha256))
    identity = {
        "weights": version,
        "file": weights.file.file,
        "sha256": located.sha256,
        "graph_version": GRAPH_VERSION,
    }
    return PreparedBackbone(name, graph, None, weights.file.file, identity)


def _cached_graph(name: str, sha256: str) -> Path:
    from pallor.features.backbones.graph import GRAPH_VERSION
    from pallor.weights.cache import cache_dir

    return cache_dir() / "graphs" / f"{name}-{sha256}-{GRAPH_VERSION}.onnx"


def _kept(path: Path) -> bytes | None:
    """Return a graph from the cache; None where it is absent, or not what was put there."""
    try:
        graph = path.read_bytes()
        recorded = _record(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return graph if hashlib.sha256(graph).hexdigest() == recorded else None


def _keep(graph: bytes, path: Path) -> None:
    from pallor.weights.cache import replacing

    # A cache that cannot be written costs time, not the result.
    with suppress(OSError):
        with replacing(path) as stream:
            stream.write(graph)
        with replacing(_record(path)) as stream:
            stream.write(hashlib.sha256(graph).hexdigest().encode("ascii"))


def _record(path: Path) -> Path:
    return path.with_suffix(".onnx.sha256")
