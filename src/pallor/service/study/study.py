"""An open study: its database, its folders, and the text that participants agree to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pallor.service.files import FileStore
from pallor.service.store.audit import AuditLog
from pallor.service.store.jobs import JobStore
from pallor.service.study.consent import ConsentTexts

if TYPE_CHECKING:
    from pallor.service.settings import ServiceSettings
    from pallor.service.store.engine import Store


@dataclass(frozen=True)
class Study:
    """An open study.

    Attributes
    ----------
    store
        The database.
    clips
        Files that the study keeps.
    uploads
        Files that have just arrived; on the same file system as those.
    audit
        Who did what.
    jobs
        The queue that checks of clips wait in.
    consent
        What participants agree to.
    clock
        Seconds since 1970.
    """

    store: Store
    clips: FileStore
    uploads: FileStore
    audit: AuditLog
    jobs: JobStore
    consent: ConsentTexts
    clock: Callable[[], float] = time.time

    @classmethod
    def open(cls, settings: ServiceSettings, store: Store) -> Study:
        """Open the study of an instance.

        Parameters
        ----------
        settings
            Their ``clips``, ``uploads`` and ``consent`` are used.
        store
            The open database.

        Raises
        ------
        StoreError
            If a folder cannot be made private.
        UsageError
            If the consent texts cannot be used.
        """
        return cls(
            store=store,
            clips=FileStore(settings.clips),
            uploads=FileStore(settings.uploads),
            audit=AuditLog(store),
            jobs=JobStore(store),
            consent=ConsentTexts.read(settings.consent),
        )
