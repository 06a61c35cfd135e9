"""Both databases of the store: SQLite in a file, PostgreSQL of Debian's package as a cluster of its own."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from app.store import people, studies
from app.store.database import open_database, transaction
from app.store.people import Role

IS_WANTED = os.environ.get("TEST_POSTGRES") == "1"
"""The tests of PostgreSQL run by themselves: a cluster is started for them, which takes root and some seconds."""
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="session")
def cluster():
    """The address of a PostgreSQL that only this test run uses, reached through a socket in a folder of its own."""
    if not IS_WANTED:
        pytest.skip("PostgreSQL has a run of its own: TEST_POSTGRES=1 make test TESTS=tests/unit/app/store")
    if not BINARIES or shutil.which("runuser") is None or os.geteuid() != 0:
        pytest.skip("needs PostgreSQL from Debian's package, and root to start it as its own user")
    pytest.importorskip("pg8000")
    folder = Path(tempfile.mkdtemp(prefix="medomni-pg-", dir="/tmp"))
    shutil.chown(folder, "postgres")

    def run(program, *words):
        command = ["runuser", "-u", "postgres", "--", BINARIES[-1] / program, *words]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, start_new_session=True)

    try:
        run("initdb", "-D", folder / "data", "-U", "medomni", "--auth=trust", "--no-sync")
        settings = f"-k {folder} -c listen_addresses= -c fsync=off"
        run("pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", settings, "start")
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"PostgreSQL does not start here ({type(error).__name__})")
    yield f"postgresql+pg8000://medomni@/postgres?unix_sock={folder}/.s.PGSQL.5432"
    run("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    whole = request.getfixturevalue("cluster")
    from sqlalchemy import create_engine

    name = f"t{os.urandom(6).hex()}"
    server = create_engine(whole, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(whole).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def engine(address):
    """The store's database, with its tables."""
    made = open_database(address)
    yield made
    made.dispose()


@pytest.fixture
def staff(engine):
    """One person of each role, by role."""
    with transaction(engine) as tx:
        return {role: people.known(tx, role.value, role.value.title(), role) for role in Role}


@pytest.fixture
def study(engine, staff, tmp_path):
    with transaction(engine) as tx:
        return studies.receive(tx, staff[Role.INTEGRATION], "1.2.3", "Chest CT", tmp_path)
