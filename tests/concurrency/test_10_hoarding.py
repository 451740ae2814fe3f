"""Race 10: holding without end. Limits per user, decided among the user's own requests at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from tests.apps import Api, running_app
from tests.concurrency.races import queue_for_slot
from tests.factories import unique
from tests.rows import read_slot, read_statuses
from tests.snapshots import query
from tests.threads import at_once

HOLDS = 3


@pytest.fixture
def limited_api(database_url: str) -> Iterator[Api]:
    with running_app(database_url, max_active_holds_per_user=HOLDS) as api:
        yield api


def test_one_users_holds_on_different_slots_at_once(limited_api: Api, database_url: str) -> None:
    slots = [limited_api.create_slot() for _ in range(24)]
    user = unique("hoarder")

    answers = at_once([partial(limited_api.book, slot, user_id=user, hold=True) for slot in slots])

    assert Counter(answer.code for answer in answers) == {None: HOLDS, "HOLD_LIMIT": 24 - HOLDS}
    assert pending_holds(database_url, user) == HOLDS
    taken = sum(1 for slot in slots if read_slot(database_url, slot).remaining == 9)
    assert taken == HOLDS


def test_one_users_holds_on_one_slot_at_once(limited_api: Api, database_url: str) -> None:
    slot = limited_api.create_slot(total_capacity=50)
    user = unique("hoarder")

    answers = at_once([lambda: limited_api.book(slot, user_id=user, hold=True)] * 16)

    assert Counter(answer.code for answer in answers) == {None: HOLDS, "HOLD_LIMIT": 16 - HOLDS}
    assert read_slot(database_url, slot).remaining == 50 - HOLDS


def test_places_that_come_free_are_taken_once(limited_api: Api, database_url: str) -> None:
    user = unique("hoarder")
    held = [
        limited_api.make_booking(limited_api.create_slot(), user_id=user, hold=True)
        for _ in range(HOLDS)
    ]
    limited_api.confirm(held[0])
    limited_api.cancel(held[1])
    slots = [limited_api.create_slot() for _ in range(12)]

    answers = at_once([partial(limited_api.book, slot, user_id=user, hold=True) for slot in slots])

    assert Counter(answer.status for answer in answers) == {201: 2, 429: 10}
    assert pending_holds(database_url, user) == HOLDS


def test_seats_of_one_user_on_a_limited_slot_at_once(api: Api, database_url: str) -> None:
    slot = api.create_slot(total_capacity=50, max_seats_per_user=4)
    user, other = unique("hoarder"), unique("other")

    answers = at_once(
        [lambda: api.book(slot, user_id=user, num_seats=2)] * 12
        + [lambda: api.book(slot, user_id=other, num_seats=3)] * 4
    )

    assert Counter(answer.code for answer in answers) == {None: 3, "USER_SEAT_LIMIT": 13}
    assert read_slot(database_url, slot).remaining == 50 - 2 * 2 - 3
    assert Counter(read_statuses(database_url, slot).values()) == {"CONFIRMED": 3}


def test_seats_of_users_who_all_wait_for_the_slot(api: Api, database_url: str) -> None:
    slot = api.create_slot(total_capacity=50, max_seats_per_user=1)
    user = unique("hoarder")

    answers = queue_for_slot(database_url, slot, [lambda: api.book(slot, user_id=user)] * 8)

    assert Counter(answer.code for answer in answers) == {None: 1, "USER_SEAT_LIMIT": 7}
    assert read_slot(database_url, slot).remaining == 49


def test_one_key_at_once_on_a_limited_slot_is_one_booking(api: Api, database_url: str) -> None:
    slot = api.create_slot(total_capacity=50, max_seats_per_user=1)
    user = unique("retrier")

    answers = queue_for_slot(
        database_url, slot, [lambda: api.book(slot, user_id=user, key="once")] * 6
    )

    assert {answer.status for answer in answers} == {201}
    assert len({answer.data["id"] for answer in answers}) == 1
    assert sorted(answer.is_replay for answer in answers) == [False] + [True] * 5


def pending_holds(url: str, user: str) -> int:
    [[count]] = query(
        url, "SELECT count(*) FROM bookings WHERE user_id = %s AND status = 'PENDING'", user
    )
    return int(count)
