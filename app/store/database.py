"""The database behind the store: SQLite in MedOmni's folder, or PostgreSQL by address; one transaction at a time writes.

    address -> Engine, migrated -> transaction

SQLite keeps what was acknowledged through a crash: write-ahead log, every commit on the disk (``synchronous=FULL``), and a writer
takes its lock when it begins, so that two never wait for each other in vain.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text

from app import kill

PATIENCE_S = 15
"""How long a writer waits for another."""
MIGRATIONS = Path(__file__).with_name("migrations")
_WRITERS = 0x4D65644F6D6E69
"""Number of the advisory lock that writers of the audit take on PostgreSQL ("MedOmni")."""


def open_database(address: str) -> Engine:
    """Return the database, brought to the newest form of its tables.

    Args:
        address: ``sqlite:///PATH`` or ``postgresql+pg8000://...``.
    """
    if address.startswith("sqlite"):
        engine = create_engine(address, connect_args={"timeout": PATIENCE_S})
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    else:
        engine = create_engine(address, pool_pre_ping=True)
    migrate(engine)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the tables to their newest form; safe to run again and by several processes at once."""
    with transaction(engine) as tx:
        settings = Config()
        settings.set_main_option("script_location", str(MIGRATIONS))
        settings.attributes["connection"] = tx
        command.upgrade(settings, "head")
        kill.at("migration.done")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction that may write: all of it is kept, or nothing; writers follow one another."""
    with engine.begin() as tx:
        if engine.dialect.name == "postgresql":
            tx.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _WRITERS})
        yield tx


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that only reads, and waits for no writer."""
    with engine.connect().execution_options(medomni_reads=True) as connection:
        yield connection


def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401
    connection.isolation_level = None  # transactions begin where we say
    cursor = connection.cursor()
    for line in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={PATIENCE_S * 1000}"):
        cursor.execute(f"PRAGMA {line}")
    cursor.close()


def _begin(connection: Connection) -> None:
    is_reading = connection.get_execution_options().get("medomni_reads", False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")
