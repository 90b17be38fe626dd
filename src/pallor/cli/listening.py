"""Certificate, key and address of ``pallor serve``, tried before anything is started."""

from __future__ import annotations

import _ssl
import contextlib
import errno
import os
import re
import socket
import ssl
import sys
import time
from pathlib import Path

from pallor.errors import UsageError

_CERTIFICATE = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")


def check_tls(certificate: Path, key: Path) -> str | None:
    """Load a certificate chain and its key, as the server will.

    Returns
    -------
    str | None
        What is to be said although it works, such as that the certificate is out of date.

    Raises
    ------
    UsageError
        It would not work.
    """
    for option, file, marks, what in (
        ("--tls-cert", certificate, _CERTIFICATE, "certificate"),
        ("--tls-key", key, _KEY, "private key"),
    ):
        if not marks.search(_content(option, file)):
            raise UsageError(
                f"{option} {file}: there is no {what} in PEM in it; --tls-cert takes the "
                "certificate chain, --tls-key its private key"
            )

    def ask() -> str:
        raise UsageError(
            f"--tls-key {key}: the key has a passphrase, which nobody could enter at a restart: "
            f"write it without one, as openssl pkey -in {key.name} -out FILE does"
        )

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, ask)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(
                f"--tls-key {key}: not the key of the certificate in {certificate}, whose first "
                "must be that of the server"
            ) from error
        raise UsageError(
            f"--tls-cert {certificate}, --tls-key {key}: they cannot be loaded: "
            f"{error.reason or error}; are they complete?"
        ) from error
    return _out_of_date(certificate)


def bind(host: str, port: int) -> list[socket.socket]:
    """Take an address, so that whatever is in the way shows before anything is started.

    Parameters
    ----------
    host
        Address or name; all addresses of a name are taken.
    port
        0 for any that is free.

    Returns
    -------
    list of socket.socket
        Bound, and not listening yet.

    Raises
    ------
    UsageError
        It cannot be had.
    """
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--host {host}: no address of this name is known: give an address of this machine"
        ) from error
    bound: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in dict.fromkeys((family, address) for family, *_, address in found):
        # The other addresses of a name get the port that was free at the first.
        at = bound[0].getsockname()[1] if bound else port
        try:
            bound.append(_bound(family, (address[0], at, *address[2:])))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                _close(bound)
                raise UsageError(_reason(host, at, error)) from error
            # A name may have an address of a kind that is switched off here.
            missing = error
    if not bound and missing is not None:
        raise UsageError(_reason(host, port, missing)) from missing
    return bound


def shown_address(host: str, sockets: list[socket.socket], *, tls: bool) -> str:
    """Return the URL of what listens on a host."""
    name = f"[{host.strip('[]')}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{name}:{sockets[0].getsockname()[1]}"


def _content(option: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{option} {file}: cannot be read: {error.strerror or error}") from error


def _out_of_date(certificate: Path) -> str | None:
    # The standard library has no public way to read a certificate that nobody presented: where
    # this one is not there, nothing is told.
    decode = getattr(_ssl, "_test_decode_cert", None)
    if decode is None:
        return None
    with contextlib.suppress(ssl.SSLError, OSError, KeyError, ValueError):
        ends = str(decode(str(certificate))["notAfter"])
        if ssl.cert_time_to_seconds(ends) < time.time():
            return f"--tls-cert {certificate}: out of date since {ends}: browsers refuse it"
    return None


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix" and sys.platform != "cygwin":
            # Connections that have just ended do not keep a restart from the port.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _reason(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port {port}: in use on {host}: stop what listens there, or give another port"
    if error.errno == errno.EACCES:
        return f"--port {port}: only the administrator may listen there: give one from 1024 on"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"--host {host}: not an address of this machine: give one that is"
    return f"--host {host} --port {port}: cannot be listened on: {error.strerror or error}"
