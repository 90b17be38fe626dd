"""Who stands behind a request."""

from __future__ import annotations

from dataclasses import dataclass

from pallor.service.store.keys import Key, Role


@dataclass(frozen=True)
class Principal:
    """Who stands behind a request.

    Attributes
    ----------
    name
        As it stands in the audit log: the id of a key, or ``loopback``.
    role
        What may be done.
    key_id
        Of the key; None for a visitor of a service on loopback that has no keys.
    csrf_token
        To be sent with every change; None where no cookie is involved.
    """

    name: str
    role: Role
    key_id: str | None = None
    csrf_token: str | None = None

    @classmethod
    def of(cls, key: Key, csrf_token: str | None = None) -> Principal:
        """Return whom a key stands for."""
        return cls(key.id, key.role, key.id, csrf_token)

    def allowed(self, roles: tuple[str, ...]) -> bool:
        """Tell whether one of these roles is held, or one that includes it."""
        return any(Role(self.role).includes(role) for role in roles)

    def may_see(self, owner: str | None) -> bool:
        """Tell whether a thing of this owner may be shown."""
        return self.role == Role.ADMIN or (owner is not None and owner == self.key_id)


LOCAL = Principal("loopback", Role.ADMIN)
"""Who sits at the machine of a service that listens on loopback and has no keys."""
