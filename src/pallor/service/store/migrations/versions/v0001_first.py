"""The first tables.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_s", sa.Float(precision=53), nullable=False),
        sa.Column("revoked_s", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("secret_sha256"),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("time_s", sa.Float(precision=53), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_log_time_s", "audit_log", ["time_s"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_s", sa.Float(precision=53), nullable=False),
        sa.Column("started_s", sa.Float(precision=53), nullable=True),
        sa.Column("finished_s", sa.Float(precision=53), nullable=True),
        sa.Column("heartbeat_s", sa.Float(precision=53), nullable=True),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("share", sa.Float(precision=53), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=True),
        sa.Column("file_token", sa.String(length=64), nullable=True),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_jobs_owner", "jobs", ["owner"], unique=False)
    op.create_index("ix_jobs_state_created_s", "jobs", ["state", "created_s"], unique=False)
    op.create_index("ix_jobs_worker_id", "jobs", ["worker_id"], unique=False)
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
    )
    op.create_index("ix_consents_participant_id", "consents", ["participant_id"], unique=False)
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
    )
    op.create_index("ix_sessions_participant_id", "sessions", ["participant_id"], unique=False)
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
    )
    op.create_index("ix_clips_session_id", "clips", ["session_id"], unique=False)
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
    )
    op.create_index(
        "ix_hemoglobin_values_session_id", "hemoglobin_values", ["session_id"], unique=False
    )


def downgrade() -> None:
    """Drop them, with everything in them."""
    op.drop_index("ix_hemoglobin_values_session_id", table_name="hemoglobin_values")
    op.drop_table("hemoglobin_values")
    op.drop_index("ix_clips_session_id", table_name="clips")
    op.drop_table("clips")
    op.drop_index("ix_sessions_participant_id", table_name="sessions")
    op.drop_table("sessions")
    op.drop_index("ix_consents_participant_id", table_name="consents")
    op.drop_table("consents")
    op.drop_table("participants")
    op.drop_index("ix_jobs_worker_id", table_name="jobs")
    op.drop_index("ix_jobs_state_created_s", table_name="jobs")
    op.drop_index("ix_jobs_owner", table_name="jobs")
    op.drop_table("jobs")
    op.drop_index("ix_audit_log_time_s", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_table("api_keys")
