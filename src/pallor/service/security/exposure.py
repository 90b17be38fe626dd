"""Whether the service may start where it was asked to listen."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from pallor.errors import UsageError


def is_loopback(host: str) -> bool:
    """Tell whether only programs of this machine reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        # A name may resolve to anything, tomorrow to something else.
        return False


@dataclass(frozen=True)
class Exposure:
    """Who can reach the service, and over what.

    Attributes
    ----------
    host
        Address to listen on.
    tls
        Whether it encrypts itself.
    behind_proxy
        Whether a reverse proxy in front of it does.
    """

    host: str
    tls: bool
    behind_proxy: bool

    @property
    def beyond_this_machine(self) -> bool:
        """Whether others than programs of this machine can send requests."""
        # A proxy brings requests from elsewhere to a port on loopback, too.
        return self.behind_proxy or not is_loopback(self.host)

    @property
    def secure(self) -> bool:
        """Whether browsers see a secure page with its own certificate."""
        return self.tls or self.behind_proxy

    def refuse(self, keys: int) -> None:
        """Refuse to start where anybody could come in, or read along.

        Parameters
        ----------
        keys
            How many keys are valid.

        Raises
        ------
        UsageError
            Beyond loopback without a key, or without TLS.
        """
        if not self.beyond_this_machine:
            return
        if not self.secure:
            raise UsageError(
                f"--host {self.host} can be reached from other machines: give --tls-cert and "
                "--tls-key, or --behind-proxy if a reverse proxy does TLS; phones give a camera "
                "only to secure pages"
            )
        if keys == 0:
            raise UsageError(
                "the service can be reached from other machines and has no key: make one with "
                "pallor keys add NAME --role admin --data DIR"
            )
