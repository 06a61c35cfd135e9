"""Alembic's door: runs the migrations on the connection that the store hands in."""

from alembic import context

from app import kill
from app.store.tables import metadata


def _applied(*_given: object, **_told: object) -> None:
    kill.at("migration.step")


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    on_version_apply=_applied,
)
with context.begin_transaction():
    context.run_migrations()
