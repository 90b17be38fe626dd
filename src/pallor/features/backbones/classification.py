"""Whether a backbone sees: known pictures, and accuracy on labeled ones."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.errors import UsageError
from pallor.features.backbones.builder import SIDE
from pallor.features.backbones.graph import CLASSES

if TYPE_CHECKING:
    from PIL import Image

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""``(N, 224, 224, 3)`` uint8 RGB to ``(N, 1000)``."""

Progress = Callable[[int, int, str], None]
"""Pictures done, pictures in all, name of the last."""

_BATCH: Final = 16
_MAX_PIXELS: Final = 100_000_000  # those of ImageNet have at most some 20 million
_SYNSET: Final = re.compile(r"n[0-9]{8}")
_INDEX: Final = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True)
class KnownPicture:
    """A picture that any network trained on ImageNet should recognize.

    Attributes
    ----------
    name
        In `skimage.data`.
    rgb
        ``(h, w, 3)`` uint8.
    shows
        In words.
    classes
        Indices of the classes that count as right.
    """

    name: str
    rgb: NDArray[np.uint8]
    shows: str
    classes: frozenset[int]


@dataclass(frozen=True)
class SampleAccuracy:
    """Share of pictures whose most probable class is the right one.

    Attributes
    ----------
    images
        Pictures that could be read.
    correct
        How many of them were classified rightly.
    accuracy
        ``correct / images``.
    low, high
        Wilson interval, 95 %.
    unreadable
        What lay among the pictures and could not be read, as ``folder/file``.
    """

    images: int
    correct: int
    accuracy: float
    low: float
    high: float
    unreadable: tuple[str, ...]


def central_crop(rgb: NDArray[np.uint8], resize: int) -> NDArray[np.uint8]:
    """Scale the shorter side to ``resize`` pixels and cut out the central 224x224.

    Pillow's bilinear filter, which averages when it makes smaller; lengths and offsets rounded
    as torchvision's ``Resize`` and ``CenterCrop`` do.

    Parameters
    ----------
    rgb
        ``(h, w, 3)`` uint8.
    resize
        At least 224.
    """
    from PIL import Image

    return _crop(Image.fromarray(rgb), resize)


def top_class(logits: Logits, rgb: NDArray[np.uint8], resize: int) -> int:
    """Return the most probable of the 1000 classes for one picture of any size."""
    return int(_classes(logits, [central_crop(rgb, resize)])[0])


def known_pictures() -> tuple[KnownPicture, ...]:
    """Return two photographs that come with scikit-image: a cat and an espresso."""
    import skimage.data

    data: Any = skimage.data  # without type hints
    return (
        KnownPicture("chelsea", np.asarray(data.chelsea()), "a cat", frozenset(range(281, 286))),
        KnownPicture("coffee", np.asarray(data.coffee()), "an espresso", frozenset({967})),
    )


def accuracy_on_sample(
    folder: Path, logits: Logits, resize: int, progress: Progress | None = None
) -> SampleAccuracy:
    """Classify the pictures of a folder and count how many come out right.

    Parameters
    ----------
    folder
        Holds a folder of JPEG or PNG pictures for each class: either all 1000, named by their
        synsets (``n01440764``, ...; sorted, they are in the order of the classes), or any
        of them, named by the index of the class (``0`` to ``999``). Names that begin with a
        dot are passed over.
    logits
        The network.
    resize
        `Preprocessing.resize` of its weights.
    progress
        Called after every picture.

    Raises
    ------
    UsageError
        If the folder is laid out otherwise, or holds no picture that can be read.
    """
    from scipy.stats import binomtest

    pictures = _labeled(folder)
    crops: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    unreadable: list[str] = []
    images = correct = 0
    for number, (path, label) in enumerate(pictures, start=1):
        name = f"{path.parent.name}/{path.name}"
        crop = _read(path, resize)
        if crop is None:
            unreadable.append(name)
        else:
            crops.append(crop)
            labels.append(label)
        if crops and (len(crops) == _BATCH or number == len(pictures)):
            correct += int((_classes(logits, crops) == np.array(labels)).sum())
            images += len(crops)
            crops, labels = [], []
        if progress is not None:
            progress(number, len(pictures), name)
    if not images:
        raise UsageError(
            f"{folder}: no JPEG or PNG picture in its folders can be read; give a sample of the "
            "ImageNet validation pictures"
        )
    interval = binomtest(correct, images).proportion_ci(0.95, method="wilson")
    return SampleAccuracy(
        images,
        correct,
        correct / images,
        float(interval.low),
        float(interval.high),
        tuple(unreadable),
    )


def _labeled(folder: Path) -> list[tuple[Path, int]]:
    """Return everything in the class folders with the index of its class."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    folders = sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    names = [entry.name for entry in folders]
    if names and all(_SYNSET.fullmatch(name) for name in names):
        if len(names) != CLASSES:
            raise UsageError(
                f"{folder}: {len(names)} synset folders; only all {CLASSES} of them tell by their "
                "order which class is which (empty ones may stand for those not in the "
                "sample). For fewer, name the folders by the index of the class, 0 to 999"
            )
        labels = list(range(CLASSES))
    elif names and all(_INDEX.fullmatch(name) for name in names):
        labels = [int(name) for name in names]
    else:
        odd = [n for n in names if not _SYNSET.fullmatch(n) and not _INDEX.fullmatch(n)][:1]
        found = f"a folder {odd[0]!r}" if odd else "both kinds at once" if names else "no folder"
        raise UsageError(
            f"{folder}: expected a folder for each class, named by synset (n01440764) or by index "
            f"(0 to 999), and found {found}"
        )
    return [
        (path, label)
        for entry, label in zip(folders, labels, strict=True)
        for path in sorted(entry.iterdir())
        if not path.name.startswith(".")
    ]


def _read(path: Path, resize: int) -> NDArray[np.uint8] | None:
    """Return the central crop of a picture, None if it cannot be read."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF and the like; the pixels count
            with Image.open(path, formats=("JPEG", "PNG")) as image:
                if image.width * image.height > _MAX_PIXELS:
                    return None
                return _crop(image.convert("RGB"), resize)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _crop(image: Image.Image, resize: int) -> NDArray[np.uint8]:
    from PIL import Image

    if resize < SIDE:
        raise UsageError(f"pictures cannot be cut to {SIDE} pixels after scaling to {resize}")
    shorter = min(image.size)
    width, height = (int(resize * length / shorter) for length in image.size)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(scaled.crop((left, top, left + SIDE, top + SIDE)), dtype=np.uint8)


def _classes(logits: Logits, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.intp]:
    return np.asarray(logits(np.stack(crops)).argmax(axis=1), dtype=np.intp)
