"""Addresses of clips, tables and feature folders in object stores and on servers.

An address is ``protocol://...`` with one of `PROTOCOLS`; everything else is a path of the
file system. What is secret in an address never gets into a message.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote, unquote, urlsplit

from pallor.errors import PallorError, UsageError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s'\"<>]+")
_HIDDEN = "..."


@dataclass(frozen=True)
class Protocol:
    """What is to be known of one protocol.

    Attributes
    ----------
    package
        The package that fsspec needs for it.
    writable
        Whether feature tables can be written there.
    folders
        Whether a folder must be made before a file is written into it.
    """

    package: str
    writable: bool = True
    folders: bool = False


_HTTP = Protocol("aiohttp", writable=False)
_GOOGLE = Protocol("gcsfs")
_AZURE = Protocol("adlfs")

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "s3": Protocol("s3fs"),
        "gs": _GOOGLE,
        "gcs": _GOOGLE,
        "az": _AZURE,
        "abfs": _AZURE,
        "abfss": _AZURE,
        "sftp": Protocol("paramiko", folders=True),
        "hdfs": Protocol("pyarrow", folders=True),
        "http": _HTTP,
        "https": _HTTP,
    }
)
"""What may stand before ``://``; all else is refused, ``file`` too: write the path."""


class AddressError(ValueError):
    """Text that looks like an address and cannot be used as one; says what to do."""


def is_address(text: str | os.PathLike[str]) -> bool:
    """Whether a text is meant as an address, allowed or not, instead of a path."""
    return isinstance(text, str) and _ADDRESS.match(text) is not None


def protocol_of(address: str) -> str:
    """Return what stands before ``://``, in lower case."""
    return address.partition("://")[0].lower()


def check_address(address: str) -> str:
    """Return an address as it is.

    Raises
    ------
    AddressError
        If its protocol is none of `PROTOCOLS`, it is chained (``::``, which an IPv6 address
        holds, too), names no host or bucket, or holds a password.
    """
    shown = shown_address(address)
    if protocol_of(address) not in PROTOCOLS:
        raise AddressError(
            f"{shown!r} is an address of another kind than {', '.join(PROTOCOLS)}: copy it to "
            "one of these, or give a path"
        )
    rest = address.partition("://")[2]
    if "::" in address or _ADDRESS.search(rest.partition("?")[0]):
        raise AddressError(f"{shown!r} is several addresses in one (::): give a single one")
    user, at, host = rest.partition("/")[0].rpartition("@")
    if at and ":" in unquote(user):
        raise AddressError(
            f"{shown!r} holds a password: leave it out and configure it where the protocol "
            "looks for it (environment, or the configuration of fsspec)"
        )
    if not host or re.search(r"[\s?#\\]", user + host):
        raise AddressError(f"{shown!r} names no host or bucket")
    if protocol_of(address) in {"http", "https"}:
        try:
            _ = urlsplit(address).port
        except ValueError as error:
            raise AddressError(f"{shown!r} is no address of a web server") from error
    return address


def usable_address(address: str, meant: str) -> str:
    """Return an address as it is; ``meant`` says what for.

    Raises
    ------
    UsageError
        As `check_address` refuses it.
    """
    try:
        return check_address(address)
    except AddressError as error:
        raise UsageError(f"{meant} {error}") from error


def shown_address(address: str) -> str:
    """Return an address as it may appear in a message: no user, no query, no fragment."""
    protocol, mark, rest = address.partition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    if "@" in rest:  # a password may hold a slash
        host, slash, path = rest.rpartition("@")[2].partition("/")
        host = f"{_HIDDEN}@{host}"
    tail = f"?{_HIDDEN}" if "?" in address or "#" in address else ""
    text = f"{protocol}{mark}{host}{slash}{path}{tail}"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shown(text: str) -> str:
    """Return a clip's path or address as it may appear in a message."""
    return shown_address(text) if is_address(text) else text


def without_secrets(text: str, address: str = "") -> str:
    """Return a text, of an error of a library say, with every address as it may appear.

    Parameters
    ----------
    text
        Anything.
    address
        An address whose user, password and query are hidden even where they stand alone.
    """
    for secret in sorted(_secrets(address), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return _IN_TEXT.sub(lambda match: shown_address(match.group()), text)


def _secrets(address: str) -> set[str]:
    """Return the parts of an address that nobody else should read, in both spellings."""
    rest = address.partition("://")[2]
    before, mark, query = rest.partition("?")
    parts = {query} if mark else set()
    parts |= {pair.partition("=")[2] for pair in re.split("[&#;?]", query)}
    parts |= set(re.split("[&#;?=]", query))
    if "@" in before:
        user = before.rpartition("@")[0]
        parts |= {user, user.partition(":")[2]}
    # Shorter ones would tear words apart, and are no secrets.
    return {form for part in parts for form in (part, unquote(part)) if len(form) >= 4}


def joined(base: str, path: str) -> str:
    """Return the address of a path that is relative to a folder's address.

    Raises
    ------
    AddressError
        If the path is absolute, or leads out of the host or bucket.
    """
    protocol, _, rest = base.partition("://")
    host, _, folder = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    if path.startswith("/"):
        raise AddressError(
            f"{path!r} is a path of one machine, and the table is at an address: give an "
            "address, or a path relative to the table"
        )
    name = quote(path) if protocol.lower() in {"http", "https"} else path
    whole = posixpath.normpath(posixpath.join(folder.rstrip("/"), name))
    if whole.split("/")[0] == "..":
        raise AddressError(f"{path!r} leads out of {shown_address(base)}")
    return f"{protocol}://{host}/{whole}"


def parent(address: str) -> str:
    """Return the address of the folder that a file lies in."""
    protocol, _, rest = address.partition("://")
    return f"{protocol}://{posixpath.dirname(re.split(r'[?#]', rest, maxsplit=1)[0])}"


@contextmanager
def called(local: str | os.PathLike[str], name: str) -> Iterator[None]:
    """Let errors of the block name an address instead of the local copy that was read."""
    try:
        yield
    except PallorError as error:
        error.args = (error.text.replace(os.fspath(local), name),)
        raise
