"""Find a file of weights and check it; nothing is ever used unchecked, nothing downloaded."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pallor.errors import WeightsError
from pallor.weights.hashes import objection, record, recorded_sha256
from pallor.weights.places import CACHE, cached_path, how_to_get, place_of, what_to_do
from pallor.weights.regular_file import hash_file, read_file
from pallor.weights.weight_file import WeightFile


@dataclass(frozen=True)
class Located:
    """A file of weights that was found to be the right one.

    Attributes
    ----------
    path
        Of the file.
    sha256
        Of the whole file, 64 hex digits.
    place
        Where it was: ``named``, ``environment``, ``cache``, ``torch hub cache`` or ``package``.
    """

    path: Path
    sha256: str
    place: str


def find_weights(weight: WeightFile, explicit: str | os.PathLike[str] | None = None) -> Located:
    """Find a file of weights and check it.

    Places, in this order: ``explicit``, the environment variable of the file, ``cache_dir()``,
    torch's download folder (where the file is one of those), the installed package that
    carries it (located, never imported). The first that is named or exists decides: a wrong
    file there is an error, not a reason to look further. Nothing is downloaded.

    Where only the beginning of the hash was published, the whole hash is written down in the
    cache at the first use, and the file must have it ever after.

    Parameters
    ----------
    explicit
        Path of the file, where the user names one.

    Returns
    -------
    Located
        A file whose SHA-256 was just checked.

    Raises
    ------
    WeightsError
        If no place has the file (the message says how to get it), or the file found is not
        the right one (the message names it, both hashes, and what to do).
    """
    path, place = _required(weight, explicit)
    try:
        sha256 = hash_file(path, weight.max_bytes)
    except WeightsError as error:
        raise WeightsError(f"{error.text}; {what_to_do(weight, place)}") from error
    return _accepted(weight, path, place, sha256)


def read_weights(
    weight: WeightFile, explicit: str | os.PathLike[str] | None = None
) -> tuple[bytes, Located]:
    """Find a file of weights as `find_weights` does, and read it.

    Returns
    -------
    content
        The very bytes whose hash was checked: the file is read once.
    located
        The file that they are from.

    Raises
    ------
    WeightsError
        As `find_weights`.
    """
    path, place = _required(weight, explicit)
    try:
        content = read_file(path, weight.max_bytes)
    except WeightsError as error:
        raise WeightsError(f"{error.text}; {what_to_do(weight, place)}") from error
    return content, _accepted(weight, path, place, hashlib.sha256(content).hexdigest())


def cached_weights(weight: WeightFile) -> Located | None:
    """Return the file in the cache if it is there and right, else None.

    Raises
    ------
    WeightsError
        If the record of its hash is there but cannot be read.
    """
    path = cached_path(weight)
    if weight.sha256 is None:
        recorded_sha256(weight)
    try:
        return _accepted(weight, path, CACHE, hash_file(path, weight.max_bytes))
    except WeightsError:
        return None


def _required(weight: WeightFile, explicit: str | os.PathLike[str] | None) -> tuple[Path, str]:
    found = place_of(weight, explicit)
    if found is None:
        raise WeightsError(f"{weight.file} is not installed; {how_to_get(weight)}")
    return found


def _accepted(weight: WeightFile, path: Path, place: str, sha256: str) -> Located:
    complaint = objection(weight, sha256)
    if complaint is not None:
        raise WeightsError(f"{path}: {complaint}; {what_to_do(weight, place)}")
    if weight.sha256 is None and recorded_sha256(weight) is None:
        record(weight, path, sha256)
    return Located(path, sha256, place)
