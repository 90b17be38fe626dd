"""Every request that the OpenAPI description allows, and many that it does not: no 5xx."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from long_tests import rounds
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

    from pallor.service.app import create_app

    database = None
    if request.param == "postgresql":
        database = postgres_database(request.getfixturevalue("postgres"), "schema")
    settings = ServiceSettings(
        data=tmp_path_factory.mktemp("schema"),
        database_url=database,
        limits=UploadLimits(max_bytes=100_000),
    )
    app = create_app(settings, Rates(AMPLE, AMPLE, AMPLE, AMPLE, AMPLE))
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
    description = schemathesis.openapi.from_url(f"{url}/openapi.json")
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
