"""No query of sql/queries reads a large table whole: each is explained on one, with the parameters
that are worst for it. The checks of sql/checks do, on purpose: they are there to look at every row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.config import PROJECT_ROOT
from booking.db import prepared
from booking.db.queries import QUERIES, load_queries
from booking.repositories.searches import (
    ENTRIES_PER_HEAD,
    FEW_PROVIDERS,
    MAX_WALKED,
    ONE_PASS_VERSION,
)
from booking.services.booking.expiry import (
    MAX_HOLDS_PER_BATCH,
    SWEPT_HOLDS_PER_BATCH,
    SWEPT_SLOTS_PER_BATCH,
)
from tests.support.factories import UNKNOWN_ID

DATA = PROJECT_ROOT / "scripts" / "benchmark" / "growth_data.sql"
SIZE = {"slots": 20_000, "bookings": 40_000, "providers": 500}
# The tables that grow for as long as the system is used.
LARGE = {"slots", "bookings", "booking_events"}
# Of these a query may look at so many rows, a search's walk included: a tenth of the smallest.
MOST_ROWS = 2_000
# Holds of the last minutes that a walk passes.
FEW_ROWS = 20

DOCTOR = {"doctor_name": "girardstein", "doctor_name_pattern": "%girardstein%"}
NOBODY = {"doctor_name": "nobody", "doctor_name_pattern": "%nobody%"}
LAST = {"doctor_name": "æ", "doctor_name_pattern": "%æ%"}
EVERYBODY = {"doctor_name": "dr.", "doctor_name_pattern": "%dr.%"}
SPECIALIZATION = {"specialization": "cardio", "specialization_pattern": "%cardio%"}
NOTHING = {"specialization": "xq", "specialization_pattern": "%xq%"}

# A rush for holds, over before anybody has looked again at how many there are: fewer have lapsed
# than a query may read, and more stand.
RUSH = """
    INSERT INTO bookings (
        id, slot_id, user_id, num_seats, status, expires_at, hold_place, created_at
    )
    SELECT
        gen_random_uuid(), slots.id, 'rush-' || slots.n, 1, 'PENDING',
        now() + CASE WHEN slots.n % 4 = 0 THEN interval '-1 minute' ELSE interval '1 hour' END,
        1, now() - interval '3 minutes'
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM slots) AS slots
    WHERE slots.n <= 6000
