"""Groups of bookings on the real database: what one statement decides for many.

A group is brought about with the slot's lock: its leader waits for it, the others line up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from booking.app import Services, create_services
from booking.errors import (
    DatabaseUnavailable,
    DomainError,
    HoldLimit,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    LockTimeout,
    OutcomeUnknown,
    SlotClosed,
    SlotFull,
    SlotNotFound,
    StatementRejected,
    UserSeatLimit,
)
from booking.models import SeatRequest, SlotStatus
from booking.repositories.bookings import NewBooking, insert_bookings
from booking.services.booking.service import Booked
from booking.services.slots import SlotChanges
from booking.uuid7 import uuid7
from tests.services.booking.requests import (
    Outcome,
    new_slot,
    outcome_of,
    seats,
    told,
    versions_of,
)
from tests.support.factories import UNKNOWN_ID, make_config, unique
from tests.support.failpoints import DIE, failpoint, raise_sqlstate
from tests.support.rows import SlotRow, lapse, read_slot, read_statuses
from tests.support.sessions import LOCK_BOOKING, LOCK_SLOT, Session, holding, session, wait_until
from tests.support.snapshots import query
from tests.support.threads import at_once, background, result

CANCEL_ALL = """
UPDATE bookings SET status = 'CANCELLED', updated_at = now() WHERE slot_id = %(slot)s;
UPDATE slots SET remaining_capacity = 10, version = version + 1 WHERE id = %(slot)s
"""
LOCK_KEY = "SELECT pg_advisory_xact_lock(key_lock(%s, %s))"


@pytest.fixture
def parts(database_url: str) -> Iterator[Services]:
    made = create_services(
        make_config(
            database_url=database_url, db_lock_timeout_ms=20_000, db_statement_timeout_ms=20_000
        )
    )
    yield made
    made.pool.close()


@contextmanager
def in_one_group(
    url: str, parts: Services, slot_id: str, wanted: Sequence[SeatRequest]
) -> Iterator[tuple[Session, list[Future[Outcome]]]]:
    """Line the requests up, in their order, behind a leader that waits for the slot's lock.

    The leader books a seat. The requests are one group when the lock that is yielded is released.
    """
    lines = parts.bookings._groups._lines
    with background(len(wanted) + 1) as start, holding(url, LOCK_SLOT, slot_id) as holder:
        leader = start(lambda: outcome_of(parts.bookings, seats(slot_id)))
        holder.wait_for_waiters(1)
        futures: list[Future[Outcome]] = []
        for request in wanted:
            futures.append(start(lambda request=request: outcome_of(parts.bookings, request)))  # type: ignore[misc]
            count = len(futures)
            wait_until(lambda count=count: len(lines[slot_id]) == count, "the line")  # type: ignore[misc]
        yield holder, futures
        holder.rollback()
        result(leader)


def book_in_one_group(
    url: str, parts: Services, slot_id: str, wanted: Sequence[SeatRequest]
) -> list[Outcome]:
    """Return the outcomes of a group; one more seat is booked before it."""
    with in_one_group(url, parts, slot_id, wanted) as (_, futures):
        pass
    return [result(future) for future in futures]


def test_a_group_is_one_commit(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 21)
    outcomes = book_in_one_group(database_url, parts, slot_id, [seats(slot_id) for _ in range(20)])
    assert told(outcomes) == ["CONFIRMED"] * 20
    transactions = query(
        database_url,
        "SELECT xmin::text, count(*) FROM bookings WHERE slot_id = %s GROUP BY 1 ORDER BY 2",
        slot_id,
    )
    assert [count for _, count in transactions] == [1, 20]
    # Each booking has a version of the slot to itself.
    assert read_slot(database_url, slot_id) == SlotRow(total=21, remaining=0, version=22)
    assert versions_of(database_url, slot_id) == list(range(2, 23))


@pytest.mark.parametrize(
    "meanwhile",
    [
        CANCEL_ALL,
        "UPDATE slots SET total_capacity = 30, remaining_capacity = 22 WHERE id = %(slot)s",
    ],
    ids=["seats come back", "capacity is raised"],
)
def test_seats_that_came_while_the_slot_was_waited_for(
    parts: Services, database_url: str, meanwhile: str
) -> None:
    slot_id = new_slot(parts, 10)
    made = parts.bookings.book_seats(seats(slot_id, 8)).booking
    group = [NewBooking(uuid7(), slot_id, unique("user"), 1, None, None, None) for _ in range(5)]
    with background() as start, session(database_url) as other:
        other.execute(meanwhile.replace("%(slot)s", f"'{slot_id}'"))
        if meanwhile is CANCEL_ALL:
            other.execute(
                """
                INSERT INTO booking_events (
                    booking_id, slot_id, type, from_status, to_status, seats, slot_version, at
                ) VALUES (%s, %s, 'CANCELLED', 'CONFIRMED', 'CANCELLED', 8, 3, now())
                """,
                made.id,
                slot_id,
            )
        booking = start(
            lambda: parts.db.write(lambda conn: insert_bookings(conn, group, waits=True))
        )
        other.wait_for_waiters(1)
        other.commit()
        assert len(result(booking)) == 5


def test_what_does_not_fit_leaves_room_to_those_behind(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 1 + 6)
    wanted = [seats(slot_id, number) for number in (4, 5, 1, 2, 1, 1)]
    outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    assert told(outcomes) == [
        "CONFIRMED",
        "SlotFull",
        "CONFIRMED",
        "SlotFull",
        "CONFIRMED",
        "SlotFull",
    ]
    full = [outcome for outcome in outcomes if isinstance(outcome, SlotFull)]
    assert [outcome.remaining_capacity for outcome in full] == [0, 0, 0]


def test_first_come_first_served(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 1 + 5)
    wanted = [seats(slot_id) for _ in range(12)]
    outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    assert told(outcomes) == ["CONFIRMED"] * 5 + ["SlotFull"] * 7
    in_order = query(
        database_url,
        """
        SELECT b.user_id
        FROM booking_events AS e INNER JOIN bookings AS b ON e.booking_id = b.id
        WHERE e.slot_id = %s ORDER BY e.slot_version
        """,
        slot_id,
    )
    assert [user for (user,) in in_order[1:]] == [request.user_id for request in wanted[:5]]


def test_holds_and_bookings_in_one_group(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 10)
    wanted = [seats(slot_id, 2, hold=turn % 2 == 0) for turn in range(4)]
    outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    assert told(outcomes) == ["PENDING", "CONFIRMED", "PENDING", "CONFIRMED"]
    made = [outcome.booking for outcome in outcomes if isinstance(outcome, Booked)]
    assert [booking.expires_at is not None for booking in made] == [True, False, True, False]
    assert read_slot(database_url, slot_id).remaining == 1


def test_key_twice_in_one_group_makes_one_booking(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 10)
    user: dict[str, Any] = {"user_id": unique("user"), "idempotency_key": "k"}
    wanted = [seats(slot_id, **user), seats(slot_id), seats(slot_id, **user)]
    outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    first, _, second = outcomes
    assert isinstance(first, Booked)
    assert isinstance(second, Booked)
    assert first.booking.id == second.booking.id
    assert (first.is_replay, second.is_replay) == (False, True)
    assert read_slot(database_url, slot_id).remaining == 10 - 3


def test_replays_and_reused_keys_leave_their_neighbours_alone(
    parts: Services, database_url: str
) -> None:
    slot_id = new_slot(parts, 3)
    user: dict[str, Any] = {"user_id": unique("user"), "idempotency_key": "k"}
    made = parts.bookings.book_seats(seats(slot_id, **user))
    wanted = [seats(slot_id, **user), seats(slot_id), seats(slot_id, 2, **user)]
    outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    assert told(outcomes) == ["CONFIRMED", "CONFIRMED", IdempotencyKeyReused.__name__]
    assert outcomes[0] == Booked(made.booking, is_replay=True)
    assert read_slot(database_url, slot_id).remaining == 0


def test_limit_of_a_user_within_one_group(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 100, max_seats_per_user=3)
    user, other = unique("user"), unique("user")
    wanted = [
        seats(slot_id, 2, user_id=user),
        seats(slot_id, 2, user_id=user),
        seats(slot_id, 3, user_id=other),
        seats(slot_id, 1, user_id=user),
        seats(slot_id, 1, user_id=other),
    ]
    outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    refused = UserSeatLimit.__name__
    assert told(outcomes) == ["CONFIRMED", refused, "CONFIRMED", "CONFIRMED", refused]


def test_what_does_not_fit_uses_up_nothing_of_a_limit(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 1 + 3, max_seats_per_user=2)
    user = unique("user")
    wanted = [seats(slot_id, 2), seats(slot_id, 2, user_id=user), seats(slot_id, 1, user_id=user)]
    outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    assert told(outcomes) == ["CONFIRMED", "SlotFull", "CONFIRMED"]


def test_key_of_a_user_at_the_limit_is_replayed(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 100, max_seats_per_user=2)
    user: dict[str, Any] = {"user_id": unique("user"), "idempotency_key": "k"}
    wanted = [seats(slot_id, 2, **user), seats(slot_id, 2, **user)]
    outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    assert told(outcomes) == ["CONFIRMED", "CONFIRMED"]
    assert [outcome.is_replay for outcome in outcomes if isinstance(outcome, Booked)] == [
        False,
        True,
    ]


def test_limit_of_holds_within_one_group(database_url: str) -> None:
    parts = create_services(make_config(database_url=database_url, max_active_holds_per_user=2))
    slot_id = new_slot(parts, 100)
    user = unique("user")
    wanted = [seats(slot_id, hold=True, user_id=user) for _ in range(4)] + [
        seats(slot_id, hold=True)
    ]
    outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    assert sorted(told(outcomes[:4])) == [HoldLimit.__name__] * 2 + ["PENDING"] * 2
    assert told(outcomes[4:]) == ["PENDING"]
    # Each of the two got a place of its own at once: they are of one commit.
    transactions = query(
        database_url,
        "SELECT count(DISTINCT xmin::text) FROM bookings WHERE slot_id = %s AND user_id = %s",
        slot_id,
        user,
    )
    assert transactions == [(1,)]
    parts.pool.close()


def test_lapsed_holds_that_make_room_are_reclaimed(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 6)
    lapsed = [parts.bookings.book_seats(seats(slot_id, hold=True)).booking.id for _ in range(5)]
    for booking_id in lapsed:
        lapse(database_url, booking_id)
    outcomes = book_in_one_group(database_url, parts, slot_id, [seats(slot_id) for _ in range(6)])
    assert told(outcomes) == ["CONFIRMED"] * 5 + ["SlotFull"]
    statuses = read_statuses(database_url, slot_id)
    assert {statuses[booking_id] for booking_id in lapsed} == {"FAILED"}


def test_room_that_is_not_made_in_time_is_told_to_those_alone_who_need_it(
    database_url: str,
) -> None:
    parts = create_services(make_config(database_url=database_url, db_lock_timeout_ms=2000))
    slot_id = new_slot(parts, 3)
    lapsed = parts.bookings.book_seats(seats(slot_id, hold=True)).booking.id
    lapse(database_url, lapsed)
    with (
        holding(database_url, LOCK_BOOKING, lapsed),
        in_one_group(database_url, parts, slot_id, [seats(slot_id), seats(slot_id)]) as (
            holder,
            futures,
        ),
    ):
        holder.rollback()
        outcomes = [result(future) for future in futures]
    assert told(outcomes) == ["CONFIRMED", LockTimeout.__name__]
    parts.pool.close()


def test_fault_of_one_user_leaves_the_others_booked(parts: Services, database_url: str) -> None:
    slot_id = new_slot(parts, 10)
    wanted = [seats(slot_id) for _ in range(4)]
    odd = f"NEW.user_id = '{wanted[1].user_id}'"
    with failpoint(database_url, "bookings", raise_sqlstate("23514"), when=odd):
        outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    assert told(outcomes) == ["CONFIRMED", StatementRejected.__name__, "CONFIRMED", "CONFIRMED"]
    assert read_slot(database_url, slot_id).remaining == 10 - 4


def test_backend_that_dies_in_a_group_books_nobody_and_says_so(
    parts: Services, database_url: str
) -> None:
    slot_id = new_slot(parts, 10)
    wanted = [seats(slot_id, idempotency_key="k") for _ in range(5)]
    doomed = f"NEW.user_id = '{wanted[3].user_id}'"
    with failpoint(database_url, "bookings", DIE, when=doomed, at_commit=True, times=1):
        outcomes = book_in_one_group(database_url, parts, slot_id, wanted)
    assert told(outcomes) == [OutcomeUnknown.__name__] * 5
    assert read_slot(database_url, slot_id).remaining == 10 - 1
    again = [parts.bookings.book_seats(request) for request in wanted]
    assert [booked.is_replay for booked in again] == [False] * 5


def test_key_in_progress_elsewhere_is_not_waited_for_by_its_neighbours(
    parts: Services, database_url: str
) -> None:
    slot_id = new_slot(parts, 10)
    busy = seats(slot_id, idempotency_key="k")
    with session(database_url) as elsewhere:
        elsewhere.execute(LOCK_KEY, busy.user_id, busy.idempotency_key)
        with in_one_group(database_url, parts, slot_id, [seats(slot_id), busy, seats(slot_id)]) as (
            holder,
            futures,
        ):
            holder.rollback()
            neighbours = [result(futures[0]), result(futures[2])]
            elsewhere.wait_for_waiters(1)
            assert not futures[1].done()
            # It waits for its key with no lock of the slot in hand.
            parts.bookings.book_seats(seats(slot_id))
            elsewhere.rollback()
            assert told([*neighbours, result(futures[1])]) == ["CONFIRMED"] * 3


def test_key_in_progress_elsewhere_for_too_long(database_url: str) -> None:
    parts = create_services(make_config(database_url=database_url, db_lock_timeout_ms=100))
    busy = seats(new_slot(parts, 10), idempotency_key="k")
    with session(database_url) as elsewhere:
        elsewhere.execute(LOCK_KEY, busy.user_id, busy.idempotency_key)
        assert isinstance(outcome_of(parts.bookings, busy), IdempotencyInProgress)
    parts.pool.close()


def test_flood_on_a_full_slot_takes_no_lock_and_writes_nothing(
    parts: Services, database_url: str
) -> None:
    slot_id = new_slot(parts, 5)
    parts.bookings.book_seats(seats(slot_id, 5))
    row = "SELECT xmin::text, xmax::text, ctid::text FROM slots WHERE id = %s"
    [before] = query(database_url, row, slot_id)
    with holding(database_url, LOCK_SLOT, slot_id) as holder:
        [locked] = query(database_url, row, slot_id)
        works = [lambda: outcome_of(parts.bookings, seats(slot_id)) for _ in range(50)]
        outcomes = holder.run_beside(lambda: at_once(works))
        assert query(database_url, row, slot_id) == [locked]
    assert told(outcomes) == ["SlotFull"] * 50
    assert before[::2] == locked[::2]
    assert list(read_statuses(database_url, slot_id).values()) == ["CONFIRMED"]


@pytest.mark.parametrize(
    ("change", "refusal"),
    [(SlotChanges(status=SlotStatus.CLOSED), SlotClosed), (None, SlotNotFound)],
)
def test_refusal_is_told_to_each(
    parts: Services, change: SlotChanges | None, refusal: type[DomainError]
) -> None:
    slot_id = UNKNOWN_ID
    if change:
        slot_id = new_slot(parts, 5)
        parts.slots.change_slot(slot_id, change, None)
    works = [lambda: outcome_of(parts.bookings, seats(slot_id)) for _ in range(10)]
    assert told(at_once(works)) == [refusal.__name__] * 10


def test_one_slot_that_is_stuck_holds_one_connection(database_url: str) -> None:
    parts = create_services(make_config(database_url=database_url, db_pool_size=2))
    stuck, other = new_slot(parts, 50), new_slot(parts, 50)
    with in_one_group(database_url, parts, stuck, [seats(stuck) for _ in range(20)]):
        for _ in range(20):
            parts.bookings.book_seats(seats(other))
    assert read_slot(database_url, stuck).remaining == 50 - 21
    parts.pool.close()


def test_database_that_is_gone_is_told_to_each(database_url: str) -> None:
    parts = create_services(make_config(database_url="postgresql://127.0.0.1:1/nowhere"))
    works = [lambda: outcome_of(parts.bookings, seats(UNKNOWN_ID)) for _ in range(10)]
    assert told(at_once(works)) == [DatabaseUnavailable.__name__] * 10


@pytest.mark.parametrize("group_commit_size", [1, 3, 100])
def test_rush_sells_each_seat_once(database_url: str, group_commit_size: int) -> None:
    parts = create_services(
        make_config(
            database_url=database_url,
            group_commit_size=group_commit_size,
            db_pool_size=8,
            # Ungrouped, forty wait for one row: how long, the machine decides.
            db_pool_timeout_seconds=60,
            db_lock_timeout_ms=60_000,
            db_statement_timeout_ms=60_000,
        )
    )
    slot_id = new_slot(parts, 150)
    works = [
        lambda: [outcome_of(parts.bookings, seats(slot_id)) for _ in range(5)] for _ in range(40)
    ]
    counts = told([outcome for outcomes in at_once(works) for outcome in outcomes])
    assert (counts.count("CONFIRMED"), counts.count("SlotFull")) == (150, 50)
    assert read_slot(database_url, slot_id) == SlotRow(total=150, remaining=0, version=151)
    parts.pool.close()
