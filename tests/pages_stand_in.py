"""A stand-in for the REST API of the service, with the same paths and answers, for the pages.

It estimates nothing: a test says what the next job comes to. What it is sent is kept.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from pallor.service.pages import PageSettings, attach, sign_in_page
from pallor.service.security.headers import CONTENT_SECURITY_POLICY
from pallor.service.security.principal import Principal
from pallor.service.study.study import Study

CARD: dict[str, Any] = {
    "id": "00aa11bb22cc33dd",
    "name": "clinic-2026",
    "simulated": False,
    "summary": "stacking on color, pulse, 260 participants",
    "regressor": "stacking",
    "modalities": ["color", "pulse"],
    "created": "2026-03-01T10:00:00+00:00",
    "cohort": {
        "participants": 260,
        "clips": 312,
        "sex": {"female": 140, "male": 120},
        "age_years": {"min": 18.0, "max": 81.0},
        "hemoglobin_g_dl": {"mean": 13.1, "sd": 1.6, "min": 7.2, "max": 17.4},
        "reference_methods": {"venous_cbc": 312},
    },
    "metrics": {
        "validation": "internal cross-validation, 5 grouped folds",
        "units": 260,
        "mae": 0.98,
        "rmse": 1.24,
        "r": 0.61,
        "r2": 0.37,
        "baselines": {
            "mean": {"mae": 1.27, "rmse": 1.6, "r": None, "r2": -0.01},
            "sex": {"mae": 1.05, "rmse": 1.3, "r": 0.55, "r2": 0.3},
        },
    },
    "notes": [],
}


def usable(**changes: Any) -> dict[str, Any]:
    """The result of a clip that was usable."""
    times = [i / 20 for i in range(600)]
    beat = [((1.2 * t) % 1.0 - 0.5) ** 2 for t in times]
    return {
        "usable": True,
        "reasons": [],
        "warnings": [],
        "hemoglobin_g_dl": 12.34,
        "interval_low_g_dl": 10.91,
        "interval_high_g_dl": 13.77,
        "coverage": 0.9,
        "model": CARD["id"],
        "simulated": False,
        "input_kind": "face_video",
        "duration_s": 30.02,
        "face_coverage": 0.98,
        "heart_rate_bpm": 72.4,
        "snr_db": 4.2,
        "pulse_wave": {"time_s": times, "pulse": beat},
        "model_card": CARD,
        **changes,
    }


def unusable(*codes: str) -> dict[str, Any]:
    """The result of a clip that was not usable."""
    return usable(
        usable=False,
        reasons=[{"code": code, "text": f"clip: {code}"} for code in codes],
        hemoglobin_g_dl=None,
        interval_low_g_dl=None,
        interval_high_g_dl=None,
        coverage=None,
        heart_rate_bpm=None,
        pulse_wave=None,
    )


GOOD_HINT = {
    "face": True, "faces": 1, "distance": "good", "light": "good", "centered": True,
    "moving": False, "codes": [],
}  # fmt: skip


def as_options(fields: dict[str, Any]) -> dict[str, Any]:
    """What the service makes of the fields of a form: numbers."""
    numbers = ("age_years", "altitude_m")
    return {
        name: float(str(value).replace(",", ".")) if name in numbers else value
        for name, value in fields.items()
    }


def done(result: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {
        "id": "made-before", "state": "done", "stage": "done", "share": 1.0, "position": None,
        "simulated": result["simulated"], "options": as_options(options), "result": result,
        "code": None, "text": None,
    }  # fmt: skip


def failed(code: str, text: str = "it broke") -> dict[str, Any]:
    return {**done(usable()), "state": "failed", "result": None, "code": code, "text": text}


@dataclass
class StandIn:
    """What it is told to answer, and what it was sent."""

    next: dict[str, Any] = field(default_factory=lambda: done(usable()))
    hint: dict[str, Any] = field(default_factory=lambda: dict(GOOD_HINT))
    refusal: tuple[int, str, str] | None = None
    cards: list[dict[str, Any]] = field(default_factory=lambda: [CARD])
    working_s: float = 0.8
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    uploads: list[tuple[dict[str, str], str, bytes]] = field(default_factory=list)
    frames: list[tuple[str, bytes]] = field(default_factory=list)
    # The token of the present session; None where it has ended.
    session: str | None = "the-token"
    tokens: set[str] = field(default_factory=set)
    signed_out: int = 0
    address: str = ""
    study_kept: Study | None = None

    def keep(self, job: dict[str, Any]) -> str:
        """Keep a job that is done or failed; returns its page's path."""
        job = {**job, "id": secrets.token_urlsafe(24)}
        self.jobs[job["id"]] = job
        return f"/result/{job['id']}"

    # What pallor.service.pages.PageSources asks for.
    def job(self, _request: Request, job_id: str) -> dict[str, Any] | None:
        end = self.jobs.get(job_id)
        if end is None:
            return None
        share = (time.monotonic() - self.began.get(job_id, 0.0)) / self.working_s
        if share >= 1.0:
            return end
        state = {"state": "queued", "stage": "queued", "share": 0.0, "position": 2}
        if share > 0.3:
            state = {"state": "running", "stage": "reading", "share": share, "position": None}
        return {**end, **state, "result": None, "code": None, "text": None}

    def models(self, _request: Request) -> list[dict[str, Any]]:
        return self.cards

    def csrf_token(self, _request: Request) -> str:
        return self.session or ""

    def principal(self, _request: Request) -> Principal:
        return Principal("a-key", "study", "a-key", self.session)

    def study(self, _request: Request) -> Study | None:
        return self.study_kept

    def app(self, settings: PageSettings) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/v1/estimates", self._create, methods=["POST"])
        app.add_api_route("/v1/estimates/{job_id}", self._read, methods=["GET"])
        app.add_api_route("/v1/estimates/{job_id}", self._delete, methods=["DELETE"])
        app.add_api_route("/v1/estimates/{job_id}/events", self._events, methods=["GET"])
        app.add_api_route("/v1/hints", self._hints, methods=["POST"])
        app.add_api_route("/v1/session", self._who, methods=["GET"])
        app.add_api_route("/v1/session", self._sign_out, methods=["DELETE"])
        app.add_route("/sign-in", lambda request: sign_in_page(request, "/sign-in"))
        attach(app, self, settings)

        @app.middleware("http")
        async def headers(request: Request, call_next: Any) -> Response:
            if request.method != "GET":
                self.tokens.add(request.headers.get("x-csrf-token", ""))
            answer = self._turned_away(request) or await call_next(request)
            answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
            answer.headers["Permissions-Policy"] = "camera=(self)"
            return answer

        return app

    def _turned_away(self, request: Request) -> Response | None:
        """What who is not signed in is answered, or who has the token of another session."""
        path = request.url.path
        if path.startswith(("/static", "/sign-in")):
            return None
        if self.session is None:
            if not path.startswith("/v1/"):
                return RedirectResponse("/sign-in", 303)
            return JSONResponse({"error": {"code": "no_key", "text": "give a key"}}, 401)
        changes = path.startswith("/v1/") and request.method != "GET"
        if changes and request.headers.get("x-csrf-token") != self.session:
            return JSONResponse({"error": {"code": "cross_site", "text": "no token"}}, 403)
        return None

    async def _who(self) -> Response:
        return JSONResponse({"role": "study", "csrf_token": self.session})

    async def _create(self, request: Request) -> Response:
        if self.refusal is not None:
            await request.body()
            status, code, text = self.refusal
            return JSONResponse({"error": {"code": code, "text": text}}, status)
        async with request.form() as form:
            fields = {k: v for k, v in form.items() if isinstance(v, str)}
            clip = form["file"]
            assert not isinstance(clip, str)
            self.uploads.append((fields, clip.filename or "", await clip.read()))
        job = {**self.next, "id": secrets.token_urlsafe(24)}
        job["options"] = {**job["options"], **as_options(fields)}
        self.jobs[job["id"]] = job
        self.began[job["id"]] = time.monotonic()
        return JSONResponse({"id": job["id"], "state": "queued"}, 202)

    async def _read(self, request: Request, job_id: str) -> Response:
        job = self.job(request, job_id)
        if job is None:
            return JSONResponse({"error": {"code": "unknown", "text": "no such job"}}, 404)
        if request.query_params.get("format") == "fhir":
            return JSONResponse({"resourceType": "Observation"}, media_type="application/fhir+json")
        return JSONResponse(job)

    async def _delete(self, job_id: str) -> Response:
        self.jobs.pop(job_id, None)
        return Response(status_code=204)

    async def _sign_out(self) -> Response:
        self.signed_out += 1
        return Response(status_code=204)

    async def _events(self, request: Request, job_id: str) -> Response:
        async def stream() -> Any:
            while True:
                job = self.job(request, job_id) or {"state": "deleted"}
                told = {k: job.get(k) for k in ("state", "stage", "share", "position")}
                yield f"event: state\ndata: {json.dumps(told)}\n\n"
                if job["state"] in {"done", "failed", "deleted"}:
                    return
                await asyncio.sleep(0.1)

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def _hints(self, request: Request) -> Response:
        self.frames.append((request.headers.get("x-hint-stream", ""), await request.body()))
        return JSONResponse(self.hint)


@contextmanager
def serving(stand_in: StandIn, settings: PageSettings) -> Iterator[StandIn]:
    """Serve on a free port of loopback until left."""
    config = uvicorn.Config(
        stand_in.app(settings), host="127.0.0.1", port=0, log_level="warning",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    stand_in.address = f"http://127.0.0.1:{port}"
    try:
        yield stand_in
    finally:
        server.should_exit = True
        thread.join(10)
