"""Readiness: what does not work, or does not answer, makes the service not ready."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from pallor.service.api.health import Questions
from pallor.service.app import create_app
from pallor.service.settings import ServiceSettings
from postgres_server import postgres_database
from service_databases import postgres

__all__ = ["postgres"]


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return create_app(ServiceSettings(data=tmp_path / "data"))


def ready(app: FastAPI) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/readyz")

    return asyncio.run(ask())


def test_readiness_tells_of_a_folder_that_cannot_be_written(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ready(app).json()["room"] is True
    folder = app.state.services.files.folder
    assert list(folder.iterdir()) == []
    folder.rmdir()
    answer = ready(app)
    assert (answer.status_code, answer.json()["room"]) == (503, False)
    folder.mkdir()
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: usage._replace(free=10**6))
    assert ready(app).json()["room"] is False


def test_readiness_does_not_wait_for_a_database_that_hangs(tmp_path: Path, postgres: str) -> None:
    import psycopg

    url = postgres_database(postgres, "hangs")
    app = create_app(ServiceSettings(data=tmp_path / "data", database_url=url))
    app.state.readiness = Questions(within_s=1.0)
    assert ready(app).json()["database"] is True
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        before = threading.active_count()
        for _ in range(3):
            begun_s = time.monotonic()
            answer = ready(app)
            assert time.monotonic() - begun_s < 5.0
            assert (answer.status_code, answer.json()["database"]) == (503, False)
        assert threading.active_count() <= before + 2, "a question that hangs is asked once"
    until_s = time.monotonic() + 10.0
    while not ready(app).json()["database"]:
        assert time.monotonic() < until_s
    app.state.services.store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="options of Linux")
def test_the_server_of_a_database_that_is_gone_is_noticed(tmp_path: Path, postgres: str) -> None:
    url = postgres_database(postgres, "alive")
    app = create_app(ServiceSettings(data=tmp_path / "data", database_url=url))
    with app.state.services.store.engine.connect() as connection:
        number = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=os.dup(number)) as line:
            assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
    app.state.services.store.close()
