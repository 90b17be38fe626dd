"""Broken uploads through the recorder, each in a process with limits.

A part of them in ``make test``, every one in ``make test-long``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hostile_uploads import Upload, generate
from long_tests import rounds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and peak memory as Linux has them"),
    pytest.mark.xdist_group("hostile"),
]

STEP = rounds(7, 1)
MOST_BYTES = 10**9
MOST_S = 60.0

# What each has broken once; always looked at.
ALWAYS = frozenset({"bomb-long-strip.png", "bomb-deep-whole.png", "bomb-many-scans.jpg", "name-26"})


@pytest.fixture(scope="module")
def uploads() -> list[Upload]:
    return generate(seed=0)


def test_the_corpus_is_large_named_and_small_on_disk(uploads):
    assert len(uploads) >= 300
    assert len({upload.name for upload in uploads}) == len(uploads)
    assert max(len(upload.content) for upload in uploads) < 2**20
    assert sum(len(upload.content) for upload in uploads) < 20 * 2**20
    kinds = ("truncated", "bits", "foreign", "bomb", "huge", "no-frames", "polyglot", "name", "lie")
    for kind in kinds:
        assert sum(upload.name.startswith(kind) for upload in uploads) >= 15, kind


@pytest.mark.long
def test_the_same_seed_makes_the_same_corpus(uploads):
    again = generate(seed=0)
    assert [upload.name for upload in again] == [upload.name for upload in uploads]
    # Encoders and muxers of video draw identifiers and leave bytes open.
    fixed = ("foreign", "bomb", "one-bit-early-face", "noise-region", "hole-face")
    compared = [
        (one, other)
        for one, other in zip(uploads, again, strict=True)
        if one.name.startswith(fixed) and "voice" not in one.name
    ]
    assert len(compared) > 60
    assert [one.name for one, other in compared if one != other] == []
    assert generate(seed=1) != uploads


@pytest.mark.long
def test_every_upload_ends_in_a_refusal_or_in_a_recording(uploads, tmp_path):
    chosen = [u for i, u in enumerate(uploads) if i % STEP == 0 or u.name in ALWAYS]
    paths = [_place(tmp_path / str(i), upload) for i, upload in enumerate(chosen)]
    before = _listing(tmp_path)
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("limited_process.py")],
        input="".join(json.dumps(str(path)) + "\n" for path in paths),
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(outcomes) == len(chosen)
    wrong = [
        f"{upload.name}: {problem}"
        for upload, outcome in zip(chosen, outcomes, strict=True)
        for problem in _problems(upload, outcome)
    ]
    assert wrong == []
    assert {outcome["kind"] for outcome in outcomes} == {"refused", "recording"}
    assert _listing(tmp_path) == before, "something was written beside the uploads"


def _place(folder: Path, upload: Upload) -> Path:
    """Store it under its own name where a file can have it."""
    folder.mkdir()
    name = upload.filename
    usable = not {"/", "\0"} & set(name) and name not in {"", ".", ".."}
    path = folder / (name if usable and len(name.encode()) < 256 else "upload")
    path.write_bytes(upload.content)
    return path


def _listing(folder: Path) -> set[tuple[str, int]]:
    return {(str(p), p.stat().st_size) for p in folder.rglob("*") if p.is_file()}


def _problems(upload: Upload, outcome: dict[str, object]) -> list[str]:
    found = []
    if outcome["kind"] not in {"refused", "recording"}:
        found.append(f"{outcome['kind']}: {outcome['what']}")
    if outcome["kind"] == "refused" and not str(outcome["text"]).isprintable():
        found.append(f"message {outcome['text']!r}")
    if upload.hopeless and outcome["kind"] == "recording":
        found.append(f"recorded: {outcome['what']}")
    if outcome["bytes"] > MOST_BYTES:
        found.append(f"{outcome['bytes']} bytes")
    if outcome["seconds"] > MOST_S:
        found.append(f"{outcome['seconds']} s")
    return found
