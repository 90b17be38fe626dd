"""What the documentation of the service says of its codes and limits, against the code."""

from __future__ import annotations

import ast
import asyncio
import importlib
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx
import pytest

import pallor
from pallor.anemia.classification import assumptions
from pallor.anemia.person import Person
from pallor.errors import ClipError, PallorError
from pallor.features.heart_rate import MIN_DURATION_S, MIN_FPS
from pallor.service.api.arrivals import MAX_UPLOADS, MAX_WAITING
from pallor.service.api.events import LONGEST_S, MAX_STREAMS
from pallor.service.app import create_app
from pallor.service.errors import ServiceError
from pallor.service.hints import CODES as HINTS
from pallor.service.hints import MAX_BYTES, MAX_SIDE, MIN_SIDE
from pallor.service.jobs.reading import clip_limits
from pallor.service.refusals import RefusalError
from pallor.service.settings import ServiceSettings

SOURCE = Path(pallor.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"
TABLE = DOCS / "service_codes.md"
BASES = {PallorError, ServiceError, RefusalError}
"""What is never raised itself."""


def rows(title: str) -> dict[str, list[str]]:
    """Return the rows of a section: code to what stands behind it."""
    section = re.split(r"^## ", TABLE.read_text(), flags=re.MULTILINE)
    [table] = [text for text in section if text.startswith(f"{title}\n")]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    found = {row[0].strip("`"): row[1:] for row in cells}
    assert len(found) == len(cells), f"{title} names a code twice"
    for code, row in found.items():
        assert re.fullmatch(r"[A-Z`].*[^.]\.", row[-1]), f"{code} has no sentence"
    return found


def syntax(folder: Path) -> Iterator[ast.AST]:
    for path in folder.rglob("*.py"):
        yield from ast.walk(ast.parse(path.read_text()))


def first_words(folder: Path, *functions: str) -> set[str]:
    """Return the texts that stand first in calls of functions."""
    return {
        node.args[0].value
        for node in syntax(folder)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in functions
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def kinds(base: type[PallorError]) -> set[type[PallorError]]:
    """Return an error and all kinds of it, wherever in the package they are."""
    for path in SOURCE.rglob("*.py"):
        if re.search(r"^class \w+\(\w*Error\):", path.read_text(), re.MULTILINE):
            parts = path.relative_to(SOURCE.parent).with_suffix("").parts
            importlib.import_module(".".join(part for part in parts if part != "__init__"))
    found, new = set(), {base}
    while new:
        found |= new
        new = {kind for known in new for kind in known.__subclasses__()} - found
    return {kind for kind in found if kind.__module__.startswith("pallor.")} - BASES


@pytest.fixture(scope="module")
def of_the_framework(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    app = create_app(ServiceSettings(tmp_path_factory.mktemp("codes") / "data"))

    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get("/v1/nowhere"), await client.put("/v1/models")]

    return {answer.json()["error"]["code"]: answer.status_code for answer in asyncio.run(asked())}


def test_errors(of_the_framework: dict[str, int]) -> None:
    written = re.findall(
        r'ErrorAnswer\((\d+), "(\w+)"', (SOURCE / "service/answers.py").read_text()
    )
    assert written
    expected = {kind.code: kind.status for kind in kinds(RefusalError)}
    expected |= of_the_framework | {code: int(status) for status, code in written}
    assert {code: int(row[0]) for code, row in rows("Errors").items()} == expected


def test_fields() -> None:
    expected = first_words(SOURCE / "service", "FieldProblem", "ProblemError")
    for node in syntax(SOURCE / "service"):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_CODES":
            expected |= set(ast.literal_eval(node.value).values())
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_CODES.get":
            expected.add(ast.literal_eval(node.args[1]))
    assert set(rows("Fields")) == expected


def test_clips_and_failed() -> None:
    clips = kinds(ClipError)
    assert set(rows("Clips")) == {kind.code for kind in clips}
    others = kinds(PallorError) - clips - kinds(RefusalError)
    assert set(rows("Failed")) == {kind.code for kind in others}


def test_hints() -> None:
    assert tuple(rows("Hints")) == HINTS


def test_limits_of_the_who() -> None:
    assert set(rows("Limits of the WHO")) == first_words(SOURCE / "anemia", "Unknown")
    people = product((None, "female", "male"), (None, 5.0, 30.0, 70.0))
    expected = {code for sex, age in people for code in assumptions(Person(sex, age))}
    assert set(rows("Assumptions")) == expected


def test_limits_are_those_of_the_settings() -> None:
    said = " ".join((DOCS / "service.md").read_text().split())
    paragraph = said[said.index("**Limits.**") : said.index("## A study")]
    settings = ServiceSettings(Path("data"))
    limits = settings.limits
    frames_per_s = clip_limits(limits).max_frames // int(limits.max_duration_s)
    assert limits.max_pixels == 3840 * 2160 and LONGEST_S == 3600
    for figure in (
        f"{limits.max_bytes // 2**20} MB",
        f"{limits.max_duration_s:g} s",
        "3840 x 2160 pixels",
        f"{frames_per_s} frames a second",
        f"{MIN_DURATION_S:g} s at {MIN_FPS:g} frames",
        f"{settings.job_time_limit_s:g} s and {settings.job_memory_bytes // 2**30} GiB",
        f"{settings.keep_results_s / 3600:g} h",
        f"{MAX_BYTES // 1000} kB and {MIN_SIDE} to {MAX_SIDE} pixels",
        f"{MAX_WAITING} clips may wait and {MAX_UPLOADS} arrive",
        f"{MAX_STREAMS} clients",
    ):
        assert figure in paragraph, figure
