"""Race 2: capacity by SELECT SUM(…) then INSERT, even inside a locked UPDATE, oversells.

These two ways of booking are wrong on purpose. They run on the real tables of a database of their
own, under the harness under which the application is tried: it must catch them, or it proves
nothing of the application.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

import pytest

from tests.concurrency.races import queue_for_slot
from tests.support.apps import Api, running_app
from tests.support.rows import read_slot
from tests.support.sessions import Session, session
from tests.support.snapshots import query, violations_of

CAPACITY = 3
BUYERS = 10

FREE_SEATS = """
SELECT
    s.total_capacity
    - (SELECT coalesce(sum(b.num_seats), 0) FROM bookings AS b WHERE b.slot_id = s.id)
FROM slots AS s
WHERE s.id = %s
"""
INSERT = """
INSERT INTO bookings (id, slot_id, user_id, num_seats, status)
VALUES (%s, %s, 'control', 1, 'CONFIRMED')
"""
# The UPDATE waits and looks again at the row that it waited for, but its subquery still sees what
# was there when the statement began.
UPDATE_WHERE_SUM_LEAVES_ROOM = """
UPDATE slots AS s
SET version = version + 1
WHERE
    s.id = %s
    AND (SELECT coalesce(sum(b.num_seats), 0) FROM bookings AS b WHERE b.slot_id = s.id)
    < s.total_capacity
RETURNING s.id
"""


@pytest.fixture
def scratch_url(new_database: Callable[..., str]) -> str:
    """A migrated database which no invariant is asked of."""
    return new_database()


@pytest.fixture
def slot_id(scratch_url: str) -> str:
    with running_app(scratch_url) as api:
        return api.create_slot(total_capacity=CAPACITY)


def count_sold(url: str, slot_id: str) -> int:
    [(seats,)] = query(
        url, "SELECT coalesce(sum(num_seats), 0) FROM bookings WHERE slot_id = %s", slot_id
    )
    return int(seats)


def book_by_sum(url: str, slot_id: str) -> bool:
    with session(url) as buyer:
        [(free,)] = buyer.execute(FREE_SEATS, slot_id)
        # Locks the slot only now, as a foreign key does: all have seen the same sum.
        buyer.execute("SELECT id FROM slots WHERE id = %s FOR NO KEY UPDATE", slot_id)
        return free > 0 and insert(buyer, slot_id)


def book_by_sum_inside_update(url: str, slot_id: str) -> bool:
    with session(url) as buyer:
        return bool(buyer.execute(UPDATE_WHERE_SUM_LEAVES_ROOM, slot_id)) and insert(buyer, slot_id)


def insert(buyer: Session, slot_id: str) -> bool:
    buyer.execute(INSERT, str(uuid.uuid4()), slot_id)
    buyer.commit()
    return True


@pytest.mark.parametrize("book", [book_by_sum, book_by_sum_inside_update])
def test_control_oversells(
    scratch_url: str, slot_id: str, book: Callable[[str, str], bool]
) -> None:
    sold = queue_for_slot(scratch_url, slot_id, [partial(book, scratch_url, slot_id)] * BUYERS)

    assert sold == [True] * BUYERS
    assert count_sold(scratch_url, slot_id) == BUYERS > CAPACITY
    assert {row[0] for row in violations_of(scratch_url)["seats_add_up"]} == {slot_id}


def test_application_does_not_oversell_under_the_same_harness(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=CAPACITY)

    answers = queue_for_slot(database_url, slot_id, [lambda: api.book(slot_id)] * BUYERS)

    assert sorted(answer.status for answer in answers) == [201] * CAPACITY + [409] * (
        BUYERS - CAPACITY
    )
    assert count_sold(database_url, slot_id) == CAPACITY
    assert read_slot(database_url, slot_id).remaining == 0
