"""When a draft was begun, from which the time that is left is told."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add it."""
    op.add_column("jobs", sa.Column("began_at", sa.Float))
