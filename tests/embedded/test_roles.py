"""What the application's role may do, and that nobody can be the cluster's superuser."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile

import psycopg2
import pytest
from psycopg2.extensions import libpq_version, make_dsn, parse_dsn

from booking.db.migrations import migrate
from booking.embedded import EmbeddedPostgresUnavailable, embedded_postgres
from booking.embedded.binaries import find_installation
from booking.embedded.identity import choose_identity
from booking.embedded.layout import Layout
from booking.embedded.reach import within_reach
from tests.embedded.processes import fetch, is_gone
from tests.support.apps import running_app
from tests.support.snapshots import query, violations_of

ROLES = """
    SELECT
        rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin
    FROM pg_roles
    WHERE rolname !~ '^pg_'
    ORDER BY rolname
"""
AS_IT_SHOULD_BE = [
    ("booking", False, False, False, False, False, True),
    ("postgres", True, True, True, True, True, False),
]
MEMBERSHIPS = "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'booking'::regrole"


def test_the_role_owns_its_database_and_may_nothing_else(directory: Path) -> None:
    with embedded_postgres(directory) as url:
        assert query(url, ROLES) == AS_IT_SHOULD_BE
        assert query(url, MEMBERSHIPS) == []
        assert query(url, "SELECT datname FROM pg_database WHERE datdba = 'booking'::regrole") == [
            ("booking",)
        ]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_read_file('/etc/shadow')",
        "SELECT pg_ls_dir('/root')",
        "SELECT lo_import('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/booking-planted'",
        "CREATE TEMPORARY TABLE got (line text); COPY got FROM PROGRAM 'id'",
        "CREATE TEMPORARY TABLE got (line text); COPY got FROM '/etc/passwd'",
        "CREATE FUNCTION run(text) RETURNS int LANGUAGE c AS 'libc.so.6', 'system'",
        "ALTER SYSTEM SET archive_command = 'id'",
        "ALTER ROLE postgres LOGIN PASSWORD 'known'",
        "ALTER ROLE booking SUPERUSER",
        "GRANT pg_execute_server_program TO booking",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "CREATE ROLE another LOGIN",
        "CREATE EXTENSION file_fdw",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_the_role_reaches_no_file_program_or_other_role(shared_url: str, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        fetch(shared_url, statement)


@pytest.fixture(scope="module")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_postgres(tmp_path_factory.mktemp("roles") / "postgres") as url:
        yield url


@pytest.mark.parametrize("password", ["", "postgres", "the application's"])
def test_nobody_logs_in_as_the_superuser(shared_url: str, password: str) -> None:
    fields = parse_dsn(shared_url)
    if password == "the application's":
        password = fields["password"]
    for database in ("booking", "postgres", "template1"):
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(
                make_dsn(shared_url, user="postgres", password=password, dbname=database)
            ).close()


def test_the_application_works_with_that_role(directory: Path) -> None:
    with embedded_postgres(directory) as url:
        migrate(url)
        with running_app(url) as api:
            assert api.get_readiness().status == 200
            booked = api.make_booking(api.create_slot(total_capacity=2))
            assert api.get_booking(booked).data["status"] in {"CONFIRMED", "PENDING"}
        assert violations_of(url) == {}


def test_data_of_the_time_before_get_the_roles_of_now(tmp_path: Path) -> None:
    directory = tmp_path / "postgres"
    password = make_data_of_the_time_before(directory)
    with embedded_postgres(directory) as url:
        assert query(url, ROLES) == AS_IT_SHOULD_BE
        assert fetch(url, "SELECT name FROM kept") == "of the time before"
        # The owner of all that is in it, sequences and functions too: it can change and drop them.
        fetch(url, "ALTER TABLE kept ADD COLUMN note text")
        fetch(url, "INSERT INTO kept (name) VALUES ('new')")
        fetch(url, "DROP VIEW seen; DROP FUNCTION twice; DROP TYPE colour; DROP TABLE kept")
        # What was the superuser's password opens nothing.
        for user in ("booking", "postgres"):
            with pytest.raises(psycopg2.OperationalError, match="password"):
                psycopg2.connect(make_dsn(url, user=user, password=password))
        assert not (directory / "password").exists()
    assert is_gone(directory)
    with embedded_postgres(directory) as url:
        migrate(url)


MADE_BY_HAND = """
    CREATE SCHEMA mine;
    CREATE TABLE mine.kept (first int, second int);
    CREATE STATISTICS mine.both_columns ON first, second FROM mine.kept;
    CREATE TYPE mine.pair AS (first int, second int);
    CREATE DOMAIN mine.few AS int;
    CREATE TEXT SEARCH TEMPLATE plain (LEXIZE = dsimple_lexize);
    CREATE ROLE postgres SUPERUSER LOGIN PASSWORD 'known';
    CREATE ROLE booking_helper;
    CREATE TABLE another (id int);
    ALTER TABLE another OWNER TO booking_helper;
    DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
            CREATE EXTENSION pg_trgm;
        END IF;
    END $$;\n
