"""Searches that take as long as they can, of whoever asks: bookings go on beside them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import Any

from booking.services.public_lists import AT_A_TIME
from tests.support.apps import Answer, Api
from tests.support.sessions import holding
from tests.support.threads import background, result, results

StartApi = Callable[..., Api]

# Searches read this table, bookings do not.
LOCK_PROVIDERS = "LOCK TABLE providers IN ACCESS EXCLUSIVE MODE"
HASTY: dict[str, Any] = {"db_pool_size": AT_A_TIME + 1, "db_pool_timeout_seconds": 0.3}


def _search(api: Api) -> Answer:
    return api.send("GET", "/api/slots?doctor_name=o&limit=200", None, {})


def test_bookings_are_served_while_searches_take_all_that_they_may(
    start_api: StartApi, database_url: str
) -> None:
    api = start_api(**HASTY)
    slot_id = api.create_slot()
    with background() as start, holding(database_url, LOCK_PROVIDERS) as holder:
        searches = [start(lambda: _search(api)) for _ in range(4 * AT_A_TIME)]
        holder.wait_for_waiters(AT_A_TIME)
        booked = [api.book(slot_id).status for _ in range(3)]
        holder.rollback()
        told = {(answer.status, answer.code) for answer in results(searches)}
    assert booked == [201] * 3
    assert told <= {(200, None), (503, "OVERLOADED"), (503, "BUSY")}


def test_search_whose_turn_does_not_come_is_told_so(start_api: StartApi, database_url: str) -> None:
    api = start_api(**HASTY)
    with background() as start, holding(database_url, LOCK_PROVIDERS) as holder:
        searches = [start(lambda: _search(api)) for _ in range(AT_A_TIME)]
        holder.wait_for_waiters(AT_A_TIME)
        late = _search(api)
        holder.rollback()
        results(searches)
    assert (late.status, late.code) == (503, "OVERLOADED")
    assert int(late.headers["Retry-After"]) > 0


def test_search_ends_long_before_other_statements_would(
    start_api: StartApi, database_url: str
) -> None:
    """Statements and locks may take twenty seconds here."""
    api = start_api(db_pool_size=1)
    with background() as start, holding(database_url, LOCK_PROVIDERS) as holder:
        search = start(lambda: _search(api))
        holder.wait_for_waiters()
        answer = result(search)
    assert (answer.status, answer.code) == (503, "BUSY")
    # The limit was the search's alone.
    assert _search(api).status == 200


def test_searches_that_wait_leave_room_for_bookings(start_api: StartApi, database_url: str) -> None:
    """More searches are asked for than requests may be in flight."""
    api = start_api(**HASTY | {"db_pool_timeout_seconds": 20, "web_threads": 16})
    slot_id = api.create_slot()
    with background() as start, holding(database_url, LOCK_PROVIDERS) as holder:
        searches = [start(lambda: _search(api)) for _ in range(20)]
        holder.wait_for_waiters(AT_A_TIME)
        waiting = len(wait(searches, timeout=1).not_done)
        booked = [api.book(slot_id).status for _ in range(3)]
        holder.rollback()
        told = {(answer.status, answer.code) for answer in results(searches)}
    assert booked == [201] * 3
    assert waiting <= 16 / 4 + AT_A_TIME
    assert told <= {(200, None), (503, "OVERLOADED"), (503, "BUSY")}
