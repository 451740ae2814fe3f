"""Migrations: fresh, again, ten at once, half-way, changed, removed, outside a transaction."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from booking.config import PROJECT_ROOT
from booking.db import migrations
from booking.db.migrations import (
    LOCK_NUMBER,
    LOCK_SPACE,
    MIGRATIONS,
    MigrationError,
    MigrationInterrupted,
    load_migrations,
    migrate,
)
from tests.support.servers import free_port
from tests.support.sessions import holding, wait_until
from tests.support.snapshots import query
from tests.support.threads import at_once, background, result

NAMES = [path.stem for path in sorted(MIGRATIONS.glob("*.sql"))]

# A session that polls for the lock of migrations, and does nothing else.
WAITING_TO_MIGRATE = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'booking migrate' AND state = 'idle'
    AND query ILIKE '%%pg_try_advisory_lock%%'
"""
IN_MID_FILE = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'booking migrate'
    AND wait_event = 'PgSleep'
"""
TWO_SLOTS_OF_ONE_DOCTOR = """
INSERT INTO slots (id, doctor_name, start_time, total_capacity, remaining_capacity)
SELECT gen_random_uuid(), 'Dr. Twice', now(), 1, 1 FROM generate_series(1, 2)
"""


def _applied(url: str) -> list[str]:
    return [name for (name,) in query(url, "SELECT name FROM schema_migrations ORDER BY name")]


def _tables(url: str) -> set[str]:
    rows = query(url, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
    return {table for (table,) in rows}


def test_names_are_numbered_without_a_gap() -> None:
    assert [int(name[:4]) for name in NAMES] == list(range(1, len(NAMES) + 1))
    assert all(name[4] == "_" for name in NAMES)


def test_fresh_database_gets_every_file_in_order(empty: str) -> None:
    assert migrate(empty) == NAMES
    rows = query(empty, "SELECT name, sha256 FROM schema_migrations ORDER BY applied_at")
    assert rows == [
        (path.stem, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(MIGRATIONS.glob("*.sql"))
    ]
    assert _tables(empty) >= {"slots", "bookings", "booking_events", "schema_migrations"}


def test_second_time_applies_nothing(empty: str) -> None:
    migrate(empty)
    before = query(empty, "SELECT * FROM schema_migrations ORDER BY name")
    assert migrate(empty) == []
    assert query(empty, "SELECT * FROM schema_migrations ORDER BY name") == before


def test_ten_at_once_apply_each_file_once(empty: str) -> None:
    applied = at_once([lambda: migrate(empty)] * 10)
    assert sorted(applied) == [[]] * 9 + [NAMES]
    assert _applied(empty) == NAMES


def test_several_processes_at_once_apply_each_file_once(empty: str) -> None:
    script = f"from booking.db.migrations import migrate; print(len(migrate({empty!r})))"
    processes = [
        subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT_ROOT, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    outputs = sorted(int(process.communicate(timeout=60)[0]) for process in processes)
    assert outputs == [0, 0, len(NAMES)]
    assert [process.returncode for process in processes] == [0, 0, 0]


def test_file_that_fails_half_way_leaves_nothing_and_is_named(empty: str, folder: Path) -> None:
    (folder / "9001_good.sql").write_text("CREATE TABLE good (id integer);")
    (folder / "9002_bad.sql").write_text(
        "CREATE TABLE half (id integer);\nINSERT INTO half VALUES (1);\nSELECT 1 / 0;"
    )
    (folder / "9003_after.sql").write_text("CREATE TABLE after (id integer);")
    with pytest.raises(MigrationError, match=r"^9002_bad: .*division by zero") as caught:
        migrate(empty, folder)
    assert "\n" not in str(caught.value)
    assert _applied(empty) == [*NAMES, "9001_good"]
    assert "good" in _tables(empty)
    assert not {"half", "after"} & _tables(empty)
    (folder / "9002_bad.sql").write_text("CREATE TABLE half (id integer);")
    assert migrate(empty, folder) == ["9002_bad", "9003_after"]


def test_file_that_was_changed_stops_everything(empty: str, folder: Path) -> None:
    migrate(empty, folder)
    changed = folder / f"{NAMES[0]}.sql"
    changed.write_text(changed.read_text() + "-- later\n")
    (folder / "9001_new.sql").write_text("CREATE TABLE new (id integer);")
    with pytest.raises(MigrationError, match=f"^{NAMES[0]} was changed after it was applied"):
        migrate(empty, folder)
    assert "new" not in _tables(empty)


def test_file_that_was_removed_stops_everything(empty: str, folder: Path) -> None:
    migrate(empty, folder)
    (folder / f"{NAMES[1]}.sql").unlink()
    with pytest.raises(MigrationError, match=f"^{NAMES[1]} was applied .* not among the files"):
        migrate(empty, folder)


def test_marked_file_runs_outside_a_transaction(empty: str, folder: Path) -> None:
    statement = "CREATE INDEX CONCURRENTLY IF NOT EXISTS slots_status_idx ON slots (status);"
    (folder / "9001_index.sql").write_text(statement)
    with pytest.raises(MigrationError, match=r"^9001_index: .*transaction block"):
        migrate(empty, folder)
    (folder / "9001_index.sql").write_text(f"-- transaction: none\n{statement}")
    assert migrate(empty, folder) == ["9001_index"]
    assert migrate(empty, folder) == []
    rows = query(
        empty,
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('slots_status_idx')",
    )
    assert rows == [(True,)]


def test_marked_files_are_applied_once_by_many(empty: str, folder: Path) -> None:
    (folder / "9001_index.sql").write_text(
        "-- transaction: none\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS slots_status_idx ON slots (status);"
    )
    applied = at_once([lambda: migrate(empty, folder)] * 4)
    assert sorted(applied) == [[], [], [], [*NAMES, "9001_index"]]


def test_marker_counts_on_the_first_line_alone(folder: Path) -> None:
    (folder / "9001_comment.sql").write_text("-- A comment\n-- transaction: none\nSELECT 1;")
    [*_, last] = load_migrations(folder)
    assert last.runs_in_transaction


@pytest.fixture
def held_lock(empty: str) -> psycopg2.extensions.connection:
    """A session that migrates and does not come to an end."""
    conn = psycopg2.connect(empty)
    conn.autocommit = True
    with conn.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_SPACE, LOCK_NUMBER))
    return conn


def test_patience_with_another_has_an_end(
    empty: str, held_lock: psycopg2.extensions.connection
) -> None:
    with pytest.raises(MigrationInterrupted, match="another server"):
        migrate(empty, patience_seconds=0.3)
    assert _tables(empty) == set()
    held_lock.close()
    assert migrate(empty) == NAMES


def test_lock_of_a_session_that_died_is_free(
    empty: str, held_lock: psycopg2.extensions.connection
) -> None:
    query(empty, "SELECT pg_terminate_backend(%s, 10000)", held_lock.info.backend_pid)
    assert migrate(empty) == NAMES
    held_lock.close()


def test_server_that_is_killed_in_mid_file_leaves_nothing_and_another_goes_on(
    empty: str, folder: Path
) -> None:
    """The database notices by itself that nobody waits for the end of the file any more."""
    long = folder / "9001_long.sql"
    long.write_text("CREATE TABLE half (id integer);\nSELECT pg_sleep(300);")
    script = (
        "from pathlib import Path; from booking.db.migrations import migrate;"
        f" migrate({empty!r}, Path({str(folder)!r}))"
    )
    first = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT_ROOT)
    wait_until(lambda: bool(query(empty, IN_MID_FILE)), "the first server to be in mid-file")
    first.kill()
    first.wait()
    wait_until(lambda: not query(empty, IN_MID_FILE), "the end of the dead server's session")
    long.write_text("CREATE TABLE whole (id integer);")
    assert migrate(empty, folder) == ["9001_long"]
    assert {"half", "whole"} & _tables(empty) == {"whole"}


def test_second_server_waits_for_the_first_and_finds_its_work_done(
    empty: str, folder: Path
) -> None:
    (folder / "9001_long.sql").write_text(
        "CREATE TABLE once (id integer);\nSELECT pg_advisory_xact_lock(9001);"
    )
    with (
        background() as start,
        holding(empty, "SELECT pg_advisory_xact_lock(9001)") as holder,
    ):
        first = start(lambda: migrate(empty, folder))
        holder.wait_for_waiters()
        second = start(lambda: migrate(empty, folder))
        wait_until(lambda: bool(query(empty, WAITING_TO_MIGRATE)), "the second server")
        assert not first.done()
        assert not second.done()
        holder.rollback()
        assert result(first) == [*NAMES, "9001_long"]
        assert result(second) == []


def test_index_that_a_marked_file_leaves_invalid_is_named_and_not_taken_for_made(
    empty: str, folder: Path
) -> None:
    migrate(empty)
    query(empty, TWO_SLOTS_OF_ONE_DOCTOR)
    (folder / "9001_index.sql").write_text(
        "-- transaction: none\n"
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS slots_doctor_uq ON slots (doctor_name);"
    )
    with pytest.raises(MigrationError, match=r"^9001_index: .*could not create unique index"):
        migrate(empty, folder)
    # It is there now, in name.
    with pytest.raises(MigrationError, match=r"^9001_index: .*slots_doctor_uq.* not valid"):
        migrate(empty, folder)
    assert "9001_index" not in _applied(empty)
    query(empty, "DROP INDEX slots_doctor_uq")
    query(empty, "DELETE FROM slots")
    assert migrate(empty, folder) == ["9001_index"]


def test_lock_is_free_after_a_failure(empty: str, folder: Path) -> None:
    (folder / "9001_bad.sql").write_text("SELECT nothing;")
    for _ in range(2):
        with pytest.raises(MigrationError, match=r"^9001_bad: "):
            migrate(empty, folder)
    assert migrate(empty) == []


def test_percent_signs_of_a_file_are_its_own(empty: str, folder: Path) -> None:
    (folder / "9001_percent.sql").write_text(
        "CREATE VIEW percent AS SELECT '100%' AS a, 'a' LIKE '%s' AS b, '%(x)s' AS c;"
    )
    migrate(empty, folder)
    assert query(empty, "SELECT a, c FROM percent") == [("100%", "%(x)s")]


def test_server_that_is_not_reached_is_the_driver_s_error_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(psycopg2.OperationalError):
        migrate(f"postgresql://booking@127.0.0.1:{free_port()}/booking", patience_seconds=3)
    assert "tried again" not in caplog.text


def test_old_server_is_refused(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "OLDEST_SERVER_VERSION_NUM", 999_999)
    with pytest.raises(MigrationError, match=r"^PostgreSQL .* or newer is needed"):
        migrate(empty)
    assert _tables(empty) == set()
