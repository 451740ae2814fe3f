"""Race 10: holding without end. Limits per user, decided among the user's own requests at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from tests.concurrency.races import queue_for_slot
from tests.support.apps import Answer, Api, running_app
from tests.support.factories import unique
from tests.support.failpoints import Breakpoint, breakpoint_at
from tests.support.rows import has_passed, read_history, read_slot, read_statuses
from tests.support.sessions import terminate, wait_until, waiting_for
from tests.support.snapshots import query
from tests.support.threads import at_once, background, result

HOLDS = 3
# A hold must live until it is confirmed. Where a busy machine takes longer, a longer life is tried.
HOLD_LIVES_SECONDS = (0.4, 2, 10)


@dataclass(frozen=True)
class Confirmation:
    """A confirmation of a hold, stopped before its commit."""

    api: Api
    slot: str
    user: str
    held: str
    answer: Future[Answer]
    stop: Breakpoint


StartApi = Callable[..., Api]
Confirming = Callable[..., AbstractContextManager[Confirmation]]


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


@pytest.fixture
def confirming(start_api: StartApi, database_url: str) -> Confirming:
    """Stops confirmations that ran in time before their commit, until their holds have lapsed."""

    @contextmanager
    def stopped(*, total_capacity: int, num_seats: int) -> Iterator[Confirmation]:
        for seconds in HOLD_LIVES_SECONDS:
            api = start_api(hold_ttl_seconds=seconds)
            slot = api.create_slot(total_capacity=total_capacity, max_seats_per_user=2)
            user = unique("hoarder")
            held = api.make_booking(slot, user_id=user, num_seats=num_seats, hold=True)
            at_it = f"NEW.id = '{held}' AND NEW.status = 'CONFIRMED'"
            with (
                background() as start,
                breakpoint_at(database_url, "bookings", event="UPDATE", when=at_it) as stop,
            ):
                confirmed: Future[Answer] = start(partial(api.confirm, held))
                if is_stopped(confirmed, stop):
                    wait_until(partial(has_passed, database_url, held), "the expiry")
                    yield Confirmation(api, slot, user, held, confirmed, stop)
                    return
        pytest.fail("no hold lived until its confirmation")

    return stopped


def is_stopped(confirmed: Future[Answer], stop: Breakpoint) -> bool:
    """Wait until a confirmation has stopped, or is refused; tell which."""
    wait_until(lambda: confirmed.done() or bool(stop.stopped()), "the confirmation")
    return not confirmed.done()


def book_behind(url: str, confirmation: Confirmation, end: Callable[[int], None]) -> Answer:
    """Book two seats for the user of a confirmation under way, and end that once it is waited for,
    where it is; return what the booking was answered.
    """
    [pid] = confirmation.stop.stopped()
    with background() as start:
        booked: Future[Answer] = start(
            partial(
                confirmation.api.book, confirmation.slot, user_id=confirmation.user, num_seats=2
            )
        )
        wait_until(lambda: booked.done() or bool(waiting_for(url, pid)), "the booking")
        end(pid)
        return result(booked)


@pytest.mark.parametrize("num_seats", [1, 2])
def test_hold_whose_confirmation_is_under_way_when_it_lapses_counts(
    confirming: Confirming, database_url: str, num_seats: int
) -> None:
    with confirming(total_capacity=50, num_seats=num_seats) as confirmation:
        booked = book_behind(database_url, confirmation, lambda _: confirmation.stop.release())
        confirmed = result(confirmation.answer)

    assert (confirmed.code, booked.code) == (None, "USER_SEAT_LIMIT")
    assert read_statuses(database_url, confirmation.slot) == {confirmation.held: "CONFIRMED"}
    assert read_slot(database_url, confirmation.slot).remaining == 50 - num_seats


@pytest.mark.parametrize("total_capacity", [50, 2])
def test_hold_whose_confirmation_is_lost_when_it_has_lapsed_does_not_count(
    confirming: Confirming, database_url: str, total_capacity: int
) -> None:
    with confirming(total_capacity=total_capacity, num_seats=2) as confirmation:
        booked = book_behind(database_url, confirmation, partial(terminate, database_url))
        confirmed = result(confirmation.answer)

    assert (confirmed.code, booked.code) == ("OUTCOME_UNKNOWN", None)
    assert read_statuses(database_url, confirmation.slot) == {
        confirmation.held: "FAILED",
        booked.data["id"]: "CONFIRMED",
    }
    assert read_history(database_url, confirmation.held) == ["HELD", "EXPIRED"]
    assert read_slot(database_url, confirmation.slot).remaining == total_capacity - 2


def pending_holds(url: str, user: str) -> int:
    [[count]] = query(
        url, "SELECT count(*) FROM bookings WHERE user_id = %s AND status = 'PENDING'", user
    )
    return int(count)