"""


def test_data_of_the_time_before_may_have_anything_in_them(tmp_path: Path) -> None:
    """The role was a superuser: whoever had it could make whatever there is."""
    directory = tmp_path / "postgres"
    make_data_of_the_time_before(directory, MADE_BY_HAND)
    with embedded_postgres(directory) as url:
        superusers = query(url, "SELECT oid, rolcanlogin FROM pg_roles WHERE rolsuper")
        assert superusers == [(10, False)]
        assert fetch(url, "SELECT tableowner FROM pg_tables WHERE tablename = 'another'") == (
            "booking_helper"
        )
        foreign = """
            SELECT count(*)
            FROM pg_proc AS function
            JOIN pg_depend AS part ON part.objid = function.oid AND part.deptype = 'e'
            WHERE function.proowner = 'booking'::regrole
        """
        assert fetch(url, foreign) == 0
        fetch(url, "DROP STATISTICS mine.both_columns; DROP TYPE mine.pair; DROP DOMAIN mine.few")
        fetch(url, "DROP TABLE mine.kept; DROP SCHEMA mine")


def test_a_failure_to_change_data_of_the_time_before_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "postgres"
    make_data_of_the_time_before(
        directory,
        "CREATE ROLE helper SUPERUSER;"
        "SET SESSION AUTHORIZATION helper;"
        "ALTER ROLE booking RENAME TO somebody;\n\n",
    )
    with (
        pytest.raises(EmbeddedPostgresUnavailable) as refused,
        embedded_postgres(directory),
    ):
        pytest.fail("there is no role booking")
    assert 'role "booking" does not exist' in str(refused.value)
    for said in (str(refused.value), (directory / "postgres.log").read_text()):
        assert "PASSWORD" not in said


def make_data_of_the_time_before(directory: Path, also: str = "") -> str:
    """Make data whose role booking is the cluster's superuser; return its password."""
    password = secrets.token_urlsafe(24)
    data = directory / "data"
    data.mkdir(parents=True, mode=0o700)
    (directory / "password").touch(mode=0o600)
    (directory / "password").write_text(password)
    identity = choose_identity(Layout(directory))
    identity.own(data)
    made = """
        CREATE TABLE kept (id bigserial PRIMARY KEY, name text);
        INSERT INTO kept (name) VALUES ('of the time before');
        CREATE VIEW seen AS SELECT name FROM kept;
        CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
        CREATE TYPE colour AS ENUM ('red');\n
    """
    with (
        within_reach(find_installation(), identity) as installation,
        identity.reaching(data) as (place, descriptors),
        TemporaryFile() as told,
    ):
        initdb = [str(installation.program("initdb")), "-U", "booking", "--encoding=UTF8"]
        initdb += ["--auth=scram-sha-256", "--locale=C"]
        single = [str(installation.program("postgres")), "--single", "-j"]
        single += ["-c", "exit_on_error=on"]
        told.write(f"{password}\n".encode())
        told.flush()
        os.fchown(told.fileno(), data.stat().st_uid, -1)
        for command, said in (
            ([*initdb, "-D", str(place), f"--pwfile=/dev/fd/{told.fileno()}"], ""),
            ([*single, "-D", str(place), "postgres"], "CREATE DATABASE booking;\n\n"),
            ([*single, "-D", str(place), "booking"], made),
            *([([*single, "-D", str(place), "booking"], also)] if also else ()),
        ):
            subprocess.run(
                command,
                input=said.encode(),
                user=data.stat().st_uid,
                cwd="/",
                pass_fds=[*descriptors, told.fileno()],
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                capture_output=True,
                check=True,
            )
    return password


@pytest.mark.skipif(libpq_version() < 160000, reason="libpq 16 brought require_auth")
def test_who_listens_in_the_servers_place_is_told_no_password(directory: Path) -> None:
    with embedded_postgres(directory) as url:
        password = parse_dsn(url)["password"]
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        thread = threading.Thread(target=ask_for_the_password, args=(impostor, heard))
        thread.start()
        port = impostor.getsockname()[1]
        with pytest.raises(psycopg2.OperationalError, match="method requirement"):
            psycopg2.connect(make_dsn(url, port=port, sslmode="disable"), connect_timeout=5)
        thread.join()
    assert heard[0].count(b"booking") == 2
    assert password.encode() not in b"".join(heard)


def ask_for_the_password(impostor: socket.socket, heard: list[bytes]) -> None:
    """Answer a client with AuthenticationCleartextPassword, and keep what it says.

    PostgreSQL documentation, "Message Formats".
    """
    client, _ = impostor.accept()
    with closing(client):
        client.settimeout(5)
        heard.append(client.recv(4096))
        client.sendall(b"R" + (8).to_bytes(4) + (3).to_bytes(4))
        heard.append(client.recv(4096))
