"""Which data folder a database belongs to, and which folder may be one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pallor.errors import UsageError
from pallor.service.settings import ServiceSettings
from pallor.service.store import instance
from pallor.service.store.engine import open_store
from pallor.service.study.study import Study
from served import pallor, succeed
from service_databases import postgres, settings, store
from study_cases import study, visited, with_clip

__all__ = ["postgres", "settings", "store", "study"]

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")


def open_once(settings: ServiceSettings, *, binds: bool = True) -> None:
    open_store(settings, binds=binds).close()


def elsewhere(settings: ServiceSettings) -> ServiceSettings:
    """The same database with another data folder, which is empty."""
    other = settings.data.with_name("other")
    other.mkdir(0o700, exist_ok=True)
    return ServiceSettings(other, database_url=settings.url)


def test_a_database_and_its_folder_share_an_id(settings: ServiceSettings) -> None:
    open_once(settings)
    told = settings.instance_file.read_text()
    assert len(told.strip()) == 32
    assert settings.instance_file.stat().st_mode & 0o777 == 0o600
    other = elsewhere(settings)
    for binds in (True, False):
        open_once(settings, binds=binds)
        with pytest.raises(UsageError, match="belongs to another data folder") as caught:
            open_once(other, binds=binds)
        assert str(other.data) in caught.value.text
    assert settings.instance_file.read_text() == told
    assert list(other.data.iterdir()) == []


def test_a_folder_of_another_database_is_refused(settings: ServiceSettings, tmp_path: Path) -> None:
    open_once(settings)
    new = f"sqlite:///{tmp_path / 'new.db'}"
    mixed = ServiceSettings(settings.data, database_url=new)
    with pytest.raises(UsageError, match="belongs to another database"):
        open_once(mixed)
    open_once(elsewhere(mixed))
    with pytest.raises(UsageError, match="this folder to another database"):
        open_once(mixed)


def test_a_database_from_before_gets_its_id_where_all_its_clips_are(
    study: Study, settings: ServiceSettings
) -> None:
    visited(study, "a")
    for content in (b"1", b"2"):
        with_clip(study, "a", content=content)
    other = elsewhere(settings)
    for binds in (True, False):
        with pytest.raises(UsageError, match="2 of the 2 clips"):
            open_once(other, binds=binds)
    open_once(settings, binds=False)
    assert not settings.instance_file.exists(), "a command is no word for the folder"
    lost = next(settings.clips.iterdir())
    lost.rename(other.data / "kept")
    with pytest.raises(UsageError, match="1 of the 2 clips"):
        open_once(settings)
    (other.data / "kept").rename(lost)
    open_once(settings)
    assert settings.instance_file.read_text()


def test_an_empty_file_is_the_word_that_it_is_the_right_folder(
    study: Study, settings: ServiceSettings
) -> None:
    visited(study, "a")
    with_clip(study, "a")
    next(settings.clips.iterdir()).unlink()
    settings.instance_file.touch()
    open_once(settings)
    told = settings.instance_file.read_text()
    # A folder that came back from a backup without the file.
    settings.instance_file.unlink()
    with pytest.raises(UsageError, match="put an empty file named instance"):
        open_once(settings)
    settings.instance_file.touch()
    open_once(settings, binds=False)
    assert settings.instance_file.read_text() == told


@pytest.mark.parametrize("killed_at", ["the commit", "the end"])
def test_killed_in_between_it_is_finished_later(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    write = instance._write
    step = "_write" if killed_at == "the commit" else "finish"
    with monkeypatch.context() as patched:
        patched.setattr(
            instance, step, lambda *given: die(write(*given) if step == "_write" else None)
        )
        with pytest.raises(KeyboardInterrupt):
            open_once(settings)
    assert not settings.instance_file.exists()
    open_once(settings)
    told = settings.instance_file.read_text()
    open_once(settings)
    assert settings.instance_file.read_text() == told
    assert not settings.instance_file.with_name("instance.new").exists()


def test_processes_that_open_at_once_make_one_id(settings: ServiceSettings) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pallor.service.settings import ServiceSettings\n"
        "from pallor.service.store.engine import open_store\n"
        "from pallor.service.store.tables import InstanceRow\n"
        "s = open_store(ServiceSettings(Path(sys.argv[1]), sys.argv[2]), binds=True)\n"
        "with s.reading() as session:\n"
        "    print(session.get(InstanceRow, 1).id)\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(settings.data), settings.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.strip() == settings.instance_file.read_text().strip()


@posix
def test_a_folder_that_others_may_enter_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / "shared"
    data.mkdir()
    for mode in (0o1777, 0o755, 0o750, 0o701):
        data.chmod(mode)
        with pytest.raises(UsageError, match=f"chmod 700 {data}"):
            open_once(ServiceSettings(data))
        assert data.stat().st_mode & 0o7777 == mode and list(data.iterdir()) == []
    data.chmod(0o700)
    open_once(ServiceSettings(data))
    # Who opens a folder of pallor to a group's backups means it; its files stay closed.
    data.chmod(0o750)
    open_once(ServiceSettings(data))
    assert data.stat().st_mode & 0o777 == 0o750
    data.chmod(0o770)
    with pytest.raises(UsageError, match="may write into this folder"):
        open_once(ServiceSettings(data))


@posix
def test_a_new_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_once(ServiceSettings(tmp_path / "deep" / "data"))
    finally:
        os.umask(before)
    assert (tmp_path / "deep" / "data").stat().st_mode & 0o777 == 0o700


def test_no_command_works_with_another_folder(study: Study, settings: ServiceSettings) -> None:
    visited(study, "P-001")
    with_clip(study, "P-001")
    open_once(settings)
    other = ("--data", elsewhere(settings).data, "--database-url", settings.url)
    for command in (
        ("study", "withdraw", "P-001", "--yes"),
        ("study", "list"),
        ("keys", "add", "x"),
        ("serve", "--port", 0),
    ):
        run = pallor(*command, *other)
        assert run.returncode == 2 and "belongs to another data folder" in run.stderr, command
        assert len(run.stderr.splitlines()) == 1, run.stderr
    right = ("--data", settings.data, "--database-url", settings.url)
    assert "(1 files)" in succeed("study", "withdraw", "P-001", "--yes", *right)
    assert list(settings.clips.iterdir()) == []


def test_an_export_without_all_clips_says_so_with_its_status(tmp_path: Path) -> None:
    settings = ServiceSettings(tmp_path / "data")
    store = open_store(settings, binds=True)
    study = Study.open(settings, store)
    visited(study, "a")
    for content in (b"1", b"2"):
        with_clip(study, "a", content=content)
    store.close()
    succeed("study", "export", tmp_path / "all", "--data", settings.data)
    next(settings.clips.iterdir()).unlink()
    for number, options in enumerate(((), ("--json",))):
        out = tmp_path / f"out{number}"
        run = pallor("study", "export", out, "--data", settings.data, *options)
        assert run.returncode == 1 and "1" in run.stdout and (out / "cohort.csv").is_file()


def test_no_keys_are_made_by_looking_for_them(tmp_path: Path) -> None:
    absent = ("--data", tmp_path / "absent")
    file = ("--data", tmp_path, "--database-url", f"sqlite:///{tmp_path / 'absent.db'}")
    for where in (absent, file):
        for command in (("list",), ("revoke", "x")):
            run = pallor("keys", *command, *where)
            assert run.returncode == 2 and "no list of keys is here" in run.stderr
    assert list(tmp_path.iterdir()) == []
    succeed("keys", "add", "x", *absent)
    assert " x\n" in succeed("keys", "list", *absent)
