"""The addresses of the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pallor.service.pages.cards import card_view
from pallor.service.pages.frame import frame
from pallor.service.pages.language import Texts
from pallor.service.pages.rendering import answer, words_of
from pallor.service.pages.results import result_view
from pallor.service.pages.settings import PageSettings, PageSources
from pallor.service.pages.study.routes import study_routes

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HERE: Final = Path(__file__).parent
_MEASURE_TEXTS: Final = ("hint.", "check.", "error.", "measure.")
_RESULT_TEXTS: Final = ("stage.", "result.delete")


def attach(app: Starlette, sources: PageSources, settings: PageSettings | None = None) -> None:
    """Add the pages and their files to an application.

    ``/`` (Measure), ``/result/{id}``, ``/models``, ``/study`` and below, and ``/static``; none of
    them appears in the OpenAPI description. Who may see them, cookies and headers (see
    `pallor.service.security.headers`) are the application's matter.

    Parameters
    ----------
    app
        A FastAPI or Starlette application, which also answers the REST API under ``/v1``.
    sources
        Where jobs and models come from.
    settings
        How the pages behave.
    """
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    settings = settings or PageSettings()
    pages = Pages(sources, settings)
    app.router.routes.extend(
        [
            Route("/", pages.measure, name="measure"),
            Route("/result/{job_id}", pages.result, name="result"),
            Route("/models", pages.models, name="models"),
            *study_routes(sources, settings),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        ]
    )


class Pages:
    """The handlers of the pages; plain functions, which the framework runs in threads.

    Parameters
    ----------
    sources, settings
        As in `attach`.
    """

    def __init__(self, sources: PageSources, settings: PageSettings) -> None:
        self.sources = sources
        self.settings = settings

    def measure(self, request: Request) -> Response:
        """Answer the page that records or takes a clip."""
        return self._page(request, "measure.html.j2", "/", _MEASURE_TEXTS)

    def models(self, request: Request) -> Response:
        """Answer the page about the loaded models."""
        return self._page(request, "models.html.j2", "/models")

    def result(self, request: Request) -> Response:
        """Answer the page of one job; 404 where there is none, or not for this reader."""
        job = self.sources.job(request, request.path_params["job_id"])
        if job is None:
            return self._page(request, "missing.html.j2", status=404)
        return self._page(
            request,
            "result.html.j2",
            script_texts=_RESULT_TEXTS,
            more=lambda words: {"view": result_view(job, words)},
            simulated=bool(job.get("simulated") or (job.get("result") or {}).get("simulated")),
        )

    def _page(
        self,
        request: Request,
        template: str,
        here: str = "",
        script_texts: tuple[str, ...] = (),
        *,
        more: Callable[[Texts], Mapping[str, Any]] = lambda _: {},
        simulated: bool = False,
        status: int = 200,
    ) -> Response:
        words = words_of(request)
        cards = self.sources.models(request)
        values = {
            **frame(
                request,
                self.sources,
                here=here,
                script_texts=script_texts,
                simulated=simulated or any(card.get("simulated") for card in cards),
            ),
            "settings": self.settings,
            "models": [card_view(card, words) for card in cards],
        }
        return answer(request, template, {**values, **more(words)}, status=status)
