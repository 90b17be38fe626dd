"""The application: middleware, resources, pages, and what lives as long as it does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from fastapi import FastAPI

from pallor._version import __version__
from pallor.service.answers import Boundary, add_error_answers
from pallor.service.api import (
    estimates,
    health,
    hints,
    models,
    participants,
    session,
    study,
    study_clips,
    visits,
)
from pallor.service.api.description import DescribedApp
from pallor.service.files import FileStore
from pallor.service.hint_process import HintProcess
from pallor.service.metrics import CountRequests, Metrics
from pallor.service.model_cards import read_cards
from pallor.service.page_door import attach_pages
from pallor.service.security.exposure import Exposure
from pallor.service.security.guard import Guard
from pallor.service.security.headers import SecurityHeaders
from pallor.service.security.rate_limits import RateLimiter, Rates
from pallor.service.security.sessions import SessionStore, cookie_name
from pallor.service.services import Services
from pallor.service.store.audit import AuditLog
from pallor.service.store.engine import open_store
from pallor.service.store.jobs import JobStore
from pallor.service.store.keys import KeyStore
from pallor.service.study import clip_files
from pallor.service.study.study import Study
from pallor.video.face_model import find_face_model

if TYPE_CHECKING:
    from pallor.service.settings import ServiceSettings

DESCRIPTION = (
    "An estimate of the hemoglobin concentration of the blood from a facial video. "
    "Research use only. Not a medical device."
)


RESOURCES = (
    *(estimates, models, hints, session),
    *(study, participants, visits, study_clips),
    health,
)


def exposure_of(settings: ServiceSettings) -> Exposure:
    """Return who can reach a service with these settings."""
    return Exposure(settings.host, settings.tls_cert is not None, settings.behind_proxy)


def create_app(settings: ServiceSettings, rates: Rates | None = None) -> FastAPI:
    """Make the application; the database is opened and the workers are started with it.

    Parameters
    ----------
    settings
        Of the instance.
    rates
        Rate limits.

    Raises
    ------
    FaceModelError
        There is no landmark model: no clip could be read.
    ModelFileError
        A model file cannot be used.
    StoreError
        The database cannot be opened, or the data folder not be made.
    UsageError
        It could be reached from other machines without a key, or without TLS; the database
        belongs to another data folder, or others may enter this one; two models have one name;
        or the consent texts cannot be used.
    """
    from pallor.service.jobs.supervisor import Supervisor

    exposure = exposure_of(settings)
    find_face_model(settings.face_model)
    cards = read_cards(settings.models)
    settings = replace(settings, model_ids=tuple(cards.cards))
    store = open_store(settings, binds=True)
    keys = KeyStore(store)
    exposure.refuse(sum(key.revoked_s is None for key in keys.list()))
    kept = Study.open(settings, store)
    services = Services(
        settings=settings,
        store=store,
        jobs=JobStore(store),
        keys=keys,
        audit=AuditLog(store),
        files=FileStore(settings.uploads),
        study=kept,
        models=cards,
        metrics=Metrics(),
        workers=Supervisor(settings, store, tidy=lambda: clip_files.sweep(kept)),
    )
    app = DescribedApp(
        cookie=cookie_name(exposure.secure),
        title="pallor",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.state.guard = Guard(keys, SessionStore(), RateLimiter(rates or Rates()), exposure)
    app.state.uploads = Counter()
    app.state.streams = set()
    app.state.exports = set()
    app.state.readiness = health.Questions()
    app.state.hint_process = HintProcess(settings.face_model)
    for resource in RESOURCES:
        app.include_router(resource.router)
    attach_pages(app, services)
    add_error_answers(app)
    # The one added last stands outermost: every answer is counted and carries the headers.
    app.add_middleware(Boundary)
    app.add_middleware(SecurityHeaders, secure=exposure.secure)
    app.add_middleware(CountRequests, metrics=services.metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    await asyncio.to_thread(services.files.sweep, services.jobs.file_tokens)
    await asyncio.to_thread(clip_files.sweep, services.study)
    await asyncio.to_thread(clip_files.report_differences, services.study)
    await asyncio.to_thread(services.workers.start)
    try:
        yield
    finally:
        app.state.hint_process.stop()
        await asyncio.to_thread(services.workers.stop)
        services.store.close()
