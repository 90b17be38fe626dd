"""The addresses of the pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pallor.service.pages.cards import card_view
from pallor.service.pages.language import Texts, choose, languages, texts
from pallor.service.pages.results import result_view
from pallor.service.pages.settings import PageSettings, PageSources

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HERE: Final = Path(__file__).parent
_MEASURE_TEXTS: Final = ("hint.", "check.", "error.", "measure.")
_RESULT_TEXTS: Final = ("stage.", "result.delete")


def attach(app: Starlette, sources: PageSources, settings: PageSettings | None = None) -> None:
    """Add the pages and their files to an application.

    ``/`` (Measure), ``/result/{id}``, ``/models`` and ``/static``; none of them appears in the
    OpenAPI description. Who may see them, cookies and headers are the application's matter:
    it should send ``CONTENT_SECURITY_POLICY``, and allow the camera to itself.

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

    pages = Pages(sources, settings or PageSettings())
    app.router.routes.extend(
        [
            Route("/", pages.measure, name="measure"),
            Route("/result/{job_id}", pages.result, name="result"),
            Route("/models", pages.models, name="models"),
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
        self._environment = _environment()

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
        from starlette.responses import HTMLResponse

        asked = request.query_params.get("lang")
        words = texts(choose(asked, request.headers.get("accept-language")))
        # Who chose a language keeps it from page to page; who did not has the browser's.
        query = f"lang={words.language}" if asked == words.language else ""
        cards = self.sources.models(request)
        page = self._environment.get_template(template).render(
            t=words,
            here=here,
            languages=[(name, texts(name)("language.name")) for name in languages()],
            link=lambda path: f"{path}?{query}" if query else path,
            query=query,
            settings=self.settings,
            csrf=self.sources.csrf_token(request),
            models=[card_view(card, words) for card in cards],
            simulated=simulated or any(card.get("simulated") for card in cards),
            script_texts=json.dumps(
                {k: v for prefix in script_texts for k, v in words.family(prefix).items()},
                ensure_ascii=False,
            ),
            **more(words),
        )
        # The answer depends on the person, so no cache on the way may keep it.
        headers = {
            "Cache-Control": "no-store",
            "Content-Language": words.language,
            "Vary": "Accept-Language, Cookie",
        }
        return HTMLResponse(page, status_code=status, headers=headers)


def _environment() -> Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        # Always on: the default goes by the file's ending, and these end in .j2.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
