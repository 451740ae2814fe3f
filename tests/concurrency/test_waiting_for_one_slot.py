"""One slot is locked by somebody else: at most two connections of a worker wait for it, whatever
the calls, and nobody else is held up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

import pytest

from booking.services.booking.slot_gate import MOST_WAITING
from tests.support.apps import Answer, Api
from tests.support.factories import unique
from tests.support.rows import SlotRow, lapse, read_history, read_slot
from tests.support.sessions import LOCK_BOOKING, Session, holding, session, wait_until
from tests.support.snapshots import query
from tests.support.threads import background, results

StartApi = Callable[..., Api]

POOL_SIZE = 8
LOCK_SLOT_WHOLE = "SELECT id FROM slots WHERE id = %s FOR UPDATE"
CLAIM_KEY = "SELECT pg_advisory_xact_lock(key_lock(%s, %s))"
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'booking' AND wait_event_type = 'Lock'
"""


def count_waiting(url: str) -> int:
    [(count,)] = query(url, WAITING)
    return int(count)


@contextmanager
def in_a_worker(start_api: StartApi, **settings: object) -> Iterator[Api]:
    """The application as one worker of a server has it: with groups and a small pool."""
    yield start_api(
        group_commit_size=100,
        db_pool_size=POOL_SIZE,
        most_waiting=MOST_WAITING,
        **settings,
    )


def most_waiting_beside(url: str, act: Callable[[], object]) -> int:
    """Act ten times, and return how many backends at most were seen to wait meanwhile."""
    most = 0
    for _ in range(10):
        act()
        most = max(most, count_waiting(url))
        time.sleep(0.03)
    return most


Call = Callable[["Crowd"], list[Callable[[], Answer]]]


class Crowd:
    """A slot with bookings in every state that has to be waited for."""

    def __init__(self, api: Api, url: str) -> None:
        self.api = api
        self.slot_id = api.create_slot(total_capacity=200)
        self.idle_id = api.create_slot(total_capacity=200)
        self.owners = [unique("user") for _ in range(12)]
        self.lapsed = [
            api.make_booking(self.slot_id, hold=True, user_id=user) for user in self.owners
        ]
        self.booked = [api.make_booking(self.slot_id) for _ in range(16)]
        self.held = [api.make_booking(self.slot_id, hold=True) for _ in range(12)]
        for booking_id in self.lapsed:
            lapse(url, booking_id)

    def lock(self, holder: Session) -> None:
        """Lock the slot and its live holds, as a cancellation of each would."""
        holder.execute(LOCK_SLOT_WHOLE, self.slot_id)
        for booking_id in self.held:
            holder.execute(LOCK_BOOKING, booking_id)

    def read(self) -> list[Callable[[], Answer]]:
        return [partial(self.api.get_booking, booking_id) for booking_id in self.lapsed]

    def cancel(self) -> list[Callable[[], Answer]]:
        return [partial(self.api.cancel, booking_id) for booking_id in self.booked]

    def confirm(self) -> list[Callable[[], Answer]]:
        return [partial(self.api.confirm, booking_id) for booking_id in self.held]

    def change(self) -> list[Callable[[], Answer]]:
        return [
            partial(self.api.change_slot, self.slot_id, total_capacity=200 + number)
            for number in range(12)
        ]

    def book(self) -> list[Callable[[], Answer]]:
        return [partial(self.api.book, self.slot_id)] * 12

    def hold_elsewhere(self) -> list[Callable[[], Answer]]:
        """Each user's only place is taken by a lapsed hold of the locked slot."""
        return [
            partial(self.api.book, self.idle_id, hold=True, user_id=user) for user in self.owners
        ]

    def expire(self) -> list[Callable[[], Answer]]:
        return [self.api.expire_pending] * 12


CALLS: list[Call] = [
    Crowd.cancel,
    Crowd.confirm,
    Crowd.change,
    Crowd.book,
    Crowd.hold_elsewhere,
    Crowd.expire,
]


