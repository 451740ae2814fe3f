"""The database under load: what stands in it before, and whether all is right after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType

from booking.db.connection import Connection, connect
from booking.db.migrations import migrate
from booking.db.transaction import Isolation, transaction
from booking.embedded import EmbeddedPostgresUnavailable, embedded_postgres
from booking.repositories.checks import run_checks
from scripts.benchmark.records import NotRun

# PostgreSQL's own defaults else, fsync on among them. Two servers and 64 clients of pgbench.
SETTINGS = {"max_connections": "200"}
CAPACITY = 1_000_000
RANDOM_SLOTS = range(100_000_000_000, 100_000_010_000)
SOLD_OUT_SLOT = range(200_000_000_000, 200_000_000_001)
FIRST_HOT_SLOT = 300_000_000_000
# A check reads whole tables, and these may be large.
CHECK_TIMEOUT_MS = 600_000
SEEDED = "seeded"
"""The label of the bookings that stand before."""

_INSERT_SLOTS = """
    WITH numbers AS (
        SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid AS id, n
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
    ),

    new_slots AS (
        INSERT INTO slots (
            id, doctor_name, specialization, start_time, duration_minutes,
            total_capacity, remaining_capacity, version
        )
        SELECT
            id, 'Dr. No. ' || n, 'Cardiology', clock_timestamp() + interval '30 days', 30,
            %(capacity)s, %(capacity)s - %(booked)s, 1 + %(booked)s
        FROM numbers
        RETURNING id
    ),

    new_bookings AS (
        INSERT INTO bookings (id, slot_id, user_id, num_seats, status, created_at, updated_at)
        SELECT id, id, 'seeded/' || n, 1, 'CONFIRMED', now(), now()
        FROM numbers
        WHERE %(booked)s = 1
        RETURNING id, created_at
    )

    INSERT INTO booking_events (booking_id, slot_id, type, to_status, seats, slot_version, at)
    SELECT id, id, 'BOOKED', 'CONFIRMED', 1, 2, created_at
    FROM new_bookings
"""


@contextmanager
def benchmark_postgres(
    directory: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """Start a PostgreSQL in ``directory``; yield the URL of its empty database. Raises NotRun."""
    try:
        # A superuser, for the CHECKPOINT between rounds.
        with embedded_postgres(directory, settings={**SETTINGS, **settings}, superuser=True) as url:
            yield url
    except EmbeddedPostgresUnavailable as error:
        raise NotRun(str(error)) from error


@contextmanager
def benchmark_database(directory: Path) -> Iterator[str]:
    """Start a PostgreSQL in ``directory``, migrated and filled; yield its URL.

    The 10,000 slots at random have a booking each, under the slot's own id. Raises NotRun.
    """
    with benchmark_postgres(directory) as url:
        migrate(url)
        with closing(connect(url, application_name="benchmark")) as conn:
            fill(conn)
        yield url


def fill(conn: Connection) -> None:
    """Make the slots that every run finds."""
    insert_slots(conn, RANDOM_SLOTS, has_booking=True)
    insert_slots(conn, SOLD_OUT_SLOT, capacity=1, has_booking=True)
    _execute(conn, "ANALYZE")


def insert_slots(
    conn: Connection, numbers: range, *, capacity: int = CAPACITY, has_booking: bool = False
) -> None:
    """Make slots whose ids end in the numbers."""
    with conn.cursor() as cursor:
        cursor.execute(
            _INSERT_SLOTS,
            {
                "first": numbers[0],
                "last": numbers[-1],
                "capacity": capacity,
                "booked": int(has_booking),
            },
        )


def checkpoint(conn: Connection) -> None:
    """Write out what is dirty, so that no round pays for the one before."""
    _execute(conn, "CHECKPOINT")


def server_version(conn: Connection) -> str:
    """Return PostgreSQL's version, such as 18.1."""
    with conn.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])  # type: ignore[index] # SHOW has a row


def count_bookings(conn: Connection) -> dict[str, int]:
    """Return how many bookings bear each label, whatever became of them."""
    with conn.cursor() as cursor:
        cursor.execute("SELECT split_part(user_id, '/', 1), count(*) FROM bookings GROUP BY 1")
        return dict(cursor.fetchall())


def violations(conn: Connection) -> list[str]:
    """Run the checks of sql/checks; return a line for each that does not hold."""
    with transaction(conn, Isolation.SNAPSHOT):
        results = run_checks(conn, timeout_ms=CHECK_TIMEOUT_MS)
    return [
        f"{result.name}: {len(result.violations)} violations, the first {result.violations[0]}"
        for result in results
        if result.violations
    ]


def _execute(conn: Connection, statement: str) -> None:
    with conn.cursor() as cursor:
        cursor.execute(statement)
