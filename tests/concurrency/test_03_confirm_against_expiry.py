"""Race 3: confirm against expiry. One wins, by the clock that is read once the locks are had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import pytest

from tests.support.apps import Answer, Api
from tests.support.failpoints import breakpoint_at
from tests.support.rows import SlotRow, has_passed, read_history, read_slot, read_statuses
from tests.support.sessions import LOCK_BOOKING, LOCK_SLOT, cancel_statement, holding, wait_until
from tests.support.snapshots import query
from tests.support.threads import at_once, background, result

StartApi = Callable[..., Api]
Act = Callable[[Api, str], Answer]

# A hold must live until its request is seen to wait, and lapse soon after. Where a busy machine
# takes longer than that, a longer life is tried: the test is of the order of events, not of speed.
HOLD_LIVES_SECONDS = (0.4, 2, 10)


def outlive_hold(start_api: StartApi, url: str, act: Act, lock: str) -> tuple[str, str, Answer]:
    """Let a request wait for a lock while its hold lapses, and go on with the row unchanged.

    ``lock`` takes the id of the slot or of the booking, whichever it names. Returns the ids of slot
    and booking, and what was answered.
    """
    for seconds in HOLD_LIVES_SECONDS:
        api = start_api(hold_ttl_seconds=seconds)
        slot_id = api.create_slot(total_capacity=5)
        booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
        locked_id = booking_id if lock == LOCK_BOOKING else slot_id
        with background() as start, holding(url, lock, locked_id) as holder:
            future: Future[Answer] = start(partial(act, api, booking_id))
            holder.wait_for_waiters()
            waited_in_time = not has_passed(url, booking_id)
            wait_until(partial(has_passed, url, booking_id), "the expiry")
            holder.rollback()
            answer = result(future)
        if waited_in_time:
            return slot_id, booking_id, answer
    pytest.fail("no hold lived until its request waited")


def assert_expired_once(url: str, slot_id: str, booking_id: str) -> None:
    assert read_statuses(url, slot_id) == {booking_id: "FAILED"}
    assert read_history(url, booking_id) == ["HELD", "EXPIRED"]
    assert read_slot(url, slot_id) == SlotRow(total=5, remaining=5, version=3)


def test_confirm_that_waits_until_its_hold_has_lapsed(
    start_api: StartApi, database_url: str
) -> None:
    slot_id, booking_id, answer = outlive_hold(start_api, database_url, Api.confirm, LOCK_BOOKING)

    assert (answer.status, answer.code) == (409, "BOOKING_EXPIRED")
    assert_expired_once(database_url, slot_id, booking_id)


@pytest.mark.parametrize("lock", [LOCK_SLOT, LOCK_BOOKING], ids=["slot", "booking"])
def test_cancel_that_waits_until_its_hold_has_lapsed(
    start_api: StartApi, database_url: str, lock: str
) -> None:
    slot_id, booking_id, answer = outlive_hold(start_api, database_url, Api.cancel, lock)

    assert (answer.status, answer.code) == (409, "BOOKING_EXPIRED")
    assert_expired_once(database_url, slot_id, booking_id)


@pytest.mark.parametrize("act", [Api.confirm, Api.cancel])
def test_hold_whose_expiry_is_moved_into_the_past_meanwhile(
    api: Api, database_url: str, act: Act
) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
    change = "UPDATE bookings SET expires_at = clock_timestamp() WHERE id = %s"

    with background() as start, holding(database_url, change, booking_id) as holder:
        future: Future[Answer] = start(lambda: act(api, booking_id))
        holder.wait_for_waiters()
        holder.commit()
        answer = result(future)

    assert (answer.status, answer.code) == (409, "BOOKING_EXPIRED")
    assert_expired_once(database_url, slot_id, booking_id)


def test_hold_has_lapsed_in_the_very_moment_of_its_expiry(api: Api, database_url: str) -> None:
    """A confirmation needs a clock before the expiry, all else one at or after it.

    The statements of one message have one statement_timestamp() (PostgreSQL, chapter "Date/Time
    Functions and Operators").
    """
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)

    def seen_at_the_expiry(what: str) -> list[tuple[object, ...]]:
        return query(
            database_url,
            "UPDATE bookings SET expires_at = statement_timestamp() WHERE id = %s AND status = "
            f"'PENDING'; SELECT {what}",
            booking_id,
            booking_id,
        )

    assert seen_at_the_expiry("status FROM current_bookings WHERE id = %s") == [("FAILED",)]
    assert seen_at_the_expiry(
        "remaining_capacity FROM current_slots WHERE id = (SELECT slot_id FROM bookings"
        " WHERE id = %s)"
    ) == [(5,)]
    assert api.confirm(booking_id).code == "BOOKING_EXPIRED"


@pytest.mark.parametrize("is_rolled_back", [False, True])
def test_confirm_that_meets_the_sweep_of_its_hold(
    api: Api, database_url: str, is_rolled_back: bool
) -> None:
    api.expire_pending()
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
    query(
        database_url,
        "UPDATE bookings SET expires_at = clock_timestamp() WHERE id = %s",
        booking_id,
    )

    with (
        breakpoint_at(database_url, "booking_events", when=of_slot(slot_id)) as stop,
        background() as start,
    ):
        sweep: Future[Answer] = start(api.expire_pending)
        [sweeping] = stop.wait_for_stop()
        confirm: Future[Answer] = start(lambda: api.confirm(booking_id))
        stop.wait_for_stop(2)
        if is_rolled_back:
            cancel_statement(database_url, sweeping)
        stop.release()

        swept, confirmed = result(sweep), result(confirm)
    # Whoever did not come to fail the hold finds it lapsed all the same.
    assert swept.code == "BUSY" if is_rolled_back else swept.data["seats_restored"] == 2
    assert confirmed.code == "BOOKING_EXPIRED"
    assert_expired_once(database_url, slot_id, booking_id)


def test_sweep_that_meets_a_confirmation_made_in_time(
    start_api: StartApi, database_url: str
) -> None:
    for seconds in HOLD_LIVES_SECONDS:
        api = start_api(hold_ttl_seconds=seconds)
        api.expire_pending()
        slot_id = api.create_slot(total_capacity=5)
        booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
        confirm, sweep = confirm_then_sweep(api, database_url, slot_id, booking_id)
        if confirm.code != "BOOKING_EXPIRED":
            break

    assert confirm.data["status"] == "CONFIRMED"
    assert sweep.data == {"expired": 0, "seats_restored": 0}
    assert read_statuses(database_url, slot_id) == {booking_id: "CONFIRMED"}
    assert read_history(database_url, booking_id) == ["HELD", "CONFIRMED"]
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=3, version=2)


def test_sweep_that_meets_a_confirmation_that_is_rolled_back(
    start_api: StartApi, database_url: str
) -> None:
    for seconds in HOLD_LIVES_SECONDS:
        api = start_api(hold_ttl_seconds=seconds)
        api.expire_pending()
        slot_id = api.create_slot(total_capacity=5)
        booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
        confirm, sweep = confirm_then_sweep(
            api, database_url, slot_id, booking_id, then=partial(cancel_statement, database_url)
        )
        if confirm.code != "BOOKING_EXPIRED":
            break

    assert (confirm.status, confirm.code) == (503, "BUSY")
    assert sweep.data == {"expired": 1, "seats_restored": 2}
    assert_expired_once(database_url, slot_id, booking_id)


def confirm_then_sweep(
    api: Api,
    url: str,
    slot_id: str,
    booking_id: str,
    then: Callable[[int], None] = lambda _backend: None,
) -> tuple[Answer, Answer]:
    """Keep a confirmation from its commit until its hold has lapsed and a sweep waits for it; let
    it commit when ``then`` was done to its backend.
    """
    with (
        breakpoint_at(url, "booking_events", when=of_slot(slot_id)) as stop,
        background() as start,
    ):
        confirm: Future[Answer] = start(lambda: api.confirm(booking_id))
        [confirming] = stop.wait_for_stop()
        wait_until(lambda: has_passed(url, booking_id), "the expiry")
        # It waits for whoever holds what is stale as far as it can see.
        sweep: Future[Answer] = start(api.expire_pending)
        stop.wait_for_stop(2)
        then(confirming)
        stop.release()
        return result(confirm), result(sweep)


def test_confirmations_and_sweeps_around_the_expiry(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=100)
    booking_ids = at_once([lambda: api.make_booking(slot_id, hold=True)] * 30)
    query(
        database_url,
        # They lapse one after the other, while they are being confirmed.
        "UPDATE bookings SET expires_at = clock_timestamp() + interval '10 ms' * n "
        "FROM unnest(%s::uuid[]) WITH ORDINALITY AS hold (hold_id, n) WHERE id = hold_id",
        booking_ids,
    )

    answers = at_once(
        [partial(api.confirm, held) for held in booking_ids] + [api.expire_pending] * 3
    )[: len(booking_ids)]
    api.expire_pending()

    stored = read_statuses(database_url, slot_id)
    expected = {None: "CONFIRMED", "BOOKING_EXPIRED": "FAILED"}
    assert stored == {
        held: expected[answer.code] for held, answer in zip(booking_ids, answers, strict=True)
    }
    confirmed = Counter(stored.values())["CONFIRMED"]
    assert read_slot(database_url, slot_id).remaining == 100 - confirmed


def of_slot(slot_id: str) -> str:
    return f"NEW.slot_id = '{slot_id}'"
