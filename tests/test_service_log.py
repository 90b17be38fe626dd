"""The log: times, no values of people, and an outage in few lines."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys

import httpx
import pytest
from fastapi import FastAPI

from pallor.service.answers import Boundary, add_error_answers
from pallor.service.log import REPEAT_S, Outage
from pallor.service.store.engine import Store
from service_databases import postgres, settings, store

__all__ = ["postgres", "settings", "store"]


def test_lines_have_a_time_and_a_level() -> None:
    code = (
        "import logging; from pallor.service.log import configure; configure()\n"
        "logging.getLogger('pallor.service.jobs.worker').error('one')\n"
        "logging.getLogger('uvicorn.error').info('two')\n"
        "logging.getLogger('alembic').info('three')\n"
        "logging.getLogger('other').warning('four')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}"
    expected = (
        f"{time} ERROR pallor.service.jobs.worker: one\n"
        f"{time} INFO uvicorn.error: two\n"
        f"{time} WARNING other: four\n"
    )
    assert re.fullmatch(expected, run.stderr), run.stderr


def test_an_outage_is_repeated_once_a_minute_and_its_end_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now_s = 0.0
    outage = Outage(logging.getLogger("pallor.test"), lambda: now_s)
    outage.over()
    assert not outage.is_known and caplog.messages == []
    for _ in range(130):
        outage.met("it does not answer")
        now_s += 1.0
    assert caplog.messages == ["it does not answer"] * (1 + int(130 / REPEAT_S))
    assert outage.is_known
    outage.over()
    outage.over()
    assert caplog.messages[-1] == "the database answers again"
    assert caplog.messages.count("the database answers again") == 1
    outage.met("again")
    assert caplog.messages[-1] == "again"


def test_a_statement_that_fails_is_one_line_without_its_values(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    from sqlalchemy import text

    app = FastAPI()

    @app.get("/people/{code}")
    def read(code: str) -> None:
        with store.transaction() as session:
            session.execute(text("SELECT * FROM gone WHERE code = :code"), {"code": code})

    add_error_answers(app)
    app.add_middleware(Boundary)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/people/Rumpelstiltskin")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    (line,) = [record for record in caplog.records if record.name == "pallor.service"]
    assert line.exc_info is None and "\n" not in line.getMessage()
    assert line.getMessage().startswith("GET /people/{code} failed: the database does not answer")
    assert "Rumpelstiltskin" not in caplog.text