"""

Parameters = dict[str, Any]


class Examples:
    """The parameters with which each query is explained."""

    def __init__(self, conn: PgConnection) -> None:
        self._conn = conn
        self.now = datetime.now(UTC)
        self.slot_of_many = self._value("SELECT slot_id FROM bookings GROUP BY 1", "count(*)")
        self.user_of_many = self._value("SELECT user_id FROM bookings GROUP BY 1", "count(*)")
        self.hold = self._value("SELECT id FROM bookings WHERE user_id LIKE 'rush-%'", "id")
        self.slots_of_holds = self._values(
            "SELECT slot_id FROM bookings WHERE user_id LIKE 'rush-%' AND expires_at < now()"
        )
        self.bookable = self._value(
            "SELECT id FROM slots WHERE status = 'OPEN' AND start_time > now() + interval '1 hour'",
            "remaining_capacity",
        )
        self.late = self._value("SELECT start_time FROM slots", "start_time")

    def _value(self, select: str, order: str) -> Any:
        [value] = self._values(f"{select} ORDER BY {order} DESC LIMIT 1")
        return value

    def _values(self, select: str) -> list[Any]:
        with self._conn.cursor() as cursor:
            cursor.execute(select)
            return [value for (value,) in cursor.fetchall()]

    def of(self, file: str, name: str) -> list[Parameters]:
        """Return what the query is explained with; KeyError for one that nobody thought of."""
        if file not in {"slots", "searches", "bookings", "booking_events", "holds"}:
            # Of the server and of small tables: any parameters will do.
            return [{"name": "x", "sha256": "x", "space": 1, "number": 1}]
        parameters = {
            **self._of_slots(),
            **self._of_searches(),
            **self._of_bookings(),
            **self._of_holds(),
        }
        return parameters[name]

    def _of_slots(self) -> dict[str, list[Parameters]]:
        slot = {
            "slot_id": self.bookable,
            "doctor_name": "Dr. New",
            "specialization": None,
            "start_time": self.late + timedelta(days=1),
            "duration_minutes": 30,
            "total_capacity": 1_000_000,
            "max_seats_per_user": None,
            "status": "OPEN",
        }
        one = [{"slot_id": self.slot_of_many}]
        return {
            "insert_slot": [slot | {"slot_id": UNKNOWN_ID}],
            "find_slot": one,
            "lock_slot": one,
            "is_future": [{"moment": self.now}],
            "update_slot": [slot],
            "delete_slot": [{"slot_id": UNKNOWN_ID}],
            "list_slots": self._pages(),
        }

    def _pages(self) -> list[Parameters]:
        return [
            {
                "starts_from": None,
                "starts_before": None,
                "status": None,
                "min_seats": None,
                "after_start_time": None,
                "after_id": None,
                "max_rows": 51,
                **change,
            }
            for change in (
                {},
                {"after_start_time": self.late - timedelta(days=400), "after_id": UNKNOWN_ID},
                {"starts_from": self.now + timedelta(days=300)},
                {"starts_before": self.now - timedelta(days=300)},
                {"status": "CLOSED"},
                {"status": "OPEN", "min_seats": 1},
                {"status": "OPEN", "min_seats": 1, "starts_from": self.now + timedelta(days=300)},
                {"status": "OPEN", "min_seats": 900},
                {"status": "OPEN", "min_seats": 1_000_000},
            )
        ]

    def _of_searches(self) -> dict[str, list[Parameters]]:
        texts: list[Parameters] = [
            dict.fromkeys(
                ("doctor_name", "doctor_name_pattern", "specialization", "specialization_pattern")
            )
            | text
            for text in (
                DOCTOR,
                NOBODY,
                LAST,
                EVERYBODY,
                SPECIALIZATION,
                NOTHING,
                DOCTOR | SPECIALIZATION,
                EVERYBODY | NOTHING,
            )
        ]
        # Not bounded: many doctors, and more seats than nearly any of their slots has. They are all
        # looked at (docs/decisions/0013).
        pages_of_texts = [
            page | text
            for page in self._pages()
            for text in texts
            if text["doctor_name"] != "dr." or (page["min_seats"] or 1) == 1
        ]
        return {
            "find_provider_hashes": [text | {"max_rows": FEW_PROVIDERS + 1} for text in texts],
            "search_near": [
                page | {"entries_per_head": ENTRIES_PER_HEAD, "provider_hashes": hashes}
                for page in pages_of_texts
                if page["doctor_name"] not in {None, "dr."}
                and (hashes := self._hashes(page["doctor_name_pattern"])) != "{}"
            ],
            "search_by_walk": [page | {"max_walked": MAX_WALKED} for page in pages_of_texts],
            # Of everybody there is a head for each.
            "search_by_heads": [page for page in pages_of_texts if page["doctor_name"] != "dr."],
        }

    def _hashes(self, pattern: str) -> str:
        hashes = self._values(
            "SELECT provider_hash(doctor_name, specialization) FROM providers"
            f" WHERE doctor_name ILIKE '{pattern}'"
        )
        return f"{{{','.join(map(str, hashes))}}}"

    def _of_bookings(self) -> dict[str, list[Parameters]]:
        of_user = {"user_id": self.user_of_many, "idempotency_key": "key-1"}
        of_users = {"user_ids": [self.user_of_many, "rush-1", "nobody"]}
        one = [
            {"booking_id": self.hold, "owner": None},
            {"booking_id": self.hold, "owner": self.user_of_many},
        ]
        moved = [of_one | {"waits": waits} for of_one in one for waits in (True, False)]
        return {
            "insert_bookings": [
                {
                    "slot_ids": [self.bookable],
                    "booking_ids": [UNKNOWN_ID],
                    "user_ids": [self.user_of_many],
                    "num_seats": [1],
                    "hold_ttl_seconds": [ttl],
                    "hold_places": [place],
                    "idempotency_keys": ["new"],
                    "waits": waits,
                    "is_seat_limit_checked": False,
                }
                for ttl, place, waits in ((None, None, True), (120, 100, True), (None, None, False))
            ],
            "explain_refusals": [
                {
                    "slot_id": self.slot_of_many,
                    "most_seats": 1000,
                    "user_ids": [self.user_of_many] * 20,
                    "idempotency_keys": [None, *(f"key-{number}" for number in range(19))],
                }
            ],
            "is_key_free": [of_user],
            "wait_for_key": [of_user],
            "list_free_hold_places": [of_users | {"max_active_holds": 100}],
            "sum_seats_of_users": [of_users | {"slot_id": self.slot_of_many}],
            "list_pending_holds": [of_user],
            "find_booking": one,
            "confirm_booking": moved,
            "cancel_booking": moved,
            "list_bookings": [
                {
                    "user_id": user_id,
                    "slot_id": slot_id,
                    "status": status,
                    "before_created_at": before,
                    "before_id": UNKNOWN_ID,
                    "max_rows": 51,
                }
                for user_id in (None, self.user_of_many, "nobody")
                for slot_id in (None, self.slot_of_many)
                for status in (None, "PENDING", "CONFIRMED", "FAILED", "CANCELLED")
                for before in (None, self.now - timedelta(days=200))
            ],
            "list_booking_events": [
                {"booking_id": self.hold, "after_id": after_id, "max_rows": 51}
                for after_id in (None, 10)
            ],
        }

    def _of_holds(self) -> dict[str, list[Parameters]]:
        return {
            "expire_holds": [
                {"slot_ids": slot_ids, "booking_ids": ids, "max_holds": max_holds}
                for slot_ids, max_holds in (
                    ([self.slot_of_many], MAX_HOLDS_PER_BATCH),
                    (self.slots_of_holds[:SWEPT_SLOTS_PER_BATCH], SWEPT_HOLDS_PER_BATCH),
                )
                for ids in (None, [self.hold])
            ],
            "lock_lapsed_holds": [
                {"slot_id": slot_id, "booking_ids": ids, "max_holds": MAX_HOLDS_PER_BATCH}
                for slot_id in (self.slot_of_many, self.slots_of_holds[0])
                for ids in (None, [self.hold])
            ],
            "list_slots_with_lapsed_holds": [{"lapsed_before": self.now}],
            "read_clock": [{}],
        }


QUERIES_OF_FILES = [
    (path.stem, name)
    for path in sorted(QUERIES.glob("*.sql"))
    for name in re.findall(r"^-- name: (\w+)\(", path.read_text(), re.MULTILINE)
    # PostgreSQL explains no command that defines something, and no block.
    if name not in {"create_schema_migrations", "commit_nothing"}
]


@pytest.fixture(scope="module")
def large(new_database: Callable[..., str]) -> Iterator[PgConnection]:
    """A database with enough rows, and statistics of them, that the planner minds; of the holds of
    the last minutes it has none.
    """
    conn = psycopg2.connect(new_database(), options="-c TimeZone=UTC")
    with conn, conn.cursor() as cursor:
        cursor.execute(DATA.read_text(), SIZE)
    conn.autocommit = True
    with conn.cursor() as cursor:
        cursor.execute("ALTER TABLE bookings SET (autovacuum_enabled = false)")
        cursor.execute("UPDATE bookings SET status = 'CONFIRMED' WHERE status = 'PENDING'")
        cursor.execute("VACUUM ANALYZE")
        cursor.execute(RUSH)
    yield conn
    conn.close()


@pytest.fixture(scope="module")
def examples(large: PgConnection) -> Examples:
    return Examples(large)


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _explain(conn: PgConnection, sql: str, parameters: Parameters) -> Mapping[str, Any]:
    """Run the query and return its plan. Nothing stays changed."""
    with conn.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            if statement := prepared._statements.get(sql):
                # As pooled connections have it: one plan, whatever the parameters.
                cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
                cursor.execute(statement.prepare)
                sql = statement.execute
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", parameters)
            [([explained],)] = cursor.fetchall()
            if statement:
                cursor.execute(statement.deallocate)
        finally:
            cursor.execute("ROLLBACK")
    plan: Mapping[str, Any] = explained["Plan"]
    return plan


def _rows_read(conn: PgConnection, sql: str, parameters: Parameters) -> Counter[str]:
    """Run the query and return how many rows of each large table its scans looked at; all of them
    where one is read whole. Index entries count as rows, those that no row is fetched for do not.
    """
    with conn.cursor() as cursor:
        cursor.execute("SELECT relname::text, reltuples::integer FROM pg_class")
        sizes = dict(cursor.fetchall())
        cursor.execute("SELECT indexrelid::regclass::text, indrelid::regclass::text FROM pg_index")
        table_of = dict(cursor.fetchall())
    read: Counter[str] = Counter()
    for node in _nodes(_explain(conn, sql, parameters)):
        table = node.get("Relation Name") or table_of.get(node.get("Index Name", ""))
        if table not in LARGE or "Scan" not in node["Node Type"] or not node["Actual Loops"]:
            continue
        rows = node["Actual Rows"] + sum(
            node.get(f"Rows Removed by {reason}", 0) for reason in ("Filter", "Index Recheck")
        )
        is_whole = node["Node Type"] == "Seq Scan"
        read[table] += sizes[table] if is_whole else round(rows * node["Actual Loops"])
    return read


def _skip_before_one_pass(conn: PgConnection) -> None:
    if conn.server_version < ONE_PASS_VERSION:
        pytest.skip("this PostgreSQL is not asked to search near")


def _offences(conn: PgConnection, examples: Examples, file: str, name: str) -> list[Any]:
    """Return the parameters with which the query reads too much, and how much that is."""
    if name == "search_near":
        _skip_before_one_pass(conn)
    sql: str = getattr(load_queries(file), name).sql
    return [
        (parameters, dict(read))
        for parameters in examples.of(file, name)
        if max((read := _rows_read(conn, sql, parameters)).values(), default=0) > MOST_ROWS
    ]


@pytest.mark.parametrize(("file", "name"), QUERIES_OF_FILES)
def test_query_reads_no_large_table_whole(
    large: PgConnection, examples: Examples, file: str, name: str
) -> None:
    assert _offences(large, examples, file, name) == []


@pytest.mark.parametrize("name", ["list_bookings", "sum_seats_of_users"])
def test_user_and_slot_that_never_met_are_cheap_however_many_bookings_both_have(
    large: PgConnection, examples: Examples, name: str
) -> None:
    both = [
        parameters
        for parameters in examples.of("bookings", name)
        if parameters["slot_id"] == examples.slot_of_many
        and examples.user_of_many in (parameters.get("user_ids") or [parameters.get("user_id")])
    ]
    sql: str = getattr(load_queries("bookings"), name).sql
    assert max(_rows_read(large, sql, parameters)["bookings"] for parameters in both) < FEW_ROWS


@pytest.mark.parametrize("doctors", [1, 10])
def test_search_near_reads_the_index_up_to_the_horizon(
    large: PgConnection, examples: Examples, doctors: int
) -> None:
    _skip_before_one_pass(large)
    page, *_ = examples.of("searches", "search_near")
    hashes = f"{{{','.join(map(str, range(doctors)))}}}"
    nobody = page | {"provider_hashes": hashes, "status": "OPEN", "min_seats": 1}
    plan = _explain(large, load_queries("searches").search_near.sql, nobody)
    with large.cursor() as cursor:
        cursor.execute(
            "SELECT relpages FROM pg_class"
            " WHERE relname = 'slots_status_start_time_id_provider_hash_idx'"
        )
        [(pages,)] = cursor.fetchall()
    assert pages > 100
    # A page has over a hundred entries.
    assert 0 < plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 15 + doctors


def test_prepared_queries_are_explained_as_such() -> None:
    names = {"insert_bookings", "find_slot"}
    found = {
        name
        for file, name in QUERIES_OF_FILES
        if getattr(load_queries(file), name).sql in prepared._statements
    }
    assert found >= names


def test_tables_are_large_enough(large: PgConnection) -> None:
    with large.cursor() as cursor:
        cursor.execute(
            "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND reltuples > %s",
            [5 * MOST_ROWS],
        )
        assert {table for (table,) in cursor.fetchall()} >= LARGE


@pytest.mark.parametrize(
    ("index", "file", "name"),
    [
        ("slots_status_start_time_id_provider_hash_idx", "slots", "list_slots"),
        ("slots_total_capacity_idx", "slots", "list_slots"),
        ("slots_status_start_time_id_provider_hash_idx", "searches", "search_near"),
        ("slots_status_start_time_id_provider_hash_idx", "searches", "search_by_walk"),
        (
            "slots_doctor_name_specialization_status_start_time_id_idx",
            "searches",
            "search_by_heads",
        ),
        ("slots_specialization_status_start_time_id_idx", "searches", "search_by_heads"),
        ("bookings_status_created_at_id_idx", "bookings", "list_bookings"),
        ("bookings_user_id_status_created_at_id_idx", "bookings", "list_bookings"),
        ("bookings_slot_id_status_created_at_id_idx", "bookings", "list_bookings"),
        ("booking_events_booking_id_id_idx", "booking_events", "list_booking_events"),
    ],
)
def test_query_that_lost_its_index_is_found(
    large: PgConnection, examples: Examples, index: str, file: str, name: str
) -> None:
    with large.cursor() as cursor:
        cursor.execute("SELECT pg_get_indexdef(%s::regclass)", [index])
        [(definition,)] = cursor.fetchall()
        cursor.execute(f"DROP INDEX {index}")
        try:
            assert _offences(large, examples, file, name) != []
        finally:
            cursor.execute(definition)
