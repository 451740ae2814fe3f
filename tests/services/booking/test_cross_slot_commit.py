"""Bookings of different slots in one commit: what they share, and what stays each one's own.

A group is brought about with a booking that stops in the only lane: the others line up behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

import pytest

from booking.app import Services, create_services
from booking.errors import (
    Busy,
    HoldLimit,
    IdempotencyKeyReused,
    LockTimeout,
    OutcomeUnknown,
    SlotClosed,
    SlotFull,
    StatementRejected,
    TransactionConflict,
    UserSeatLimit,
)
from booking.models import SeatRequest, SlotStatus
from booking.services.booking.commit_queue import CommitQueue
from booking.services.booking.cross_slot_commit import LANES, CrossSlotCommit
from booking.services.booking.service import BookingService
from booking.services.booking.slot_batch import SlotBatch
from booking.services.slots import SlotChanges
from tests.services.booking.requests import Outcome, new_slot, outcome_of, seats, told, versions_of
from tests.support.factories import make_config, unique
from tests.support.failpoints import DIE, Breakpoint, breakpoint_at, failpoint, raise_sqlstate
from tests.support.rows import SlotRow, lapse, read_slot
from tests.support.sessions import LOCK_SLOT, holding, wait_until
from tests.support.snapshots import query
from tests.support.threads import at_once, background, result, results

SECONDS = 20.0
HOLDS = 2


@pytest.fixture
def parts(database_url: str) -> Iterator[Services]:
    made = create_services(
        make_config(
            # Longer than any test waits: who waits for a lock is not helped by its end.
            database_url=database_url,
            db_lock_timeout_ms=120_000,
            db_statement_timeout_ms=120_000,
        )
    )
    yield made
    made.pool.close()


class Lanes:
    """Bookings of which so many commits run at a time."""

    def __init__(self, parts: Services, lanes: int = 1) -> None:
        self.shared = CrossSlotCommit(
            parts.db, lanes=lanes, max_group_size=100, queue_timeout=SECONDS, commit_timeout=SECONDS
        )
        slot_batch = SlotBatch(
            parts.db,
            parts.expiry,
            parts.gate,
            self.shared,
            hold_ttl_seconds=120,
            max_active_holds_per_user=HOLDS,
        )
        self.bookings = BookingService(
            parts.db,
            parts.expiry,
            parts.gate,
            CommitQueue(
                slot_batch.book_batch,
                max_group_size=100,
                queue_timeout=SECONDS,
                commit_timeout=SECONDS,
            ),
            max_active_holds_per_user=HOLDS,
        )

    def wait_for_line(self, length: int) -> None:
        lines = self.shared._groups._lines
        wait_until(lambda: sum(map(len, lines.values())) == length, "the lane's line")


@pytest.fixture
def lane(parts: Services) -> Lanes:
    return Lanes(parts)


@contextmanager
def in_one_commit(
    url: str, parts: Services, lane: Lanes, wanted: Sequence[SeatRequest]
) -> Iterator[tuple[Breakpoint, list[Future[Outcome]]]]:
    """Line the requests up behind a booking that has stopped; one commit when that is released."""
    first = seats(new_slot(parts, 1))
    with (
        background(len(wanted) + 1) as start,
        breakpoint_at(url, "bookings", when=f"NEW.user_id = '{first.user_id}'") as stop,
    ):
        leader = start(lambda: outcome_of(lane.bookings, first))
        stop.wait_for_stop()
        futures: list[Future[Outcome]] = []
        for request in wanted:
            futures.append(start(lambda request=request: outcome_of(lane.bookings, request)))  # type: ignore[misc]
            lane.wait_for_line(len(futures))
        yield stop, futures
        stop.release()
        result(leader)


def book_in_one_commit(
    url: str, parts: Services, lane: Lanes, wanted: Sequence[SeatRequest]
) -> list[Outcome]:
    with in_one_commit(url, parts, lane, wanted) as (_, futures):
        pass
    return results(futures)


def transactions_of(url: str, slot_ids: Sequence[str]) -> int:
    [(count,)] = query(
        url,
        "SELECT count(DISTINCT xmin::text) FROM bookings WHERE slot_id = ANY (%s::uuid[])",
        list(slot_ids),
    )
    return int(count)


def test_bookings_of_many_slots_are_one_commit(
    parts: Services, lane: Lanes, database_url: str
) -> None:
    slots = [new_slot(parts, 10) for _ in range(20)]
    wanted = [seats(slot_id, 1 + turn % 3) for turn, slot_id in enumerate(slots)]
    outcomes = book_in_one_commit(database_url, parts, lane, wanted)
    assert told(outcomes) == ["CONFIRMED"] * 20
    assert transactions_of(database_url, slots) == 1
    for request in wanted:
        assert read_slot(database_url, request.slot_id) == SlotRow(
            total=10, remaining=10 - request.num_seats, version=2
        )
        assert versions_of(database_url, request.slot_id) == [2]


def test_each_gets_the_answer_of_its_own_slot(
    parts: Services, lane: Lanes, database_url: str
) -> None:
    full, closed, limited, lapsed = (
        new_slot(parts, 1),
        new_slot(parts, 9),
        new_slot(parts, 9, max_seats_per_user=1),
        new_slot(parts, 1),
    )
    parts.bookings.book_seats(seats(full))
    parts.slots.change_slot(closed, SlotChanges(status=SlotStatus.CLOSED), None)
    lapse(database_url, parts.bookings.book_seats(seats(lapsed, hold=True)).booking.id)
    wanted = [
        seats(new_slot(parts, 2), 2),
        seats(full),
        seats(closed),
        seats(limited, 2),
        seats(limited, 1),
        seats(lapsed),
        seats(new_slot(parts, 2), 2, hold=True),
    ]
    # Two of one slot stand in its own line, not both in the lane's.
    limited_later = wanted.pop(4)
    outcomes = book_in_one_commit(database_url, parts, lane, wanted)
    assert told(outcomes) == [
        "CONFIRMED",
        SlotFull.__name__,
        SlotClosed.__name__,
        UserSeatLimit.__name__,
        "CONFIRMED",
        "PENDING",
    ]
    assert told([outcome_of(lane.bookings, limited_later)]) == ["CONFIRMED"]


def test_locked_slot_holds_up_its_own_booking_alone(
    parts: Services, lane: Lanes, database_url: str
) -> None:
    slots = [new_slot(parts, 5) for _ in range(4)]
    with holding(database_url, LOCK_SLOT, slots[1]) as holder:
        wanted = [seats(slot_id) for slot_id in slots]
        with in_one_commit(database_url, parts, lane, wanted) as (stop, futures):
            stop.release()
            others = [futures[0], futures[2], futures[3]]
            assert told(results(others)) == ["CONFIRMED"] * 3
            holder.wait_for_waiters(1)
            # It waits outside the lane, which serves on.
            assert told([outcome_of(lane.bookings, seats(slots[0]))]) == ["CONFIRMED"]
            assert not futures[1].done()
            holder.rollback()
            assert told([result(futures[1])]) == ["CONFIRMED"]
    assert read_slot(database_url, slots[1]).remaining == 4


def test_seats_that_others_took_meanwhile_are_not_sold_again(
    parts: Services, lane: Lanes, database_url: str
) -> None:
    slots = [new_slot(parts, 1) for _ in range(3)]
    wanted = [seats(slot_id) for slot_id in slots]
    with in_one_commit(database_url, parts, lane, wanted) as (_, futures):
        parts.bookings.book_seats(seats(slots[1]))
    assert told(results(futures)) == ["CONFIRMED", SlotFull.__name__, "CONFIRMED"]
    assert read_slot(database_url, slots[1]) == SlotRow(total=1, remaining=0, version=2)


@pytest.mark.parametrize(
    ("action", "refusal"),
    [
        (raise_sqlstate("23514"), StatementRejected),
        (raise_sqlstate("55P03"), LockTimeout),
        (raise_sqlstate("40P01"), TransactionConflict),
        (raise_sqlstate("57014"), Busy),
    ],
    ids=["defect", "lock timeout", "deadlock", "statement timeout"],
)
def test_fault_of_one_is_its_own(
    parts: Services, lane: Lanes, database_url: str, action: str, refusal: type[Exception]
) -> None:
    wanted = [seats(new_slot(parts, 5)) for _ in range(4)]
    odd = f"NEW.user_id = '{wanted[2].user_id}'"
    with failpoint(database_url, "bookings", action, when=odd):
        outcomes = book_in_one_commit(database_url, parts, lane, wanted)
    assert told(outcomes) == ["CONFIRMED", "CONFIRMED", refusal.__name__, "CONFIRMED"]
    assert read_slot(database_url, wanted[2].slot_id).remaining == 5


def test_backend_that_dies_in_the_commit_books_nobody_and_says_so(
    parts: Services, lane: Lanes, database_url: str
) -> None:
    wanted = [seats(new_slot(parts, 5), idempotency_key="k") for _ in range(4)]
    doomed = f"NEW.user_id = '{wanted[3].user_id}'"
    with failpoint(database_url, "bookings", DIE, when=doomed, at_commit=True, times=1):
        outcomes = book_in_one_commit(database_url, parts, lane, wanted)
    assert told(outcomes) == [OutcomeUnknown.__name__] * 4
    assert [read_slot(database_url, request.slot_id).remaining for request in wanted] == [5] * 4
    again = [lane.bookings.book_seats(request) for request in wanted]
    assert [booked.is_replay for booked in again] == [False] * 4


def test_one_key_for_two_slots_books_one_of_them(
    parts: Services, lane: Lanes, database_url: str
) -> None:
    user = unique("user")
    wanted = [
        seats(new_slot(parts, 5), user_id=user, idempotency_key="k"),
        seats(new_slot(parts, 5)),
        seats(new_slot(parts, 5), user_id=user, idempotency_key="k"),
    ]
    outcomes = book_in_one_commit(database_url, parts, lane, wanted)
    assert told(outcomes)[1] == "CONFIRMED"
    assert sorted(told(outcomes)[::2]) == ["CONFIRMED", IdempotencyKeyReused.__name__]
    sold = [5 - read_slot(database_url, request.slot_id).remaining for request in wanted[::2]]
    assert sorted(sold) == [0, 1]


def test_limit_of_holds_across_the_slots_of_one_commit(
    parts: Services, lane: Lanes, database_url: str
) -> None:
    user = unique("user")
    wanted = [seats(new_slot(parts, 5), hold=True, user_id=user) for _ in range(HOLDS + 2)]
    outcomes = book_in_one_commit(database_url, parts, lane, wanted)
    assert sorted(told(outcomes)) == [HoldLimit.__name__] * 2 + ["PENDING"] * HOLDS


@pytest.mark.parametrize("hold", [False, True])
def test_crowd_over_few_slots_from_two_processes_sells_each_seat_once(
    database_url: str, hold: bool
) -> None:
    """Each of the two has lines of its own: they meet in the rows of slots and of places."""
    houses = [
        create_services(make_config(database_url=database_url, max_active_holds_per_user=HOLDS))
        for _ in range(2)
    ]
    slots = [new_slot(houses[0], 12) for _ in range(8)]
    users = [unique("user") for _ in range(60)]

    def buy(number: int) -> list[Outcome]:
        own, user = houses[number % 2].bookings, users[number // 2]
        return [
            outcome_of(own, seats(slots[(number + turn) % 8], hold=hold, user_id=user))
            for turn in range(8)
        ]

    outcomes = at_once([lambda number=number: buy(number) for number in range(120)])  # type: ignore[misc]
    counts = [told(some) for some in outcomes]
    sold = sum(names.count("PENDING" if hold else "CONFIRMED") for names in counts)
    refusals = {name for names in counts for name in names} - {"PENDING", "CONFIRMED"}
    assert refusals <= {SlotFull.__name__, HoldLimit.__name__}
    assert sold == sum(12 - read_slot(database_url, slot_id).remaining for slot_id in slots)
    if not hold:
        assert sold == 8 * 12
    assert not any(check.violations for check in houses[0].audit.run_audit())
    for house in houses:
        house.pool.close()


def test_who_waits_too_long_for_a_lane_commits_by_itself(
    parts: Services, database_url: str
) -> None:
    lane = Lanes(parts)
    lane.shared._groups._line_seconds = 0.1
    first, second = seats(new_slot(parts, 5)), seats(new_slot(parts, 5))
    with (
        background() as start,
        breakpoint_at(database_url, "bookings", when=f"NEW.user_id = '{first.user_id}'") as stop,
    ):
        leader = start(lambda: outcome_of(lane.bookings, first))
        stop.wait_for_stop()
        told_of = stop.run_beside(lambda: outcome_of(lane.bookings, second))
        assert told([told_of]) == ["CONFIRMED"]
        stop.release()
        assert told([result(leader)]) == ["CONFIRMED"]
    assert read_slot(database_url, second.slot_id).remaining == 4


def test_idle_slot_is_booked_while_all_lanes_stand_still(database_url: str) -> None:
    """Longer than those wait who stand behind its leader."""
    parts = create_services(make_config(database_url=database_url, db_lock_timeout_ms=2000))
    stuck, slot_id = [seats(new_slot(parts, 5)) for _ in range(LANES)], new_slot(parts, 5)
    users = ", ".join(f"'{request.user_id}'" for request in stuck)
    sleep = "PERFORM pg_sleep(3);"
    with (
        background() as start,
        failpoint(database_url, "bookings", sleep, when=f"NEW.user_id IN ({users})"),
    ):
        leaders = [start(partial(outcome_of, parts.bookings, request)) for request in stuck]
        wait_until(lambda: count_asleep(database_url) == LANES, "the lanes to stand still")
        crowd = [start(lambda: outcome_of(parts.bookings, seats(slot_id))) for _ in range(4)]
        outcomes = results(crowd)
        still = count_asleep(database_url)
        assert told(results(leaders)) == ["CONFIRMED"] * LANES
    assert told(outcomes) == ["CONFIRMED"] * 4
    assert still == LANES
    parts.pool.close()


def count_asleep(url: str) -> int:
    [(count,)] = query(
        url,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep'",
    )
    return int(count)


def test_lane_that_stands_still_holds_up_nobody_while_another_is_idle(
    parts: Services, database_url: str
) -> None:
    lanes = Lanes(parts, 2)
    stuck, slot_id = seats(new_slot(parts, 5)), new_slot(parts, 5)
    with (
        background() as start,
        breakpoint_at(database_url, "bookings", when=f"NEW.user_id = '{stuck.user_id}'") as stop,
    ):
        leader = start(lambda: outcome_of(lanes.bookings, stuck))
        stop.wait_for_stop()
        for _ in range(3):
            told_of = stop.run_beside(lambda: outcome_of(lanes.bookings, seats(slot_id)))
            assert told([told_of]) == ["CONFIRMED"]
        stop.release()
        assert told([result(leader)]) == ["CONFIRMED"]
