"""Race 8: cancel against an admin's change. One lock order, slots before bookings: no deadlock."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import pytest

from tests.support.apps import Answer, Api, running_app
from tests.support.rows import lapse, read_slot
from tests.support.sessions import LOCK_BOOKING, LOCK_SLOT, holding, wait_until
from tests.support.snapshots import query
from tests.support.threads import at_once, background, result

Act = Callable[[Api, str, str], Answer]


def cancel(api: Api, _slot_id: str, booking_id: str) -> Answer:
    return api.cancel(booking_id)


def change(api: Api, slot_id: str, _booking_id: str) -> Answer:
    return api.change_slot(slot_id, total_capacity=8)


def book(api: Api, slot_id: str, _booking_id: str) -> Answer:
    return api.book(slot_id)


def expire(api: Api, _slot_id: str, _booking_id: str) -> Answer:
    return api.expire_pending()


@pytest.mark.parametrize(
    ("act", "has_lapsed"),
    [
        (cancel, False),
        (change, True),
        (change, False),
        (book, False),
        (expire, True),
    ],
)
def test_who_waits_for_a_slot_holds_no_booking_of_it(
    api: Api, database_url: str, act: Act, has_lapsed: bool
) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, hold=True)
    if has_lapsed:
        lapse(database_url, booking_id)

    with background() as start, holding(database_url, LOCK_SLOT, slot_id) as holder:
        future: Future[Answer] = start(lambda: act(api, slot_id, booking_id))
        holder.wait_for_waiters()
        # Slot, then booking, as every use case does: who had them the other way round would now
        # make this one wait, and wait for it.
        assert holder.execute(LOCK_BOOKING + " NOWAIT", booking_id) == [(booking_id,)]
        holder.rollback()
        assert result(future).status < 300


def test_confirm_holds_its_booking_and_waits_for_no_slot(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, hold=True)

    with holding(database_url, LOCK_SLOT, slot_id) as holder:
        answer = holder.run_beside(lambda: api.confirm(booking_id))

    assert answer.data["status"] == "CONFIRMED"


def test_everything_at_once_on_two_slots_without_a_deadlock(database_url: str) -> None:
    deadlocks_before = count_deadlocks(database_url)
    others = list_backends(database_url)
    with running_app(database_url) as api:
        slot_ids = [api.create_slot(total_capacity=60) for _ in range(2)]
        for round_number in range(4):
            answers = at_once(works_of_a_round(api, database_url, slot_ids, round_number))

            assert {answer.code for answer in answers} <= {
                None,
                "BOOKING_EXPIRED",
                "BOOKING_CANCELLED",
            }
    for slot_id in slot_ids:
        slot = read_slot(database_url, slot_id)
        assert 0 < slot.remaining < slot.total
    # A backend tells what it counted at the latest when it ends, as those of the pool do now.
    wait_until(lambda: list_backends(database_url) <= others, "the pool's end")
    assert count_deadlocks(database_url) == deadlocks_before


def works_of_a_round(
    api: Api, url: str, slot_ids: list[str], round_number: int
) -> list[Callable[[], Answer]]:
    """Return every kind of change of each slot, in an order of the round's own."""
    seed = random.Random(round_number)
    works: list[Callable[[], Answer]] = [api.expire_pending] * 3
    for slot_id in slot_ids:
        for number in range(6):
            booking_id = api.make_booking(slot_id, hold=True)
            if number < 2:
                lapse(url, booking_id)
            works += [
                partial(act, booking_id) for act in (api.cancel, api.get_booking, api.confirm)
            ]
        for _ in range(4):
            works += [
                partial(api.book, slot_id, hold=True),
                partial(api.change_slot, slot_id, total_capacity=seed.randrange(60, 90)),
            ]
    seed.shuffle(works)
    return works


def count_deadlocks(url: str) -> int:
    [(deadlocks,)] = query(
        url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    return int(deadlocks)


def list_backends(url: str) -> set[int]:
    rows = query(
        url,
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'booking'",
    )
    return {pid for (pid,) in rows}
