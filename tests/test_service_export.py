"""The zip that is written while it is sent, and the folder with the same content."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path

import pytest

from pallor.errors import UsageError
from pallor.service.errors import ExportError
from pallor.service.export.contents import ExportContents, ExportEnd, ExportFile, Tally
from pallor.service.export.folder import new_folder, write_folder
from pallor.service.export.zip_stream import BLOCK_BYTES, zip_stream


def listed(written: Collection[str]) -> ExportEnd:
    text = f"{len(written)}: {sorted(written)}".encode()
    return ExportEnd({"README.txt": text}, Tally(clips=len(written)))


def contents(folder: Path, *sizes: int) -> ExportContents:
    folder.mkdir(exist_ok=True)
    files = []
    for number, size in enumerate(sizes):
        path = folder / f"token{number}"
        path.write_bytes(bytes((number + i) % 251 for i in range(1000)) * (size // 1000))
        files.append(ExportFile(f"clips/P{number}/1/001.webm", path))
    return ExportContents(tuple(files), listed)


def open_files(folder: Path) -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


def test_the_zip_holds_every_byte(tmp_path: Path) -> None:
    what = contents(tmp_path / "data", 3_500_000, 0, 1000)
    pieces = list(zip_stream(what))
    assert max(map(len, pieces)) < BLOCK_BYTES + 10_000
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [*(file.name for file in what.files), "README.txt"]
        for file in what.files:
            assert archive.read(file.name) == file.path.read_bytes()
        for info in archive.infolist():
            # When a clip was recorded is nobody's business, and others cannot read it.
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.external_attr >> 16 == 0o100600
            assert info.compress_type == zipfile.ZIP_STORED


@pytest.mark.skipif(shutil.which("unzip") is None, reason="the program unzip is not installed")
def test_unzip_reads_it(tmp_path: Path) -> None:
    what = contents(tmp_path / "data", 2_000_000, 1000)
    (tmp_path / "out.zip").write_bytes(b"".join(zip_stream(what)))
    subprocess.run(["unzip", "-q", "out.zip", "-d", "out"], cwd=tmp_path, check=True)
    assert (tmp_path / "out/clips/P0/1/001.webm").read_bytes() == what.files[0].path.read_bytes()


def test_a_clip_that_vanishes_is_left_out_and_counted(tmp_path: Path) -> None:
    what = contents(tmp_path / "data", 3_000_000, 1000, 1000)
    stream = zip_stream(what)
    pieces = [next(stream)]
    what.files[1].path.unlink()
    pieces += stream
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.namelist() == [
            "clips/P0/1/001.webm",
            "clips/P2/1/001.webm",
            "README.txt",
        ]
        assert archive.read("README.txt").startswith(b"2: ")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_who_stops_early_leaves_nothing_open(tmp_path: Path) -> None:
    what = contents(tmp_path / "data", 3_000_000)
    stream = zip_stream(what)
    next(stream)
    assert len(open_files(tmp_path)) == 1
    stream.close()  # type: ignore[attr-defined]
    assert open_files(tmp_path) == []


MEASURE = """
import sys
from pathlib import Path
from pallor.service.export.contents import ExportContents, ExportEnd, ExportFile, Tally
from pallor.service.export.zip_stream import zip_stream

def peak():
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024

folder, target = map(Path, sys.argv[1:])
files = tuple(ExportFile(f"clips/{path.name}.webm", path) for path in sorted(folder.iterdir()))
counted = lambda written: ExportEnd({"README.txt": b"%d" % len(written)}, Tally())
before = peak()
with target.open("wb") as out:
    for piece in zip_stream(ExportContents(files, counted)):
        # Holes of the clips become holes of the zip.
        out.seek(len(piece), 1) if not piece.strip(b"\\0") else out.write(piece)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_gigabytes_take_a_few_megabytes_of_memory(tmp_path: Path) -> None:
    folder, target = tmp_path / "clips", tmp_path / "out.zip"
    folder.mkdir()
    sizes = [400 * 2**20] * 5 + [2**32 + 5 * 2**20]
    for number, size in enumerate(sizes):
        with (folder / f"clip{number}").open("wb") as file:
            file.write(b"\x1a\x45\xdf\xa3 clip %d" % number)
            file.truncate(size)
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, folder, target], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    peak = int(run.stdout)
    print(f"{sum(sizes) / 2**30:.1f} GB of clips took {peak / 2**20:.1f} MB")  # noqa: T201
    assert peak < 16 * 2**20
    # Beyond 4 GB in all and in one entry: zip64.
    with zipfile.ZipFile(target) as archive:
        assert [info.file_size for info in archive.infolist()][:-1] == sizes
        assert archive.infolist()[-1].header_offset > 2**32
        assert archive.read("README.txt") == b"6"
        with archive.open("clips/clip5.webm") as entry:
            assert entry.read(11) == b"\x1a\x45\xdf\xa3 clip 5"


def modes(folder: Path) -> set[tuple[str, str]]:
    """Kind and mode of everything in a folder, and of itself."""
    return {
        ("folder" if path.is_dir() else "file", oct(path.stat().st_mode & 0o777))
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize("there", [False, True])
def test_the_folder_holds_the_same(tmp_path: Path, there: bool) -> None:
    what = contents(tmp_path / "data", 5000, 0, 1000)
    what.files[1].path.unlink()
    said: list[tuple[int, int]] = []
    out = tmp_path / "deep" / "out"
    before = os.umask(0)
    try:
        if there:
            out.mkdir(mode=0o755, parents=True)
        with new_folder(out) as part:
            tally = write_folder(what, part, lambda done, total, _: said.append((done, total)))
            assert modes(part) == {("folder", "0o700"), ("file", "0o600")}
    finally:
        os.umask(before)
    assert tally.clips == 2
    assert said == [(1, 3), (2, 3), (3, 3)]
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert names == ["README.txt", "clips/P0/1/001.webm", "clips/P2/1/001.webm"]
    copy, original = out / names[1], what.files[0].path
    assert copy.read_bytes() == original.read_bytes()
    assert copy.stat().st_ino != original.stat().st_ino
    assert modes(out) == {("folder", "0o700"), ("file", "0o600")}
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    (tmp_path / "file").touch()
    for target in (tmp_path / "out", tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(UsageError, match=str(target)), new_folder(target):
            pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_an_export_that_was_killed_is_in_nobodys_way_unsaid(tmp_path: Path) -> None:
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "face").touch()
    with pytest.raises(UsageError, match=r"out\.part: it is there"), new_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out.part" / "face").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_export_that_breaks_off_leaves_no_faces(
    tmp_path: Path, error: BaseException, there: bool
) -> None:
    what = contents(tmp_path / "data", 1000, 1000)
    if there:
        (tmp_path / "out").mkdir()

    def stop(done: int, _total: int, _name: str) -> None:
        if done == 2:
            raise error

    with (
        pytest.raises((KeyboardInterrupt, ExportError)),
        new_folder(tmp_path / "out") as part,
    ):
        write_folder(what, part, stop)
    left = {path.name for path in tmp_path.rglob("*") if path.parent != tmp_path / "data"}
    assert left == ({"data", "out"} if there else {"data"})


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    what = contents(tmp_path / "data", 1000)
    bad = ExportContents((ExportFile("x" * 300, what.files[0].path),), listed)
    with (
        pytest.raises(ExportError, match="nothing of it is kept"),
        new_folder(tmp_path / "out") as part,
    ):
        write_folder(bad, part, lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
