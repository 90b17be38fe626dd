"""Databases for the tests of the service: SQLite and a real PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import Store, open_store
from postgres_server import postgres_database, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> ServiceSettings:
    url = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = postgres_database(server, f"t{secrets.token_hex(4)}")
    return ServiceSettings(tmp_path / "data", database_url=url)


@pytest.fixture
def store(settings: ServiceSettings) -> Iterator[Store]:
    opened = open_store(settings)
    yield opened
    opened.close()
