"""Clips have a check and a journal of their files, visits a pregnancy; ids never come again.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("participants", "consents", "sessions", "hemoglobin_values", "clips")
"""Whoever is referred to comes first."""

_INDEXES = (
    ("ix_consents_participant_id", "consents", "participant_id"),
    ("ix_sessions_participant_id", "sessions", "participant_id"),
    ("ix_hemoglobin_values_session_id", "hemoglobin_values", "session_id"),
    ("ix_clips_session_id", "clips", "session_id"),
)


def upgrade() -> None:
    """Add what is new."""
    if op.get_bind().dialect.name == "sqlite":
        _make_again()
    op.add_column("clips", sa.Column("job_id", sa.String(length=64), nullable=True))
    op.create_index("ix_clips_job_id", "clips", ["job_id"], unique=False)
    op.add_column("sessions", sa.Column("pregnancy", sa.String(length=64), nullable=True))
    op.create_table(
        "clip_files_due",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("created_s", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("token"),
    )


def downgrade() -> None:
    """Drop it; ids go on never coming again."""
    op.drop_table("clip_files_due")
    op.drop_column("sessions", "pregnancy")
    op.drop_index("ix_clips_job_id", table_name="clips")
    op.drop_column("clips", "job_id")


def _make_again() -> None:
    """Give the tables of SQLite ids that never come again, which cannot be added to a table.

    The old ones are renamed, with what refers to them, and dropped from the last to the first:
    dropping one that others refer to would delete their rows.
    """
    for name, table, _ in _INDEXES:
        op.drop_index(name, table_name=table)
    for table in _TABLES:
        op.rename_table(table, f"{table}_0001")
    _create_tables()
    for table in _TABLES:
        op.execute(f"INSERT INTO {table} SELECT * FROM {table}_0001")  # noqa: S608 - own names
    for table in reversed(_TABLES):
        op.drop_table(f"{table}_0001")
    for name, table, column in _INDEXES:
        op.create_index(name, table, [column], unique=False)


def _create_tables() -> None:
    """Make the tables as they were, their columns in the same order."""
    op.create_table(
        "participants",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("sex", sa.String(length=16), nullable=True),
        sa.Column("age_years", sa.Float(precision=53), nullable=True),
        sa.Column("pregnancy", sa.String(length=64), nullable=True),
        sa.Column("altitude_m", sa.Float(precision=53), nullable=True),
        sa.Column("smoking", sa.String(length=64), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_s", sa.Float(precision=53), nullable=False),
        sa.Column("changed_s", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("participant_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("keeps_video", sa.Boolean(), nullable=False),
        sa.Column("given_s", sa.Float(precision=53), nullable=False),
        sa.Column("recorded_by", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("participant_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("date", sa.String(length=32), nullable=True),
        sa.Column("site", sa.String(length=200), nullable=True),
        sa.Column("created_s", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("participant_id", "name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "hemoglobin_values",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=False),
        sa.Column("unit", sa.String(length=16), nullable=False),
        sa.Column("hemoglobin_g_dl", sa.Float(precision=53), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("measured_on", sa.String(length=32), nullable=True),
        sa.Column("created_s", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "clips",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("file_token", sa.String(length=64), nullable=False),
        sa.Column("suffix", sa.String(length=8), nullable=False),
        sa.Column("camera", sa.String(length=200), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("created_s", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("file_token"),
        sqlite_autoincrement=True,
    )
