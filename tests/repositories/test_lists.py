"""Every list answers as the plainest query would, for random rows and filters, page by page."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812
from psycopg2.extras import execute_values

from booking.models import (
    Booking,
    BookingPosition,
    BookingStatus,
    Slot,
    SlotFilter,
    SlotPosition,
    SlotStatus,
)
from booking.repositories import bookings, searches, slots

HOUR = timedelta(hours=1)
NAMES = [
    "Dr. Asha Rao", "dr. asha rao", "DR. ASHA", "Rao", "a", "aa", "aaa", "Straße", "STRASSE",
    "Weiẞ", "İpek Işık", "ipek ışık", "IPEK ISIK", "Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ", "ΣΊΣΥΦΟΣ", "李",
    "李小龍", "Zoë Æsk", "Zoe\u0308 Æsk", "100%", "100_", "back\\slash", "per%cent_under\\score",
    "ǅemal", "ﬁne", "𐐀𐐁", "o'Neil \"q\"", "  two  blanks ", "x" * 200, "😀" * 200,
]  # fmt: skip
SPECIALIZATIONS = [
    None,
    "",
    "Cardiology",
    "cardio",
    "CARDIOLOGY II",
    "İç hastalıkları",
    "心臟",
    "%",
]
ENOUGH_SEATS = """
UPDATE slots SET total_capacity = total_capacity + booked.seats
FROM (SELECT slot_id, sum(num_seats) AS seats FROM bookings GROUP BY slot_id) AS booked
WHERE id = booked.slot_id
RETURNING id
"""
STATUSES = [status.value for status in SlotStatus]


def _rows(conn: PgConnection, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with conn.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def _insert(conn: PgConnection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    with conn.cursor() as cursor:
        execute_values(
            cursor,
            f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES %s",
            [tuple(row.values()) for row in rows],
            page_size=1000,
        )


def _make_slots(chance: random.Random, now: datetime) -> list[dict[str, Any]]:
    made = []
    for _ in range(400):
        total = chance.choice([1, 2, 5, 50])
        made.append(
            {
                "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
                "doctor_name": chance.choice(NAMES),
                "specialization": chance.choice(SPECIALIZATIONS),
                # Many begin together, so that pages end between rows of one moment.
                "start_time": now + chance.randint(-10, 20) * HOUR + timedelta(minutes=30),
                "total_capacity": total,
                "remaining_capacity": chance.choice([0, 0, total // 2, total]),
                "status": chance.choice([*STATUSES, "OPEN", "OPEN"]),
            }
        )
    return made


def _make_bookings(
    chance: random.Random, now: datetime, slot_ids: Sequence[str]
) -> list[dict[str, Any]]:
    made = []
    for number in range(900):
        status = chance.choice([status.value for status in BookingStatus])
        is_hold = status in {"PENDING", "FAILED"} or chance.random() < 0.3
        made.append(
            {
                "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
                # A few slots and users have most.
                "slot_id": slot_ids[min(chance.getrandbits(8), chance.getrandbits(8))],
                "user_id": f"user-{min(chance.randrange(20), chance.randrange(20))}",
                "num_seats": chance.randint(1, 3),
                "status": status,
                "failure_reason": "EXPIRED" if status == "FAILED" else None,
                "expires_at": now + chance.choice([-HOUR, HOUR]) if is_hold else None,
                "created_at": now - chance.randint(0, 90) * timedelta(minutes=1),
                "updated_at": now,
                "idempotency_key": f"key-{number}" if number % 3 else None,
            }
        )
    return made


@pytest.fixture(scope="module", params=[1])
def seeded(
    request: pytest.FixtureRequest, new_database: Callable[..., str]
) -> Iterator[tuple[PgConnection, random.Random]]:
    """A database of random rows, some of which the application would not have made."""
    chance = random.Random(request.param)
    conn = psycopg2.connect(new_database(), options="-c TimeZone=UTC")
    conn.autocommit = True
    now = datetime.now(UTC).replace(microsecond=0)
    made = _make_slots(chance, now)
    _insert(conn, "slots", made)
    _insert(conn, "bookings", _make_bookings(chance, now, [slot["id"] for slot in made]))
    # No slot has more seats left, lapsed holds included, than it has in all: its constraint and
    # the way in which seats move see to that.
    _rows(conn, ENOUGH_SEATS)
    yield conn, chance
    conn.close()


def _any_case(chance: random.Random, text: str) -> str:
    return "".join(chance.choice([letter, letter.upper(), letter.lower()]) for letter in text)


def _part_of(chance: random.Random, texts: Sequence[str | None]) -> str | None:
    """A part of one of the texts in any case, a text of no slot, or nothing."""
    if chance.random() < 0.3:
        return None
    if chance.random() < 0.1:
        return chance.choice(["q", "qq", "nobody", "Rao Asha", "ß", "ss", "%", "_", "\\"])
    text = chance.choice([text for text in texts if text])
    first = chance.randrange(len(text))
    length = chance.choice([1, 2, 3, 4, 8, 200])
    return _any_case(chance, text[first : first + length])


def _limit(chance: random.Random, rows: int) -> int:
    """A length of page that takes few pages."""
    return max(1, rows // chance.randint(1, 4) + chance.randint(-1, 1))


SLOTS = """
SELECT
    s.id::text, s.doctor_name, s.specialization, s.start_time, s.duration_minutes, s.total_capacity,
    s.remaining_capacity + coalesce((
        SELECT sum(b.num_seats) FROM bookings AS b
        WHERE b.slot_id = s.id AND b.status = 'PENDING' AND b.expires_at <= now()
    ), 0)::integer AS shown,
    s.max_seats_per_user, s.status, s.version, s.created_at, s.updated_at
