"""Files of people."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pallor.service.errors import FileTokenError, StoreError
from pallor.service.files import FileStore


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "data" / "uploads")


def made(files: FileStore, content: bytes = b"x", age_s: float = 0.0) -> str:
    token, path, file = files.create()
    with file:
        file.write(content)
    then = time.time() - age_s
    os.utime(path, (then, then))
    return token


def test_random_names_that_only_the_owner_sees(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files = FileStore(tmp_path / "data" / "uploads")
        tokens = {made(files) for _ in range(50)}
    finally:
        os.umask(before)
    assert len(tokens) == 50
    assert {p.name for p in files.folder.iterdir()} == tokens
    assert {oct(p.stat().st_mode & 0o777) for p in files.folder.iterdir()} == {"0o600"}
    assert oct(files.folder.stat().st_mode & 0o777) == "0o700"


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir(mode=0o755)
    (tmp_path / "uploads").chmod(0o755)
    FileStore(tmp_path / "uploads")
    assert oct((tmp_path / "uploads").stat().st_mode & 0o777) == "0o700"


def test_what_is_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("a file")
    with pytest.raises(StoreError, match="--data"):
        FileStore(tmp_path / "uploads")


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "../../../etc/passwd", "a" * 31, "a" * 33, "a/" * 16, "é" * 32, "a" * 31 + "\n",
     "a" * 32 + "\n", "\x00" * 32],
)  # fmt: skip
def test_what_is_no_token_leads_nowhere(files: FileStore, token: str) -> None:
    with pytest.raises(FileTokenError) as caught:
        files.path(token)
    assert str(files.folder) not in caught.value.text
    with pytest.raises(FileTokenError):
        files.delete(token)


def test_deleting(files: FileStore) -> None:
    token = made(files)
    assert files.path(token).read_bytes() == b"x"
    assert files.delete(token) and not files.delete(token) and not files.delete(None)


def test_a_sweep_takes_old_files_that_nobody_needs(files: FileStore) -> None:
    needed, orphan, fresh = made(files, age_s=999), made(files, age_s=999), made(files)
    token, path, file = files.create()
    with file:
        os.utime(path, (1.0, 1.0))
        assert files.sweep({needed}) == 1
    assert {p.name for p in files.folder.iterdir()} == {needed, fresh, token}
    assert not files.path(orphan).exists()
    # No longer being written, and still nobody knows of it.
    os.utime(path, (1.0, 1.0))
    assert files.sweep({needed}) == 1
    assert files.sweep((), older_than_s=-1.0) == 2


def test_what_became_known_during_a_sweep_stays(files: FileStore) -> None:
    token = made(files, age_s=999)
    assert files.sweep(lambda: {token}) == 0
