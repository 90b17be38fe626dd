"""Who stands behind a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pallor.service.store.keys import Key

ADMIN = "admin"


@dataclass(frozen=True)
class Principal:
    """Who stands behind a request.

    Attributes
    ----------
    name
        As it stands in the audit log: the id of a key, or ``loopback``.
    role
        ``measure``, ``study`` or ``admin``.
    key_id
        Of the key; None for a visitor of a service on loopback that has no keys.
    csrf_token
        To be sent with every change; None where no cookie is involved.
    """

    name: str
    role: str
    key_id: str | None = None
    csrf_token: str | None = None

    @classmethod
    def of(cls, key: Key, csrf_token: str | None = None) -> Principal:
        """Return whom a key stands for."""
        return cls(key.id, str(key.role), key.id, csrf_token)

    def allowed(self, roles: tuple[str, ...]) -> bool:
        """Tell whether one of these roles is held; ``admin`` holds all."""
        return self.role == ADMIN or self.role in roles

    def may_see(self, owner: str | None) -> bool:
        """Tell whether a thing of this owner may be shown."""
        return self.role == ADMIN or (owner is not None and owner == self.key_id)


LOCAL = Principal("loopback", ADMIN)
"""Who sits at the machine of a service that listens on loopback and has no keys."""
