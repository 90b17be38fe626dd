from __future__ import annotations

import os
from pathlib import Path

import pytest


def _shared_root() -> Path:
    default = Path(__file__).resolve().parents[2] / "shared"
    return Path(os.environ.get("PALLOR_SHARED", default))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    # What tests make of weights does not belong into the user's cache.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PALLOR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    root = _shared_root() / "data"
    if not root.is_dir():
        pytest.skip(
            "real clips and tables are absent: set PALLOR_SHARED to the folder that holds data/"
        )
    return root


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    # Where everything is installed a skip would hide that a test no longer runs.
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("PALLOR_NO_SKIP") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped where no skip is allowed: {report.longrepr}"
