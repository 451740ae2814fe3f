"""Migrations that meet those who use the tables, or lose their connection, and go on afterwards."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from booking.db import backoff as patience
from booking.db import migrations
from booking.db.connection import SIGN_OF_LIFE_SECONDS, UNACKNOWLEDGED_SECONDS, connect
from booking.db.migrations import (
    LOCK_NUMBER,
    LOCK_SPACE,
    MIGRATIONS,
    MigrationError,
    MigrationInterrupted,
    migrate,
)
from tests.support.apps import api_over_http
from tests.support.servers import SERVE, LiveServer
from tests.support.sessions import Session, holding, terminate, wait_until, waiting_for
from tests.support.snapshots import query
from tests.support.threads import background, result, results

NAMES = [path.stem for path in sorted(MIGRATIONS.glob("*.sql"))]
READING_SLOTS = "SELECT count(*) FROM slots"
READING_BOOKINGS = "SELECT count(*) FROM bookings"
END_MIGRATIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = %s AND application_name = 'booking migrate'
"""
ENDS_ITS_SESSION_AT_THE_COMMIT = """
CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NULL;
END
$$;
CREATE TABLE ending (id integer);
CREATE CONSTRAINT TRIGGER ending_ends AFTER INSERT ON ending
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION end_session();
INSERT INTO ending VALUES (1);
"""


@pytest.fixture
def url(new_database: Callable[..., str]) -> str:
    return new_database()


@pytest.fixture
def altering(folder: Path) -> Path:
    """The project's files and one that needs a table, and then another, for itself."""
    (folder / "9001_alter.sql").write_text(
        "ALTER TABLE slots ADD COLUMN later integer;ALTER TABLE bookings ADD COLUMN later integer;"
    )
    return folder


def tries_again(caplog: pytest.LogCaptureFixture) -> list[float]:
    """Return when each try was given up, in seconds."""
    return [record.created for record in caplog.records if "tried again" in record.getMessage()]


def test_deadlock_with_a_booking_is_tried_again(
    url: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "9001_alter.sql").write_text(
        "ALTER TABLE slots ADD COLUMN later integer;"
        "SELECT pg_advisory_xact_lock(9001);"
        "ALTER TABLE bookings ADD COLUMN later integer;"
    )
    with (
        background() as start,
        holding(url, "SELECT pg_advisory_xact_lock(9001)") as step,
        holding(url, READING_BOOKINGS) as booking,
    ):
        # So it is the migration that PostgreSQL ends.
        booking.execute("SET LOCAL deadlock_timeout = '60s'")
        migrating = start(lambda: migrate(url, folder))
        [migration] = step.wait_for_waiters()
        reading = start(lambda: booking.execute(READING_SLOTS))
        wait_until(lambda: booking.pid in waiting_for(url, migration), "the booking to wait")
        step.rollback()
        result(reading)
        booking.commit()
        assert result(migrating) == ["9001_alter"]
    assert "deadlock detected" in caplog.text
    assert len(tries_again(caplog)) == 1


@pytest.mark.parametrize("servers", [1, 3])
def test_table_in_use_is_waited_for_a_bounded_time_and_tried_again(
    url: str,
    altering: Path,
    servers: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrations, "DDL_LOCK_TIMEOUT", "200ms")
    monkeypatch.setattr(patience, "MIN_REST_SECONDS", 0.01)
    with background() as start, holding(url, READING_SLOTS) as reader:
        migrating = [start(lambda: migrate(url, altering)) for _ in range(servers)]
        wait_until(lambda: len(tries_again(caplog)) >= 3, "three tries")
        reader.commit()
        assert sorted(results(migrating)) == [[]] * (servers - 1) + [["9001_alter"]]
    first, second, third, *_ = tries_again(caplog)
    # Those who queued up behind the 200 ms had twice that before the next, of whichever server.
    assert min(second - first, third - second) > 0.59


def test_patience_with_a_table_in_use_has_an_end(
    url: str, altering: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "DDL_LOCK_TIMEOUT", "50ms")
    with holding(url, READING_SLOTS):
        with pytest.raises(MigrationInterrupted, match=r"^9001_alter: .*lock timeout") as caught:
            migrate(url, altering, patience_seconds=2)
        assert "\n" not in str(caught.value)
        assert tries_again(caplog)
        caplog.clear()
        with pytest.raises(MigrationInterrupted, match=r"^9001_alter: .*lock timeout"):
            migrate(url, altering, patience_seconds=0)
        assert not tries_again(caplog)
    assert migrate(url, altering) == ["9001_alter"]


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout"])
def test_limits_of_the_role_do_not_hold(url: str, folder: Path, limit: str) -> None:
    # Each holds for a statement that waits for a lock; a marked file has no limit of ours.
    (folder / "9001_wait.sql").write_text(
        "-- transaction: none\nSELECT pg_sleep(0.3), pg_advisory_lock(9001);"
    )
    with background() as start, holding(url, "SELECT pg_advisory_xact_lock(9001)") as holder:
        query(url, f'ALTER DATABASE "{parse_dsn(url)["dbname"]}" SET {limit} = 100')
        migrating = start(lambda: migrate(url, folder, patience_seconds=0))
        holder.wait_for_waiters()
        holder.execute("SELECT pg_sleep(0.3)")
        holder.rollback()
        assert result(migrating) == ["9001_wait"]


