"""Figures for Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pallor.service.jobs.supervisor import SupervisorStatus

OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """What is counted, in a registry of its own: several applications can share a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pallor_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "pallor_http_request_seconds",
            "Time until the answer was sent.",
            ("route",),
            registry=self.registry,
        )
        self.upload_bytes = Counter(
            "pallor_upload_bytes", "Bytes of clips that were accepted.", registry=self.registry
        )
        self.refused_uploads = Counter(
            "pallor_refused_uploads", "Uploads refused.", ("code",), registry=self.registry
        )
        self.jobs = Gauge(
            "pallor_jobs", "Jobs that are kept, by state.", ("state",), registry=self.registry
        )
        self.workers = Gauge(
            "pallor_workers", "Worker processes that live.", registry=self.registry
        )
        self.restarts = _Restarts()
        self.registry.register(self.restarts)
        self.streams = Gauge(
            "pallor_event_streams", "Open streams of events.", registry=self.registry
        )

    def text(self, jobs: Mapping[str, int], workers: SupervisorStatus) -> bytes:
        """Return all figures in the text format of Prometheus.

        Parameters
        ----------
        jobs
            Number of jobs in each state, as the store has them now.
        workers
            How they are now.
        """
        self.workers.set(workers.alive)
        self.restarts.number = workers.restarts
        for state, number in jobs.items():
            self.jobs.labels(state).set(number)
        return generate_latest(self.registry)


class _Restarts(Collector):
    """A counter whose number somebody else counts."""

    def __init__(self) -> None:
        self.number = 0

    def collect(self) -> Iterable[CounterMetricFamily]:
        yield CounterMetricFamily(
            "pallor_worker_restarts",
            "Workers started again since the start of the service.",
            value=self.number,
        )


class CountRequests:
    """ASGI middleware that counts and times.

    Parameters
    ----------
    app
        What answers.
    metrics
        Where to count.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            # The pattern of the route, never the address: ids stay out, and so does the endless
            # variety of what scanners ask for.
            route = getattr(scope.get("route"), "path", OTHER)
            method = scope["method"] if scope["method"] in _METHODS else OTHER
            self.metrics.requests.labels(method, route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - started)