FROM slots AS s
"""


def _slots_by_plainest_query(
    conn: PgConnection,
    wanted: SlotFilter,
    *,
    status: SlotStatus | None,
    min_seats: int | None,
) -> list[tuple[Any, ...]]:
    conditions = ["true"]
    values: list[Any] = []
    for column in ("doctor_name", "specialization"):
        text = getattr(wanted, column)
        if text is not None:
            conditions.append(f"{column} ILIKE %s ESCAPE '~'")
            values.append("%" + "".join(f"~{c}" if c in "~%_" else c for c in text) + "%")
    for value, condition in (
        (wanted.starts_from, "start_time >= %s"),
        (wanted.starts_before, "start_time < %s"),
        (status, "status = %s"),
        (min_seats, "shown >= %s AND start_time > now()"),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return _rows(
        conn,
        f"SELECT * FROM ({SLOTS}) AS s WHERE {' AND '.join(conditions)} ORDER BY start_time, id",
        *values,
    )


def _slot_pages(conn: PgConnection, wanted: SlotFilter, limit: int, **more: Any) -> list[Slot]:
    rows: list[Slot] = []
    after = None
    while page := slots.list_slots(conn, wanted, after=after, max_rows=limit, **more):
        rows += page
        after = SlotPosition(page[-1].start_time, page[-1].id)
        if len(page) < limit:
            break
    return rows


def _compare_searches(conn: PgConnection, chance: random.Random) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    found = empty = 0
    for _ in range(60):
        wanted = SlotFilter(
            doctor_name=_part_of(chance, NAMES),
            specialization=_part_of(chance, SPECIALIZATIONS),
            starts_from=chance.choice([None, None, now + chance.randint(-8, 12) * HOUR]),
            starts_before=chance.choice([None, None, now + chance.randint(-2, 20) * HOUR]),
        )
        more: dict[str, Any] = chance.choice(
            [
                {"status": SlotStatus.OPEN, "min_seats": chance.choice([1, 1, 2, 3, 5, 50, 51])},
                {"status": chance.choice([None, *SlotStatus]), "min_seats": None},
            ]
        )
        expected = _slots_by_plainest_query(conn, wanted, **more)
        answer = _slot_pages(conn, wanted, _limit(chance, len(expected)), **more)
        assert [astuple(slot) for slot in answer] == expected, (wanted, more)
        found += len(expected)
        empty += not expected
    # Neither all filters nor none were without an answer.
    assert found > 300
    assert 0 < empty < 55


AS_IT_IS = {
    name: getattr(searches, name)
    for name in (
        "VERY_FEW_PROVIDERS",
        "FEW_PROVIDERS",
        "MAX_WALKED",
        "FEW_PAGES",
        "ENTRIES_PER_HEAD",
        "ONE_PASS_VERSION",
    )
}


@pytest.mark.parametrize(
    "limits",
    [
        AS_IT_IS,
        {"VERY_FEW_PROVIDERS": 1000, "FEW_PROVIDERS": 1000},
        {"FEW_PROVIDERS": 0, "MAX_WALKED": 20},
        {"FEW_PROVIDERS": 0, "MAX_WALKED": 1000},
        {"FEW_PROVIDERS": 1000, "FEW_PAGES": 0, "ENTRIES_PER_HEAD": 1},
        {"FEW_PROVIDERS": 1000, "FEW_PAGES": 1, "ENTRIES_PER_HEAD": 7},
        {"FEW_PROVIDERS": 1000, "FEW_PAGES": 100, "ENTRIES_PER_HEAD": 1000},
        {"FEW_PROVIDERS": 1000, "FEW_PAGES": 1, "ONE_PASS_VERSION": 1_000_000},
    ],
    ids=[
        *("as it is", "heads only", "walks, then heads", "walks only"),
        *("one moment near, then heads", "some near, then heads", "walks and near ones only"),
        "an old PostgreSQL",
    ],
)
def test_slots_are_those_of_the_plainest_query(
    seeded: tuple[PgConnection, random.Random],
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, int],
) -> None:
    for name, limit in ({"VERY_FEW_PROVIDERS": 0} | limits).items():
        monkeypatch.setattr(searches, name, limit)
    _compare_searches(*seeded)


SHARED_HASHES = """
CREATE OR REPLACE FUNCTION provider_hash(doctor_name text, specialization text)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT char_length(doctor_name)::bigint %% 2
$$;
REINDEX TABLE slots;
SELECT count(DISTINCT provider_hash(doctor_name, specialization)) FROM slots
"""


def test_providers_that_share_a_hash_are_told_apart(
    seeded: tuple[PgConnection, random.Random], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "VERY_FEW_PROVIDERS", 0)
    conn, chance = seeded
    conn.autocommit = False
    try:
        assert _rows(conn, SHARED_HASHES) == [(2,)]
        _compare_searches(conn, chance)
    finally:
        conn.rollback()
        conn.autocommit = True


ALL_YEARS = """
INSERT INTO slots (id, doctor_name, start_time, total_capacity, remaining_capacity)
VALUES
    (gen_random_uuid(), 'Dr. First', '0001-01-01 00:00:00+00', 1, 1),
    (gen_random_uuid(), 'Dr. Last', '9999-12-31 00:00:00+00', 1, 1);
