"""The first tables; rows of versions and audit can be added, never changed or taken away."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY, NAME, HASH = sa.String(64), sa.String(255), sa.String(64)
ONLY_ADDED = ("versions", "audit")


def upgrade() -> None:
    """Make the tables and what guards them."""
    op.create_table(
        "people",
        sa.Column("id", KEY, nullable=False),
        sa.Column("subject", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("subject", name="uq_people_subject"),
    )
    op.create_table(
        "studies",
        sa.Column("id", KEY, nullable=False),
        sa.Column("uid_digest", HASH, nullable=False),
        sa.Column("title", NAME, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("received_at", sa.Float, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.UniqueConstraint("uid_digest", name="uq_studies_uid_digest"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", KEY, nullable=False),
        sa.Column("study_id", KEY, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("worker", NAME, nullable=False),
        sa.Column("leased_until", sa.Float, nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("share", sa.Float, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("queued_at", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_jobs_study_id"),
    )
    op.create_index("ix_jobs_study_id", "jobs", ["study_id"])
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_table(
        "reports",
        sa.Column("id", KEY, nullable=False),
        sa.Column("study_id", KEY, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("held_by", KEY),
        sa.Column("held_until", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
        sa.UniqueConstraint("study_id", name="uq_reports_study_id"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_reports_study_id"),
        sa.ForeignKeyConstraint(["held_by"], ["people.id"], name="fk_reports_held_by"),
    )
    op.create_index("ix_reports_state", "reports", ["state"])
    op.create_table(
        "versions",
        sa.Column("report_id", KEY, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("sha256", HASH, nullable=False),
        sa.Column("author_id", KEY, nullable=False),
        sa.Column("saved_at", sa.Float, nullable=False),
        sa.Column("audit_number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("report_id", "number", name="pk_versions"),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_versions_report_id"),
        sa.ForeignKeyConstraint(["author_id"], ["people.id"], name="fk_versions_author_id"),
    )
    op.create_table(
        "answers",
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("asked_sha256", HASH, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("answered_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("person_id", "key", name="pk_answers"),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", KEY, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("before", HASH, nullable=False),
        sa.Column("sha256", HASH, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
        sa.UniqueConstraint("before", name="uq_audit_before"),
    )
    guard = _guard_of_sqlite if op.get_bind().dialect.name == "sqlite" else _guard_of_postgresql
    for table in ONLY_ADDED:
        guard(table)


def _guard_of_sqlite(table: str) -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are only added'); END"
        )


def _guard_of_postgresql(table: str) -> None:
    op.execute(
        f"CREATE FUNCTION {table}_only_added() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'rows of {table} are only added'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_only_added()"
    )
