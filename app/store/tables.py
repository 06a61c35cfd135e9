"""The tables of the store. Rows of ``versions`` and ``audit`` are only ever added.

people    who works here, with a role
studies   what was received, and where its files lie
jobs      drafts to make, with the lease of the worker that makes them
reports   one for each study: which version is the newest, and who holds it
versions  every saved text of a report, with its state, author and hash
phrases   what each person likes to say, by name
answers   what was answered to a request of a person, so that a repeated one is not carried out twice
audit     who did what when, each row chained to the one before by its hash; no patient text
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)
KEY, NAME, HASH = String(64), String(255), String(64)

people = Table(
    "people",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("subject", NAME, nullable=False, unique=True),
    Column("name", NAME, nullable=False),
    Column("role", String(32), nullable=False),
)
studies = Table(
    "studies",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("uid_digest", HASH, nullable=False, unique=True),
    Column("title", NAME, nullable=False),
    Column("folder", Text, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("priority", Integer, nullable=False, default=0),
    Column("facts", Text, nullable=False, default="{}"),
)
jobs = Table(
    "jobs",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("study_id", KEY, ForeignKey(studies.c.id), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("request", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", NAME, nullable=False),
    Column("leased_until", Float, nullable=False),
    Column("stage", String(32), nullable=False),
    Column("share", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("queued_at", Float, nullable=False),
    Column("began_at", Float),
    Column("ended_at", Float),
)
reports = Table(
    "reports",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("study_id", KEY, ForeignKey(studies.c.id), nullable=False, unique=True),
    Column("number", Integer, nullable=False),
    Column("state", String(32), nullable=False, index=True),
    Column("held_by", KEY, ForeignKey(people.c.id)),
    Column("held_until", Float, nullable=False, default=0.0),
)
versions = Table(
    "versions",
    metadata,
    Column("report_id", KEY, ForeignKey(reports.c.id), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(32), nullable=False),
    Column("content", Text, nullable=False),
    Column("sha256", HASH, nullable=False),
    Column("author_id", KEY, ForeignKey(people.c.id), nullable=False),
    Column("saved_at", Float, nullable=False),
    Column("audit_number", BigInteger, nullable=False),
    PrimaryKeyConstraint("report_id", "number"),
)
answers = Table(
    "answers",
    metadata,
    Column("person_id", KEY, nullable=False),
    Column("key", NAME, nullable=False),
    Column("asked_sha256", HASH, nullable=False),
    Column("answer", Text, nullable=False),
    Column("answered_at", Float, nullable=False),
    PrimaryKeyConstraint("person_id", "key"),
)
phrases = Table(
    "phrases",
    metadata,
    Column("person_id", KEY, nullable=False),
    Column("name", String(64), nullable=False),
    Column("text", Text, nullable=False),
    PrimaryKeyConstraint("person_id", "name"),
)
audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("person_id", KEY, nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", KEY, nullable=False),
    Column("facts", Text, nullable=False),
    Column("before", HASH, nullable=False),
    Column("sha256", HASH, nullable=False),
    UniqueConstraint("before"),
)
