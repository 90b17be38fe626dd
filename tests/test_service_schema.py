"""Every request that the OpenAPI description allows, and many that it does not: no 5xx."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from long_tests import rounds
from pallor.service.app import create_app
from pallor.service.model_cards import LoadedModels
from pallor.service.security.rate_limits import Rate, Rates
from pallor.service.settings import ServiceSettings, UploadLimits
from postgres_server import postgres_database
from service_databases import postgres

__all__ = ["postgres"]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("service")]

AMPLE = Rate(100_000.0, 100_000)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import uvicorn

    database = None
    if request.param == "postgresql":
        database = postgres_database(request.getfixturevalue("postgres"), "schema")
    settings = ServiceSettings(
        data=tmp_path_factory.mktemp("schema"),
        database_url=database,
        limits=UploadLimits(max_bytes=100_000),
    )
    app = create_app(settings, Rates(AMPLE, AMPLE, AMPLE, AMPLE, AMPLE))
    # Without a model no estimate is tried. Workers have none: what they are given fails.
    card = {
        "id": "0" * 16, "simulated": True, "modalities": ["color"], "regressor": "stacking",
        "input_kind": "face_video", "pallor_version": "0", "cohort": {}, "metrics": {},
        "notes": [], "name": "small", "coverage": 0.9,
    }  # fmt: skip
    models = LoadedModels({"0" * 16: card})
    app.state.services = replace(app.state.services, models=models)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            _wait_until_ready(address)
            yield address
        finally:
            server.should_exit = True
            thread.join(30)


def _wait_until_ready(address: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the service did not become ready")


@pytest.mark.long
def test_answers_are_those_that_are_described(url: str) -> None:
    # Not by schemathesis's own plugin of pytest, which expects another version of it.
    # A key that is made up would be refused before anything else was looked at.
    config = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
    description = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) == 32
    for operation in operations:
        for mode in GenerationMode:
            try:
                _hold_against(operation, mode)
            except Unsatisfiable:
                # Nothing can be wrong with a request that has neither parameters nor body.
                assert mode is GenerationMode.NEGATIVE
        if "{code}" in operation.path:
            # Whose code is made up belongs to nobody: once more with what is there.
            _hold_against(operation, GenerationMode.POSITIVE, lambda: _known(url))
    answered = _answers(url)
    total = sum(answered[route][status] for route in answered for status in answered[route])
    print(f"{total} requests: {answered}")  # noqa: T201
    for route, statuses in {
        "/v1/estimates": {"400", "415", "422"},
        "/v1/estimates/{estimate_id}": {"404", "422"},
        "/v1/hints": {"422"},
        "/v1/session": {"200", "422"},
        "/v1/models": {"200"},
        "/v1/participants": {"200", "201", "422"},
        "/v1/participants/{code}": {"200", "404", "422"},
        "/v1/participants/{code}/consents": {"201", "422"},
        "/v1/participants/{code}/sessions": {"201", "422"},
        "/v1/participants/{code}/sessions/{session}": {"200", "204", "404"},
        "/v1/participants/{code}/sessions/{session}/hemoglobin": {"422"},
        "/v1/participants/{code}/sessions/{session}/hemoglobin/{value_id}": {
            "200",
            "204",
            "404",
            "422",
        },
        "/v1/participants/{code}/sessions/{session}/clips": {"404", "415"},
        "/v1/participants/{code}/sessions/{session}/clips/{clip_id}": {"404", "422"},
        "/v1/participants/{code}/sessions/{session}/clips/{clip_id}/check": {"404", "422"},
        "/v1/study": {"200"},
        "/v1/study/consent": {"200"},
        "/v1/study/cohort.csv": {"200"},
        "/v1/study/export.zip": {"200"},
    }.items():
        assert statuses <= set(answered[route]), f"{route} was not really tried: {answered[route]}"


def _answers(url: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    text = httpx.get(f"{url}/metrics").text
    pattern = r"^pallor_http_requests_total{(.*)} ([0-9.e+]+)$"
    for line, count in re.findall(pattern, text, re.MULTILINE):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
        statuses = found.setdefault(labels["route"], {})
        statuses[labels["status"]] = statuses.get(labels["status"], 0) + int(float(count))
    return found


def _known(url: str) -> dict[str, object]:
    """Enter a participant, unless the one of the last time is still there; return the names."""
    version = httpx.get(f"{url}/v1/study/consent").json()["texts"]["en"]["version"]
    consent = {"version": version, "takes_part": True, "keeps_video": True}
    person = f"{url}/v1/participants/P1"
    httpx.post(f"{url}/v1/participants", json={"code": "P1", "consent": consent})
    # Agreed, also where the last example took it back.
    httpx.post(f"{person}/consents", json=consent)
    httpx.post(f"{person}/sessions", json={"name": "first"})
    value = {"value": 12.5, "unit": "g/dL", "method": "venous_cbc"}
    visits = httpx.post(f"{person}/sessions/first/hemoglobin", json=value).json()["sessions"]
    visit = next(found for found in visits if found["name"] == "first")
    return {
        "code": "P1",
        "session": "first",
        "value_id": visit["hemoglobin"][-1]["id"],
        "clip_id": 1,
    }


def _hold_against(
    operation: schemathesis.APIOperation,
    mode: GenerationMode,
    known: Callable[[], dict[str, object]] | None = None,
) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=rounds(10, 300 if known is None else 50),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: schemathesis.Case) -> None:
        if known is not None:
            names = known()
            case.path_parameters = {name: names[name] for name in case.path_parameters}
        case.call_and_validate(checks=CHECKS)

    holds()


def test_the_description_names_every_resource(url: str) -> None:
    document = httpx.get(f"{url}/openapi.json").json()
    assert set(document["paths"]) == {
        "/healthz",
        "/metrics",
        "/readyz",
        "/v1/estimates",
        "/v1/estimates/{estimate_id}",
        "/v1/estimates/{estimate_id}/events",
        "/v1/hints",
        "/v1/models",
        "/v1/participants",
        "/v1/participants/{code}",
        "/v1/participants/{code}/consents",
        "/v1/participants/{code}/sessions",
        "/v1/participants/{code}/sessions/{session}",
        "/v1/participants/{code}/sessions/{session}/clips",
        "/v1/participants/{code}/sessions/{session}/clips/{clip_id}",
        "/v1/participants/{code}/sessions/{session}/clips/{clip_id}/check",
        "/v1/participants/{code}/sessions/{session}/hemoglobin",
        "/v1/participants/{code}/sessions/{session}/hemoglobin/{value_id}",
        "/v1/session",
        "/v1/study",
        "/v1/study/cohort.csv",
        "/v1/study/consent",
        "/v1/study/export.zip",
    }
    form = document["paths"]["/v1/estimates"]["post"]["requestBody"]["content"]
    assert "file" in form["multipart/form-data"]["schema"]["required"]


def test_the_description_says_where_a_key_is_needed(tmp_path: Path) -> None:
    app = create_app(ServiceSettings(data=tmp_path / "data"))
    key = app.state.services.keys.add("phone", "admin")
    description = app.openapi()
    schemes = description["components"]["securitySchemes"]
    assert (schemes["key"]["type"], schemes["key"]["scheme"]) == ("http", "bearer")
    transport = httpx.ASGITransport(app=app)

    async def asked() -> dict[tuple[str, str], bool]:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            # Whoever signs in here is let in by what is described as the cookie and the token.
            signed = await client.post("/v1/session", json={"key": key})
            assert list(client.cookies) == [schemes["session"]["name"]]
            headers = {schemes["csrf"]["name"]: signed.json()["csrf_token"]}
            closed: dict[tuple[str, str], bool] = {}
            for path, operations in description["paths"].items():
                for method in operations:
                    address = path.replace("{clip_id}", "1").replace("{value_id}", "1")
                    cookies, client.cookies = client.cookies, httpx.Cookies()
                    answer = await client.request(method, address)
                    client.cookies = cookies
                    closed[method, path] = answer.status_code == 401
                    if (method, path) != ("delete", "/v1/session"):
                        answer = await client.request(method, address, headers=headers)
                        assert answer.status_code not in (401, 403), (method, path)
            return closed

    for (method, path), closed in asyncio.run(asked()).items():
        security = description["paths"][path][method]["security"]
        session = ["session"] if method == "get" else ["session", "csrf"]
        assert [list(way) for way in security] == ([["key"], session] if closed else []), path


def test_the_description_names_the_headers(url: str) -> None:
    paths = httpx.get(f"{url}/openapi.json").json()["paths"]
    for path, status in (
        ("/v1/estimates", "202"),
        ("/v1/participants", "201"),
        ("/v1/participants/{code}/sessions/{session}/clips", "202"),
    ):
        assert "Location" in paths[path]["post"]["responses"][status]["headers"]
    for path, operations in paths.items():
        for operation in operations.values():
            for status in {"429", "503"} & set(operation["responses"]):
                if path != "/readyz":
                    assert "Retry-After" in operation["responses"][status]["headers"], path
    waiting = paths["/v1/estimates/{estimate_id}"]["get"]["responses"]["409"]
    assert "Retry-After" in waiting["headers"]
    [stream] = paths["/v1/hints"]["post"]["parameters"]
    assert (stream["name"], stream["in"]) == ("X-Hint-Stream", "header")


def test_what_is_not_there_is_answered_in_the_same_form(url: str, tmp_path: Path) -> None:
    for method, path, status in (
        ("GET", "/v1/nowhere", 404),
        ("PUT", "/v1/estimates", 405),
        ("GET", "/v1/estimates/%00", 404),
        ("GET", "/v1/estimates/" + "x" * 5000, 404),
        ("GET", "/v1/estimates/..%2f..%2fetc", 404),
        ("GET", "/docs", 404),
    ):
        answer = httpx.request(method, url + path)
        assert answer.status_code == status, path
        assert set(answer.json()["error"]) == {"code", "text"}
        assert "script-src 'self'" in answer.headers["content-security-policy"]
