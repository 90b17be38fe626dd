"""What the parts of an application share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pallor.service.files import FileStore
    from pallor.service.metrics import Metrics
    from pallor.service.model_cards import LoadedModels
    from pallor.service.settings import ServiceSettings
    from pallor.service.store.audit import AuditLog
    from pallor.service.store.engine import Store
    from pallor.service.store.jobs import JobStore
    from pallor.service.store.keys import KeyStore


class Workforce(Protocol):
    """Who works on the jobs."""

    @property
    def alive(self) -> bool:
        """Whether jobs are being taken."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End; jobs that are not finished go back to the queue."""


@dataclass(frozen=True)
class Services:
    """What the parts of an application share; ``app.state.services``.

    Attributes
    ----------
    settings
        Of the instance.
    store
        The open database.
    jobs, keys, audit
        What is in it.
    files
        Uploads that wait for their job.
    models
        Cards of the models that are loaded.
    metrics
        Figures for Prometheus.
    workers
        Who works on the jobs.
    """

    settings: ServiceSettings
    store: Store
    jobs: JobStore
    keys: KeyStore
    audit: AuditLog
    files: FileStore
    models: LoadedModels
    metrics: Metrics
    workers: Workforce


def services_of(request: Any) -> Services:
    """Return the services of the application that a request came to."""
    services: Services = request.app.state.services
    return services
