"""The databases that growth is measured on: filled alike, a small and a large one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from booking.db.connection import Connection, connect
from booking.db.migrations import migrate
from scripts.benchmark.database import violations

DATA = Path(__file__).with_name("growth_data.sql")
# Enough that a run seldom asks for one twice.
SAMPLE = 5_000


@dataclass(frozen=True)
class Size:
    """How many rows a database has. ``providers`` are a doctor and a specialization each."""

    slots: int
    bookings: int
    providers: int


SMALL = Size(slots=1_000, bookings=10_000, providers=100)
LARGE = Size(slots=1_000_000, bookings=5_000_000, providers=10_000)
# For a hasty run.
MIDDLE = Size(slots=100_000, bookings=500_000, providers=1_000)


@dataclass(frozen=True)
class Facts:
    """What stands in a database, by id, in no order; ``bookable_slots`` counts them all.

    Cancelling what is ``confirmed`` leaves the sold-out slots sold out.
    """

    slots: Sequence[str]
    sold_out_slots: Sequence[str]
    slot_of_many: str
    bookable_slots: int
    bookings: Sequence[str]
    confirmed: Sequence[str]
    users: Sequence[str]
    user_of_many: str
    bookings_of_many: int


def make_database(cluster_url: str, name: str, size: Size) -> str:
    """Make, migrate and fill a database of a PostgreSQL, and return its URL."""
    with closing(connect(cluster_url, application_name="benchmark")) as conn, conn.cursor() as made:
        made.execute(f"CREATE DATABASE {name}")
    url = urlsplit(cluster_url)._replace(path=f"/{name}").geturl()
    migrate(url)
    with closing(connect(url, application_name="benchmark")) as conn:
        fill(conn, size)
    return url


def fill(conn: Connection, size: Size) -> None:
    """Fill an empty database; leaves it as autovacuum would in time."""
    with conn.cursor() as cursor:
        # The data's settings are of one transaction.
        cursor.execute("BEGIN")
        cursor.execute(DATA.read_text("utf-8"), asdict(size))
        cursor.execute("COMMIT")
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


_VIEWS = """
    CREATE OR REPLACE TEMPORARY VIEW coming AS
    SELECT id, remaining_capacity FROM slots
    WHERE status = 'OPEN' AND start_time > now() + interval '1 day';

    CREATE OR REPLACE TEMPORARY VIEW users AS
    SELECT user_id, count(*) AS bookings FROM bookings GROUP BY user_id;

    CREATE OR REPLACE TEMPORARY VIEW wanted AS
    SELECT slot_id, count(*) AS bookings FROM bookings GROUP BY slot_id
"""
_SLOT_OF_MANY = """
    SELECT id FROM wanted INNER JOIN coming ON slot_id = id AND remaining_capacity > 0
    ORDER BY bookings DESC LIMIT 1
"""
# Enough seats for a run's bookings, and not the most: searches for many seats find as many slots as
# before.
_SLOTS = (
    "SELECT id FROM coming WHERE remaining_capacity BETWEEN 20 AND 40 ORDER BY random() LIMIT %s"
)
_SOLD_OUT = "SELECT id FROM coming WHERE remaining_capacity = 0 ORDER BY random() LIMIT %s"
_CONFIRMED = """
    SELECT b.id FROM bookings AS b INNER JOIN slots AS s ON s.id = b.slot_id
    WHERE b.status = 'CONFIRMED' AND s.remaining_capacity > 0 ORDER BY random() LIMIT %s
"""
_USERS = "SELECT user_id FROM users WHERE bookings BETWEEN 50 AND 100 ORDER BY random() LIMIT %s"


def read_facts(conn: Connection) -> Facts:
    """Draw what will be asked for."""
    _rows(conn, f"{_VIEWS}; SELECT 1")
    ((slot_of_many,),) = _rows(conn, _SLOT_OF_MANY)
    ((user_of_many, bookings_of_many),) = _rows(
        conn, "SELECT user_id, bookings FROM users ORDER BY 2 DESC LIMIT 1"
    )
    ((bookable_slots,),) = _rows(conn, "SELECT count(*) FROM coming WHERE remaining_capacity > 0")

    def draw(query: str) -> list[str]:
        return [value for (value,) in _rows(conn, query, [SAMPLE])]

    return Facts(
        slots=draw(_SLOTS),
        sold_out_slots=draw(_SOLD_OUT),
        slot_of_many=slot_of_many,
        bookable_slots=bookable_slots,
        bookings=draw("SELECT id FROM bookings ORDER BY random() LIMIT %s"),
        confirmed=draw(_CONFIRMED),
        users=draw(_USERS),
        user_of_many=user_of_many,
        bookings_of_many=bookings_of_many,
    )


def count_rows(conn: Connection) -> int:
    """Return how many bookings stand, whatever became of them."""
    ((found,),) = _rows(conn, "SELECT count(*) FROM bookings")
    return int(found)


def unkept_promises(conn: Connection, acknowledged: Sequence[str], stood_before: int) -> list[str]:
    """Return what is wrong after a run whose clients waited for every answer, a line each.

    Of what was acknowledged nothing may be missing, and nothing else may have come; then the checks
    of sql/checks.
    """
    ((found,),) = _rows(
        conn,
        "SELECT count(*) FROM bookings WHERE id = any(%s::uuid[])",
        [list(acknowledged)],
    )
    return [
        *compare_acknowledged(
            acknowledged=len(acknowledged), found=found, came=count_rows(conn) - stood_before
        ),
        *violations(conn),
    ]


def compare_acknowledged(*, acknowledged: int, found: int, came: int) -> list[str]:
    """Return a line for bookings that were lost, and for those that nobody was told of."""
    faults = []
    if found < acknowledged:
        faults.append(f"{acknowledged - found} acknowledged bookings are lost")
    if came > found:
        faults.append(f"{came - found} bookings stand that nobody was told of")
    return faults


def _rows(conn: Connection, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with conn.cursor() as cursor:
        cursor.execute(query, parameters or None)
        return cursor.fetchall()