def test_database_that_vanished_is_given_up(url: str) -> None:
    with closing(connect(url, application_name="booking migrate")) as conn:
        asked = conn.info.dsn_parameters
    assert asked["tcp_user_timeout"] == str(1000 * UNACKNOWLEDGED_SECONDS)
    assert asked["keepalives_idle"] == str(SIGN_OF_LIFE_SECONDS)


def test_connection_lost_in_mid_file_is_made_again(
    url: str, server_url: str, altering: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = parse_dsn(url)["dbname"]
    with background() as start, holding(url, READING_BOOKINGS) as reader:
        migrating = start(lambda: migrate(url, altering))
        reader.wait_for_waiters()
        query(server_url, f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
        query(server_url, END_MIGRATIONS, database)
        wait_until(lambda: len(tries_again(caplog)) >= 2, "a try to connect again")
        query(server_url, f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')
        reader.wait_for_waiters()
        reader.commit()
        assert result(migrating) == ["9001_alter"]
    assert "not currently accepting connections" in caplog.text


def test_connection_lost_at_the_commit_is_an_interruption(url: str, folder: Path) -> None:
    (folder / "9001_end.sql").write_text(ENDS_ITS_SESSION_AT_THE_COMMIT)
    with pytest.raises(MigrationInterrupted, match=r"^9001_end: .*lost at the commit"):
        migrate(url, folder, patience_seconds=0)


@pytest.mark.parametrize(
    ("sqlstate", "may_pass"),
    [
        ("53100", True),
        ("53200", True),
        ("58030", True),
        ("25006", True),
        ("40001", True),
        ("57014", False),
        ("55006", False),
        ("54000", False),
        ("42P01", False),
        ("23514", False),
    ],
)
def test_what_may_pass_and_what_will_not(
    url: str, folder: Path, sqlstate: str, may_pass: bool
) -> None:
    (folder / "9001_fails.sql").write_text(
        f"DO $$ BEGIN RAISE 'it fails' USING ERRCODE = '{sqlstate}'; END $$"
    )
    with pytest.raises(MigrationError, match=r"^9001_fails: it fails") as caught:
        migrate(url, folder, patience_seconds=0)
    assert isinstance(caught.value, MigrationInterrupted) == may_pass


def test_database_that_takes_no_writes_is_an_interruption(empty: str) -> None:
    take_no_writes(empty)
    with pytest.raises(MigrationInterrupted, match=r"^schema_migrations: .*read-only"):
        migrate(empty, patience_seconds=0)


def test_database_that_takes_no_writes_and_needs_none_is_up_to_date(url: str) -> None:
    take_no_writes(url)
    assert migrate(url, patience_seconds=0) == []


def test_what_is_wrong_with_the_files_is_told_while_another_migrates(
    url: str, folder: Path
) -> None:
    (folder / f"{NAMES[1]}.sql").unlink()
    with (
        holding(url, "SELECT pg_advisory_lock(%s, %s)", LOCK_SPACE, LOCK_NUMBER),
        pytest.raises(MigrationError, match=r"not among the files"),
    ):
        migrate(url, folder, patience_seconds=0)


def test_server_whose_migration_was_interrupted_is_not_ready_until_it_is_done(
    empty: str, folder: Path
) -> None:
    for path in sorted(folder.glob("*.sql"))[1:]:
        path.unlink()
    migrate(empty, folder)

    with background() as start, holding(empty, READING_SLOTS) as reader:
        server = LiveServer(empty, SERVE, WEB_CONCURRENCY=1)
        interrupting = start(lambda: interrupt(empty, reader))
        api = api_over_http(server.base_url)
        with server.serving(wait_for="/health"):
            result(interrupting)
            # The server's own thread, which goes on where the start was interrupted.
            interrupt(empty, reader)
            reader.wait_for_waiters()
            not_ready = api.get_readiness()
            assert (not_ready.status, not_ready.code) == (503, "NOT_READY")
            assert f"migration {NAMES[-1]} is not applied" in not_ready.body["detail"]
            reader.commit()
            wait_until(lambda: api.get_readiness().status == 200, "the server to be ready")
    assert query(empty, "SELECT name FROM schema_migrations ORDER BY name") == [
        (name,) for name in NAMES
    ]


def test_server_starts_while_another_migrates_and_is_ready_after_it(empty: str) -> None:
    with holding(empty, "SELECT pg_advisory_lock(%s, %s)", LOCK_SPACE, LOCK_NUMBER) as other:
        server = LiveServer(empty, SERVE, WEB_CONCURRENCY=1)
        api = api_over_http(server.base_url)
        with server.serving(wait_for="/health"):
            assert api.get_readiness().status == 503
            other.execute("SELECT pg_advisory_unlock(%s, %s)", LOCK_SPACE, LOCK_NUMBER)
            wait_until(lambda: api.get_readiness().status == 200, "the server to be ready")


def take_no_writes(url: str) -> None:
    query(
        url, f'ALTER DATABASE "{parse_dsn(url)["dbname"]}" SET default_transaction_read_only = on'
    )


def interrupt(url: str, reader: Session) -> None:
    """End the session that migrates, once it waits for the reader's table."""
    for backend in reader.wait_for_waiters():
        terminate(url, backend)
