"""Get a file of weights from its publisher or a mirror; only ever at the user's request."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator

from pallor.errors import WeightsError
from pallor.weights.cache import CACHE_ENV, replacing
from pallor.weights.hashes import objection, record
from pallor.weights.locate import Located, cached_weights, find_weights
from pallor.weights.places import CACHE, MIRROR_ENV, by_hand, cached_path, how_to_get, place_of
from pallor.weights.weight_file import WeightFile

_CHUNK = 1 << 18
_TIMEOUT_S = 30.0
# A download that was killed leaves its part; a living one wrote to it within the time limit.
_STALE_S = 3600.0


def fetch_weights(
    weight: WeightFile, progress: Callable[[int, int], None] | None = None
) -> Located:
    """Download a file of weights to ``cache_dir()`` unless the right one is there already.

    From the publisher's address, or from ``$PALLOR_MIRROR/<file>``. ``https`` only, redirects
    included; ``HTTPS_PROXY`` is honored. The file appears in the cache in one step, after its
    hash was checked; a wrong file that was there stays until then.

    Parameters
    ----------
    progress
        Called with bytes so far and bytes in all; the latter is 0 where the server does not
        say. Not called where nothing is downloaded.

    Returns
    -------
    Located
        The file in the cache; or, where there is no address to download from, the file that
        is in another place already.

    Raises
    ------
    WeightsError
        If there is no address, or it is not https or does not answer, if the file is another
        one than expected, or the cache cannot be written. The message says how to do it by
        hand.
    """
    there = cached_weights(weight)
    if there is not None:
        return there
    url = _address(weight)
    if url is None:
        if place_of(weight) is not None:
            return find_weights(weight)
        raise WeightsError(
            f"{weight.file}: there is no address to fetch it from; {how_to_get(weight)}"
        )
    target = cached_path(weight)
    digest = hashlib.sha256()
    try:
        with replacing(target) as stream, contextlib.closing(_received(weight, url)) as pieces:
            _remove_stale(weight)
            for chunk, done, total in pieces:
                stream.write(chunk)
                digest.update(chunk)
                if progress is not None:
                    progress(done, total)
            sha256 = digest.hexdigest()
            complaint = objection(weight, sha256)
            if complaint is not None:
                raise WeightsError(f"{url}: {complaint}; nothing was stored; {by_hand(weight)}")
    except OSError as error:
        raise WeightsError(
            f"{target}: cannot be written ({error.strerror or error}); make room or name another "
            f"folder in {CACHE_ENV}"
        ) from error
    record(weight, target, sha256)
    return Located(target, sha256, CACHE)


def _address(weight: WeightFile) -> str | None:
    mirror = os.environ.get(MIRROR_ENV)
    if not mirror:
        return weight.url
    if not mirror.lower().startswith("https://"):
        raise WeightsError(f"{MIRROR_ENV}={mirror}: only an https:// address can be used")
    if "@" in mirror:  # not repeated in the message: it may hold a password
        raise WeightsError(f"{MIRROR_ENV}: an address with a user name cannot be used")
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(weight.file)}"


def _remove_stale(weight: WeightFile) -> None:
    for partial in cached_path(weight).parent.glob(f".{weight.file}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > _STALE_S:
                partial.unlink()


def _received(weight: WeightFile, url: str) -> Generator[tuple[bytes, int, int]]:
    """Yield the body piece by piece, each with bytes so far and in all (0 if not known).

    Errors of the network become `WeightsError` here, so that an `OSError` outside is one of
    the disk.
    """

    def failed(reason: str) -> WeightsError:
        return WeightsError(
            f"{url}: {weight.file} could not be fetched: {_printable(reason)}; nothing was "
            f"stored; to do it by hand, {by_hand(weight)}"
        )

    try:
        with _opener().open(url, timeout=_TIMEOUT_S) as response:
            total = int(response.length or 0)
            done = 0
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if max(done, total) > weight.max_bytes:
                    raise failed(f"larger than the {weight.max_bytes} bytes that it may have")
                yield chunk, done, total
    except (OSError, http.client.HTTPException, ValueError) as error:
        # ValueError: an address or a proxy's that cannot be one.
        raise failed(_reason(error)) from error
    if done < total:
        raise failed(f"the answer ended after {done} of {total} bytes")


def _opener() -> urllib.request.OpenerDirector:
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
    return opener


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered with HTTP status {error.code}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    text = str(cause) or repr(cause)
    if "unknown url type" in text:
        return "redirected to an address that is not https"
    if "407" in text:
        return f"{text}; name the user in HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the certificate is not trusted ({cause.verify_message}); if a proxy of your network "
            "issues it, name the file of its certificate in SSL_CERT_FILE"
        )
    if isinstance(cause, socket.gaierror):
        return f"its host name has no address ({cause.strerror}): is there a network?"
    if isinstance(cause, TimeoutError):
        return f"no answer within {_TIMEOUT_S:g} s"
    return text if isinstance(cause, OSError) else f"{type(cause).__name__}: {text}"


def _printable(text: str) -> str:
    # Parts of it may come from a server, and go to a terminal.
    return "".join(character if character.isprintable() else "?" for character in text)
