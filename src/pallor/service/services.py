"""What the parts of an application share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pallor.service.files import FileStore
    from pallor.service.jobs.supervisor import Supervisor
    from pallor.service.metrics import Metrics
    from pallor.service.model_cards import LoadedModels
    from pallor.service.settings import ServiceSettings
    from pallor.service.store.audit import AuditLog
    from pallor.service.store.engine import Store
    from pallor.service.store.jobs import JobStore
    from pallor.service.store.keys import KeyStore
    from pallor.service.study.study import Study


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
    study
        Participants, visits, blood values and clips.
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
    study: Study
    models: LoadedModels
    metrics: Metrics
    workers: Supervisor


def services_of(request: Any) -> Services:
    """Return the services of the application that a request came to."""
    services: Services = request.app.state.services
    return services
