"""The migration of the study's tables, and the texts of consent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pallor.errors import UsageError
from pallor.service.settings import ServiceSettings
from pallor.service.store.database import make_engine
from pallor.service.store.engine import open_store
from pallor.service.study.consent import MAX_TEXT, ConsentTexts
from pallor.service.study.study import Study
from service_databases import postgres, settings

__all__ = ["postgres", "settings"]


def migrate(settings: ServiceSettings, revision: str, *, down: bool = False) -> None:
    from alembic import command
    from alembic.config import Config

    import pallor.service.store.upgrade as upgrading

    engine = make_engine(settings.url)
    config = Config()
    config.set_main_option("script_location", str(Path(upgrading.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, revision)
    engine.dispose()


def rows(settings: ServiceSettings, table: str) -> list[dict[str, Any]]:
    from sqlalchemy import text

    engine = make_engine(settings.url)
    with engine.begin() as connection:
        found = connection.execute(text(f"SELECT * FROM {table} ORDER BY id"))  # noqa: S608
        answer = [dict(row) for row in found.mappings()]
    engine.dispose()
    return answer


TABLES = ("participants", "consents", "sessions", "hemoglobin_values", "clips")


def fill_first_version(settings: ServiceSettings) -> None:
    from sqlalchemy import text

    engine = make_engine(settings.url)
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO participants (id, code, note, age_years, created_s, changed_s)"
            " VALUES (3, 'a', 'x', 31.5, 1, 2), (7, 'b', NULL, NULL, 1, 2)",
            "INSERT INTO consents (id, participant_id, version, language, keeps_video, given_s)"
            " VALUES (1, 3, 'v', 'en', true, 1), (2, 7, 'v', 'tr', false, 1)",
            "INSERT INTO sessions (id, participant_id, name, date, site, created_s)"
            " VALUES (1, 3, '1', '2025-01-01', 's', 1), (2, 7, '1', NULL, NULL, 1)",
            "INSERT INTO hemoglobin_values"
            " (id, session_id, value, unit, hemoglobin_g_dl, method, created_s)"
            " VALUES (1, 1, 131, 'g/L', 13.1, 'venous_cbc', 1)",
            "INSERT INTO clips"
            " (id, session_id, file_token, suffix, bytes, sha256, simulated, created_s)"
            " VALUES (1, 1, 't', '.webm', 8589934592, 'h', false, 1)",
        ):
            connection.execute(text(statement))
    engine.dispose()


def test_what_a_first_version_holds_stays(settings: ServiceSettings) -> None:
    settings.clips.mkdir(parents=True)
    settings.data.chmod(0o700)
    (settings.clips / "t").touch()
    migrate(settings, "0001")
    fill_first_version(settings)
    before = {table: rows(settings, table) for table in TABLES}
    store = open_store(settings)
    store.close()
    new = {"sessions": {"pregnancy": None}, "clips": {"job_id": None}}
    for table in TABLES:
        assert rows(settings, table) == [{**row, **new.get(table, {})} for row in before[table]], (
            table
        )
    migrate(settings, "0001", down=True)
    assert {table: rows(settings, table) for table in TABLES} == before
    migrate(settings, "head")
    assert len(rows(settings, "clips")) == 1


def test_what_was_migrated_still_hangs_together(settings: ServiceSettings) -> None:
    from sqlalchemy import text

    settings.data.mkdir()
    migrate(settings, "0001")
    fill_first_version(settings)
    migrate(settings, "head")
    engine = make_engine(settings.url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM participants WHERE code = 'a'"))
    engine.dispose()
    assert [len(rows(settings, table)) for table in TABLES] == [1, 1, 1, 0, 0]


def test_sqlite_never_gives_an_id_again(tmp_path: Path) -> None:
    from sqlalchemy import text

    settings = ServiceSettings(tmp_path / "data")
    store = open_store(settings)
    with store.reading() as session:
        made = dict(
            session.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all()  # type: ignore[arg-type]
        )
        assert session.scalar(text("PRAGMA integrity_check")) == "ok"
        assert session.execute(text("PRAGMA foreign_key_check")).all() == []
    assert all("AUTOINCREMENT" in made[table] for table in TABLES)
    # What refers to a table refers to that of today, not to the one that was dropped.
    assert not any("_0001" in sql for sql in made.values())
    store.close()


def test_templates_of_consent() -> None:
    texts = ConsentTexts.read()
    assert texts.languages == ("en", "tr")
    for language, first in (("en", "TEMPLATE"), ("tr", "ŞABLON")):
        found, text = texts.in_language(language)
        assert found == language and text.text.startswith(first) and len(text.version) == 12
    assert texts.in_language("de")[0] == "en" and texts.in_language("tr-TR")[0] == "tr"


def test_consent_texts_of_the_study(tmp_path: Path) -> None:
    folder = tmp_path / "consent"
    folder.mkdir()
    (folder / "de.txt").write_bytes(b"\xef\xbb\xbfEinwilligung\r\n\r\nSo.\r\n")
    (folder / "README.txt").write_text("no language")
    settings = ServiceSettings(tmp_path / "data", consent=folder)
    store = open_store(settings)
    texts = Study.open(settings, store).consent
    store.close()
    assert texts.languages == ("de",) and texts.in_language("en")[1].text == "Einwilligung\n\nSo."
    version = texts.texts["de"].version
    (folder / "de.txt").write_text("Einwilligung\n\nSo.")
    assert ConsentTexts.read(folder).texts["de"].version == version
    (folder / "de.txt").write_text("Einwilligung\n\nAnders.")
    assert ConsentTexts.read(folder).texts["de"].version != version


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no consent text"), (b"\xff\xfe", "UTF-8"), (b" \n", "empty"),
        (b"x" * (MAX_TEXT + 1), "more than"), (b"a\x00b", "NUL"),
    ],
)  # fmt: skip
def test_consent_texts_that_cannot_be_used(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "en.txt").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        ConsentTexts.read(tmp_path)


def test_a_folder_of_consent_texts_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no consent text"):
        ConsentTexts.read(tmp_path / "none")