@pytest.mark.parametrize(
    "calls", [*([call] for call in CALLS), CALLS], ids=lambda calls: calls[-1].__name__
)
def test_two_wait_for_a_locked_slot_and_others_are_served(
    start_api: StartApi, database_url: str, calls: list[Call]
) -> None:
    with in_a_worker(start_api, max_active_holds_per_user=1) as api:
        crowd = Crowd(api, database_url)
        works = [work for call in calls for work in call(crowd)]
        with background(len(works)) as start, session(database_url) as holder:
            crowd.lock(holder)
            futures: list[Future[Answer]] = [start(work) for work in works]
            holder.wait_for_waiters()
            served: list[Answer] = []
            most = most_waiting_beside(database_url, lambda: served.append(api.book(crowd.idle_id)))
            holder.rollback()
            answers = results(futures)
        assert most <= MOST_WAITING
        assert {answer.status for answer in served} == {201}
        assert {answer.code for answer in answers} == {None}


def test_reads_of_lapsed_holds_wait_for_nobody(start_api: StartApi, database_url: str) -> None:
    with in_a_worker(start_api) as api:
        crowd = Crowd(api, database_url)
        with background() as start, session(database_url) as holder:
            crowd.lock(holder)
            answers = holder.run_beside(lambda: results([start(work) for work in crowd.read()]))
        shown = {(answer.status, answer.data["status"]) for answer in answers}
        assert shown == {(200, "FAILED")}
        # Settled by the first who finds the slot free.
        assert api.get_booking(crowd.lapsed[0]).data["status"] == "FAILED"
        assert {read_history(database_url, hold)[-1] for hold in crowd.lapsed} == {"EXPIRED"}


def test_who_waits_for_a_slot_in_vain_is_told_busy(start_api: StartApi, database_url: str) -> None:
    with in_a_worker(start_api, db_lock_timeout_ms=300, db_pool_timeout_seconds=1) as api:
        crowd = Crowd(api, database_url)
        works = [*crowd.cancel(), *crowd.confirm(), *crowd.change(), *crowd.book()]
        before = read_slot(database_url, crowd.slot_id)
        with background(len(works)) as start, session(database_url) as holder:
            crowd.lock(holder)
            answers = results([start(work) for work in works])
        assert {(answer.status, answer.code) for answer in answers} == {(503, "BUSY")}
        assert read_slot(database_url, crowd.slot_id) == before


def test_two_wait_for_the_keys_of_a_slot(start_api: StartApi, database_url: str) -> None:
    """Each key is in progress elsewhere, so each request waits for another."""
    with in_a_worker(start_api) as api:
        slot_id, idle_id, user = api.create_slot(), api.create_slot(total_capacity=20), "u"
        keys = [unique("key") for _ in range(10)]
        with background() as start, session(database_url) as holder:
            for key in keys:
                holder.execute(CLAIM_KEY, user, key)
            futures: list[Future[Answer]] = [
                start(partial(api.book, slot_id, key=key, user_id=user)) for key in keys
            ]
            holder.wait_for_waiters()
            most = most_waiting_beside(database_url, lambda: api.book(idle_id).data)
            holder.rollback()
            answers = results(futures)
        assert most <= MOST_WAITING
        assert {answer.status for answer in answers} == {201}
        assert read_slot(database_url, slot_id) == SlotRow(total=10, remaining=0, version=11)


def test_free_hold_is_confirmed_while_its_slot_is_waited_for(
    start_api: StartApi, database_url: str
) -> None:
    with in_a_worker(start_api) as api:
        crowd = Crowd(api, database_url)
        with (
            background() as start,
            holding(database_url, LOCK_SLOT_WHOLE, crowd.slot_id) as holder,
        ):
            futures = [start(work) for work in crowd.cancel()]
            wait_until(lambda: count_waiting(database_url) == MOST_WAITING, "two to wait")
            answers = [work() for work in crowd.confirm()]
            holder.rollback()
            assert {answer.status for answer in results(futures)} == {200}
        assert {answer.data["status"] for answer in answers} == {"CONFIRMED"}
