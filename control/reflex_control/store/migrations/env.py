"""What Alembic runs: the steps on the connection that `migrating` holds open."""

from __future__ import annotations

from alembic import context

from reflex_control.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite changes a table by copying it.
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
