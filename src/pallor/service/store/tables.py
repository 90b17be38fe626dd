"""The tables. A change here needs a migration beside it: a test compares the two.

Times are seconds since 1970 (UTC) as doubles, dates of a study are ISO 8601 text.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the tables share."""


class JobRow(Base):
    """One clip on its way to an estimate."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state_created_s", "state", "created_s"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    created_s: Mapped[float] = mapped_column(Float(53))
    started_s: Mapped[float | None] = mapped_column(Float(53))
    finished_s: Mapped[float | None] = mapped_column(Float(53))
    heartbeat_s: Mapped[float | None] = mapped_column(Float(53))
    stage: Mapped[str] = mapped_column(String(32))
    share: Mapped[float] = mapped_column(Float(53))
    attempts: Mapped[int]
    worker_id: Mapped[str | None] = mapped_column(String(64), index=True)
    file_token: Mapped[str | None] = mapped_column(String(64))
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    code: Mapped[str | None] = mapped_column(String(64))
    text: Mapped[str | None] = mapped_column(Text)
    # No foreign key: a revoked or removed key must not take results with it.
    owner: Mapped[str | None] = mapped_column(String(64), index=True)


class KeyRow(Base):
    """One key of access; of its secret only the hash."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    secret_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_s: Mapped[float] = mapped_column(Float(53))
    revoked_s: Mapped[float | None] = mapped_column(Float(53))


class AuditRow(Base):
    """Who did what; rows are only ever added."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time_s: Mapped[float] = mapped_column(Float(53), index=True)
    who: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(64))
    what: Mapped[str] = mapped_column(Text)


# SQLite would give the id of the last row again once that row is deleted; the audit log names
# people by their ids.
_NEVER_AGAIN = {"sqlite_autoincrement": True}


class ParticipantRow(Base):
    """One person of a study, under the code that the study chose."""

    __tablename__ = "participants"
    __table_args__ = _NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    code: Mapped[str] = mapped_column(String(64), unique=True)
    sex: Mapped[str | None] = mapped_column(String(16))
    age_years: Mapped[float | None] = mapped_column(Float(53))
    pregnancy: Mapped[str | None] = mapped_column(String(64))
    altitude_m: Mapped[float | None] = mapped_column(Float(53))
    smoking: Mapped[str | None] = mapped_column(String(64))
    note: Mapped[str | None] = mapped_column(Text)
    created_s: Mapped[float] = mapped_column(Float(53))
    changed_s: Mapped[float] = mapped_column(Float(53))


class ConsentRow(Base):
    """What a participant agreed to, and when."""

    __tablename__ = "consents"
    __table_args__ = _NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), index=True
    )
    version: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(16))
    keeps_video: Mapped[bool]
    given_s: Mapped[float] = mapped_column(Float(53))
    recorded_by: Mapped[str | None] = mapped_column(String(200))


class SessionRow(Base):
    """One visit of a participant."""

    __tablename__ = "sessions"
    __table_args__ = (UniqueConstraint("participant_id", "name"), _NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participants.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(String(64))
    date: Mapped[str | None] = mapped_column(String(32))
    site: Mapped[str | None] = mapped_column(String(200))
    pregnancy: Mapped[str | None] = mapped_column(String(64))
    created_s: Mapped[float] = mapped_column(Float(53))


class HemoglobinRow(Base):
    """One reference value, as it was entered and in g/dL."""

    __tablename__ = "hemoglobin_values"
    __table_args__ = _NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    session_id: Mapped[int] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), index=True
    )
    value: Mapped[float] = mapped_column(Float(53))
    unit: Mapped[str] = mapped_column(String(16))
    hemoglobin_g_dl: Mapped[float] = mapped_column(Float(53))
    method: Mapped[str] = mapped_column(String(64))
    measured_on: Mapped[str | None] = mapped_column(String(32))
    created_s: Mapped[float] = mapped_column(Float(53))


class ClipRow(Base):
    """One clip that the study keeps."""

    __tablename__ = "clips"
    __table_args__ = _NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    session_id: Mapped[int] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), index=True
    )
    file_token: Mapped[str] = mapped_column(String(64), unique=True)
    suffix: Mapped[str] = mapped_column(String(8))
    camera: Mapped[str | None] = mapped_column(String(200))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    simulated: Mapped[bool]
    created_s: Mapped[float] = mapped_column(Float(53))
    # No foreign key: whoever deletes the one deletes the other, in the same transaction.
    job_id: Mapped[str | None] = mapped_column(String(64), index=True)


class ClipFileRow(Base):
    """A file that is to be deleted, unless a clip comes to own it: it is on its way in or out."""

    __tablename__ = "clip_files_due"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_s: Mapped[float] = mapped_column(Float(53))


class InstanceRow(Base):
    """The id that the database shares with its data folder: one row, with the number 1."""

    __tablename__ = "instance"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(String(64))
