"""What is left in a database after the last fault is found: lock waits, and open transactions."""

from __future__ import annotations

from tests.faults.chaos.aftermath import find_left_in_database
from tests.support.apps import running_app
from tests.support.sessions import LOCK_SLOT, holding, wait_until
from tests.support.threads import background, result


def left_in(url: str) -> list[str]:
    return [violation.check for violation in find_left_in_database(url)]


def test_what_is_left_is_found(database_url: str) -> None:
    with running_app(database_url) as api, background() as start:
        slot_id = api.create_slot()
        assert left_in(database_url) == []
        with holding(database_url, LOCK_SLOT, slot_id) as holder:
            booking = start(lambda: api.book(slot_id))
            holder.wait_for_waiters()
            wait_until(
                lambda: (
                    left_in(database_url)
                    == ["no_lock_is_waited_for", "no_transaction_is_left_open"]
                ),
                "both to be found",
            )
        assert result(booking).status == 201
        assert left_in(database_url) == []
