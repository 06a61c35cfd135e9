"""What a worklist shows of a study, and each person's phrases."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them."""
    op.add_column("studies", sa.Column("facts", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "phrases",
        sa.Column("person_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("person_id", "name", name="pk_phrases"),
    )
