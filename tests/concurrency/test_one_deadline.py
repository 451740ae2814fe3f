"""A request that loses again and again ends by one deadline: attempts within attempts do not add up
their time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from booking import time_limits
from tests.support.apps import Api
from tests.support.factories import make_config, unique
from tests.support.rows import SlotRow, read_slot
from tests.support.snapshots import query

StartApi = Callable[..., Api]

LIMITS = {
    "db_lock_timeout_ms": 500,
    "db_statement_timeout_ms": 1000,
    "db_pool_timeout_seconds": 0.5,
}
# Under load the machine takes its time too. What adds up would take ten times as long.
SLACK_SECONDS = 2.0


@contextmanager
def losing_each_race(url: str, slot_id: str, seconds: float) -> Iterator[None]:
    """Have each booking of a slot find, after a while, that another took what it wanted: its
    hold's place, say. A row that a BEFORE trigger drops is as one that ON CONFLICT passed over.
    """
    name = unique("lose").replace("-", "_")
    query(
        url,
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$",
    )
    try:
        query(
            url,
            f"CREATE TRIGGER {name} BEFORE INSERT ON bookings FOR EACH ROW"
            f" WHEN (NEW.slot_id = '{slot_id}') EXECUTE FUNCTION {name}()",
        )
        yield
    finally:
        query(url, f"DROP FUNCTION {name} CASCADE")


@pytest.mark.parametrize("group_commit_size", [1, 100])
def test_request_that_loses_again_and_again(
    start_api: StartApi, database_url: str, group_commit_size: int
) -> None:
    api = start_api(group_commit_size=group_commit_size, **LIMITS)
    slot_id = api.create_slot(total_capacity=5)
    limits = make_config(**LIMITS)
    stated = time_limits.request_seconds(limits) + limits.db_statement_timeout_ms / 1000

    with losing_each_race(database_url, slot_id, 0.7):
        began = time.monotonic()
        answer = api.book(slot_id, hold=True)
        seconds = time.monotonic() - began

    assert (answer.status, answer.code) == (503, "BUSY")
    assert seconds < stated + SLACK_SECONDS
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=5, version=1)