SELECT count(*) FROM slots WHERE status = 'OPEN'
"""


def test_search_looks_as_far_as_years_go(
    seeded: tuple[PgConnection, random.Random], monkeypatch: pytest.MonkeyPatch
) -> None:
    conn, _ = seeded
    conn.autocommit = False
    try:
        [(count,)] = _rows(conn, ALL_YEARS)
        # The horizon lies as many times all years ahead as doctors match.
        monkeypatch.setattr(searches, "ENTRIES_PER_HEAD", count)
        found = slots.list_slots(
            conn, SlotFilter("r"), status=SlotStatus.OPEN, min_seats=None, after=None, max_rows=500
        )
    finally:
        conn.rollback()
        conn.autocommit = True
    assert found[0].doctor_name == "Dr. First"
    assert len(found) > 40


BOOKINGS = """
SELECT
    id::text, slot_id::text, user_id, num_seats,
    CASE WHEN status = 'PENDING' AND expires_at <= now() THEN 'FAILED' ELSE status END AS shown,
    CASE WHEN status = 'PENDING' AND expires_at <= now() THEN 'EXPIRED' ELSE failure_reason END,
    expires_at, created_at, updated_at
FROM bookings
"""


def _booking_pages(conn: PgConnection, limit: int, **wanted: Any) -> list[Booking]:
    rows: list[Booking] = []
    before = None
    while page := bookings.list_bookings(conn, before=before, max_rows=limit, **wanted):
        rows += page
        before = BookingPosition(page[-1].created_at, page[-1].id)
        if len(page) < limit:
            break
    return rows


def test_bookings_are_those_of_the_plainest_query(
    seeded: tuple[PgConnection, random.Random],
) -> None:
    conn, chance = seeded
    ids = [slot_id for (slot_id,) in _rows(conn, "SELECT DISTINCT slot_id::text FROM bookings")]
    users = [f"user-{number}" for number in range(21)]
    found = 0
    for status in [None, *BookingStatus] * 12:
        wanted: dict[str, Any] = {
            "user_id": chance.choice([None, *users]) if chance.random() < 0.7 else None,
            "slot_id": chance.choice(ids) if chance.random() < 0.3 else None,
            "status": status,
        }
        conditions = [
            f"{'shown' if name == 'status' else name} = %s" for name in wanted if wanted[name]
        ]
        expected = _rows(
            conn,
            f"SELECT * FROM ({BOOKINGS}) AS b WHERE {' AND '.join(['true', *conditions])}"
            " ORDER BY created_at DESC, id DESC",
            *filter(None, wanted.values()),
        )
        answer = _booking_pages(conn, _limit(chance, len(expected)), **wanted)
        assert [astuple(booking) for booking in answer] == expected, wanted
        found += len(expected)
    assert found > 1500


def test_seats_and_holds_of_a_user_are_those_of_the_plainest_query(
    seeded: tuple[PgConnection, random.Random],
) -> None:
    conn, _ = seeded
    stored = _rows(
        conn,
        "SELECT slot_id, user_id, num_seats, id::text, "
        "status = 'PENDING' AND expires_at <= now() FROM bookings "
        "WHERE status IN ('PENDING', 'CONFIRMED')",
    )
    users = sorted({row[1] for row in stored})
    for slot_id in {row[0] for row in stored}:
        seats, lapsed = Counter[str](), set[str]()
        for slot, user_id, num_seats, booking_id, has_lapsed in stored:
            if slot == slot_id:
                seats[user_id] += num_seats
                lapsed |= {booking_id} if has_lapsed else set()
        counted, lapsed_ids = bookings.sum_seats_of_users(conn, slot_id, users)
        assert (counted, set(lapsed_ids), len(lapsed_ids)) == (seats, lapsed, len(lapsed))
    unswept = "status = 'PENDING' AND user_id = %s ORDER BY slot_id, id"
    for user_id in users:
        expected = _rows(
            conn,
            f"SELECT slot_id::text, expires_at <= now() FROM bookings WHERE {unswept}",
            user_id,
        )
        holds = bookings.list_pending_holds(conn, user_id)
        assert [(hold.slot_id, hold.is_unswept) for hold in holds] == expected
        assert all((hold.seconds_left <= 0) is hold.is_unswept for hold in holds)
