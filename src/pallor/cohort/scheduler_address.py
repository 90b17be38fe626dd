"""The address of a Dask scheduler: what it may be, and whom it trusts."""

from __future__ import annotations

import ipaddress
import re

from pallor.errors import UsageError

_FORM = re.compile(r"(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+):([0-9]{1,5})/?", re.ASCII)


def check_scheduler(address: str) -> str:
    """Return the address of a scheduler.

    Raises
    ------
    UsageError
        If it is not ``tcp://HOST:PORT`` or ``tls://HOST:PORT``.
    """
    match = _FORM.fullmatch(address)
    if match is None or not 0 < int(match[3]) < 2**16:
        raise UsageError(
            f"--scheduler {address}: write it as tcp://HOST:PORT or tls://HOST:PORT, as dask "
            "scheduler prints it"
        )
    return address.rstrip("/")


def trust_note(address: str) -> str:
    """Return what a user should know about an address; empty where there is nothing."""
    match = _FORM.fullmatch(address)
    if match is None or match[1] == "tls" or _is_here(match[2].strip("[]")):
        return ""
    return (
        f"{address}: Dask runs whatever anyone sends to this port, and nothing is encrypted: only "
        "on a network that you trust, or with tls://"
    )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
