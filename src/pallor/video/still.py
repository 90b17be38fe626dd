"""Read a PNG or JPEG as a clip of one frame."""

from __future__ import annotations

import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pallor.errors import ClipTooLargeError, NoFramesError, NotAVideoError
from pallor.video.clip_info import ClipInfo, ClipLimits, says_simulated
from pallor.video.frame import Frame
from pallor.video.orientation import EXIF_ORIENTATIONS, UPRIGHT, Orientation

if TYPE_CHECKING:
    from PIL import Image

SIGNATURES: dict[bytes, str] = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
"""First bytes of the still formats that are read."""

MAX_SCANS = 100
"""Passes over the picture in a JPEG. Cameras and editors write up to about ten; each costs as much
as the whole picture, and takes a few bytes."""

EXIF_ORIENTATION, EXIF_DESCRIPTION, EXIF_IFD, EXIF_USER_COMMENT = 0x0112, 0x010E, 0x8769, 0x9286

# Pillow lets errors of its parsers through as they come; these are what damaged files raise.
_DECODE_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def still_format(head: bytes) -> str | None:
    """Return ``png`` or ``jpeg`` if a file that begins like this is one, else None."""
    return next((name for magic, name in SIGNATURES.items() if head.startswith(magic)), None)


def read_still(
    file: BinaryIO, path: str, name: str, container: str, limits: ClipLimits
) -> tuple[ClipInfo, Frame]:
    """Decode a still image to 8-bit RGB, upright, with its alpha channel.

    Of 16-bit samples the high byte is kept; palettes, gray and CMYK become RGB without color
    management; of an animated PNG the first picture is read. An alpha channel that is opaque
    everywhere counts as none.

    Parameters
    ----------
    file
        Open at its beginning.
    path, name
        As given, and as it may appear in a message.
    container
        ``png`` or ``jpeg``.
    limits
        ``max_still_pixels`` is checked against the header before anything is decoded.

    Raises
    ------
    NotAVideoError
        If the header cannot be read.
    ClipTooLargeError
        If the image has more pixels than allowed.
    NoFramesError
        If the pixels are cut off or damaged, or every one is fully transparent.
    """
    with warnings.catch_warnings():
        # Pillow warns of large images, whose size is checked here against the stated limit, and
        # of damaged metadata, which leave the pixels as they are.
        warnings.simplefilter("ignore")
        return _read(file, path, name, container, limits)


def _read(
    file: BinaryIO, path: str, name: str, container: str, limits: ClipLimits
) -> tuple[ClipInfo, Frame]:
    image = _open(file, name, container, limits)
    try:
        image.load()
        rgb, alpha = _pixels(image)
    except MemoryError as error:
        raise ClipTooLargeError(
            f"{name}: the image takes more memory than there is; scale it down."
        ) from error
    except _DECODE_ERRORS as error:
        raise NoFramesError(
            f"{name}: the {container.upper()} image does not decode, it is cut off or damaged; "
            "copy or export it again."
        ) from error
    if alpha is not None and not alpha.any():
        raise NoFramesError(
            f"{name}: every pixel is fully transparent, so the alpha channel marks no region; "
            "export the image with the region opaque."
        )
    if alpha is not None and int(alpha.min()) == 255:
        alpha = None
    orientation = _orientation(image)
    frame = Frame.from_rgb(
        orientation.apply(rgb), None if alpha is None else orientation.apply(alpha)
    )
    info = ClipInfo(
        path=path,
        container=container,
        codec=container,
        width=frame.width,
        height=frame.height,
        rotation_deg=orientation.rotation_deg,
        duration_s=0.0,
        frames_hint=1,
        is_still=True,
        has_alpha=alpha is not None,
        simulated=any(says_simulated(text) for text in _texts(image)),
        mirrored=orientation.mirrored,
    )
    return info, frame


def _open(file: BinaryIO, name: str, container: str, limits: ClipLimits) -> Image.Image:
    from PIL import Image

    try:
        image: Image.Image = Image.open(file, formats=[container.upper()])
    except Image.DecompressionBombError as error:
        raise _too_large(name, "far more", limits) from error
    except _DECODE_ERRORS as error:
        raise NotAVideoError(
            f"{name}: begins like a {container.upper()} image but its header cannot be read; copy "
            "or export it again."
        ) from error
    if image.width * image.height > limits.max_still_pixels:
        raise _too_large(name, f"{image.width} x {image.height}", limits)
    if container == "jpeg" and _scans(file) > MAX_SCANS:
        raise NotAVideoError(
            f"{name}: the JPEG image has more than {MAX_SCANS} scans, as no camera writes; export "
            "it again."
        )
    return image


def _scans(file: BinaryIO) -> int:
    """Count the scans; the position in the file stays as it is.

    In coded data a byte FF is followed by 00, so the marker is found without parsing. A preview
    in the metadata is counted with the rest.
    """
    at = file.tell()
    file.seek(0)
    count, last = 0, b""
    while part := file.read(2**20):
        count += (last + part).count(b"\xff\xda")
        last = part[-1:]
    file.seek(at)
    return count


def _too_large(name: str, size: str, limits: ClipLimits) -> ClipTooLargeError:
    return ClipTooLargeError(
        f"{name}: the image has {size} pixels, and {limits.max_still_pixels} are allowed; "
        "crop it or scale it down."
    )


def _pixels(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return 8-bit RGB and alpha of a loaded image as stored."""
    if image.mode.startswith(("I", "F")):  # 16-bit gray; Pillow's own conversion would clip it
        samples = np.asarray(image)
        if samples.dtype != np.uint16:
            samples = np.clip(samples, 0, 0xFFFF).astype(np.uint16)
        gray = (samples >> 8).astype(np.uint8)
        clear = image.info.get("transparency")
        alpha = np.where(samples == clear, 0, 255).astype(np.uint8) if clear is not None else None
        return np.repeat(gray[..., None], 3, axis=2), alpha
    if image.has_transparency_data:
        # Pillow copies even where nothing is to be converted.
        rgba = np.asarray(image if image.mode == "RGBA" else image.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB")), None


def _exif(image: Image.Image) -> dict[int, Any]:
    """Return the EXIF tags; none where the block is damaged, for the pixels are not."""
    try:
        exif = image.getexif()
        return {**exif, **exif.get_ifd(EXIF_IFD)}
    except _DECODE_ERRORS:
        return {}


def _orientation(image: Image.Image) -> Orientation:
    value = _exif(image).get(EXIF_ORIENTATION)
    return EXIF_ORIENTATIONS.get(value, UPRIGHT) if isinstance(value, int) else UPRIGHT


def _texts(image: Image.Image) -> list[str]:
    """Return what the metadata say in words: PNG text chunks, JPEG comment, EXIF comments."""
    exif = _exif(image)
    values = [*image.info.values(), exif.get(EXIF_DESCRIPTION), exif.get(EXIF_USER_COMMENT)]
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for value in values
        if isinstance(value, str | bytes)
    ]
