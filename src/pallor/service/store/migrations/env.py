"""What Alembic runs; the connection comes from `pallor.service.store.upgrade`."""

from __future__ import annotations

from alembic import context

from pallor.service.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot alter most of a table: Alembic copies it instead.
    render_as_batch=True,
)
context.run_migrations()
