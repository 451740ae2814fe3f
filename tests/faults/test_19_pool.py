"""The pool empty: 503, and bounded waiting. A thousand failing requests later the pool is whole."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from tests.concurrency.races import queue_for_slot
from tests.support.apps import Answer, Api
from tests.support.failpoints import DIE, failpoint, raise_sqlstate
from tests.support.rows import SlotRow, read_slot
from tests.support.sessions import LOCK_SLOT, holding
from tests.support.snapshots import query
from tests.support.threads import at_once, background, results

StartApi = Callable[..., Api]

DEFECT = raise_sqlstate("P0001")

POOL_SIZE = 3
POOL_TIMEOUT_SECONDS = 0.3


def test_empty_pool_is_waited_for_no_longer_than_its_timeout(
    start_api: StartApi, database_url: str
) -> None:
    api = start_api(db_pool_size=POOL_SIZE, db_pool_timeout_seconds=POOL_TIMEOUT_SECONDS)
    slot_id, other_id = api.create_slot(total_capacity=10), api.create_slot()

    with (
        background() as start,
        holding(database_url, LOCK_SLOT, slot_id) as holder,
    ):
        futures: list[Future[Answer]] = [start(lambda: api.book(slot_id)) for _ in range(POOL_SIZE)]
        holder.wait_for_waiters(POOL_SIZE)
        began = time.monotonic()
        refused = at_once([lambda: api.book(other_id), lambda: api.get_slot(other_id)])
        seconds = time.monotonic() - began
        alive = api.send("GET", "/health", None, {})
        holder.rollback()
        accepted = results(futures)

    assert [(answer.status, answer.code) for answer in refused] == [(503, "OVERLOADED")] * 2
    assert all(answer.body["retryable"] for answer in refused)
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert POOL_TIMEOUT_SECONDS <= seconds < POOL_TIMEOUT_SECONDS + 5
    assert alive.status == 200
    assert [answer.status for answer in accepted] == [201] * POOL_SIZE
    assert api.book(other_id).status == 201
    assert read_slot(database_url, slot_id) == SlotRow(total=10, remaining=7, version=4)


def test_pool_is_waited_for_while_its_timeout_lasts(start_api: StartApi, database_url: str) -> None:
    api = start_api(db_pool_size=1)
    slot_id = api.create_slot(total_capacity=10)

    answers = at_once([lambda: api.book(slot_id)] * 10)

    assert [answer.status for answer in answers] == [201] * 10


def test_pool_is_whole_after_a_thousand_failing_requests(
    start_api: StartApi, database_url: str
) -> None:
    api = start_api(db_pool_size=POOL_SIZE)
    full_id, failing_id, dying_id = (api.create_slot(total_capacity=2) for _ in range(3))
    api.make_booking(full_id, num_seats=2)
    of_failing = f"NEW.id = '{failing_id}'"
    refusals: list[Callable[[], Answer]] = [
        partial(api.book, full_id),
        partial(api.change_slot, full_id, total_capacity=1),
        partial(api.delete_slot, full_id),
    ]
    defects: list[Callable[[], Answer]] = [
        partial(api.book, failing_id),
        partial(api.change_slot, failing_id, total_capacity=7),
    ]

    def fail() -> Counter[str | None]:
        works = refusals * 52 + defects * 6 + [partial(api.book, dying_id)] * 2
        codes: Counter[str | None] = Counter()
        for work in works:
            codes[work().code] += 1
            if codes["OVERLOADED"]:
                # A connection is lost already, and the next ones would wait for it as long.
                break
        return codes

    with (
        failpoint(database_url, "bookings", DEFECT, when=f"NEW.slot_id = '{failing_id}'"),
        failpoint(database_url, "slots", DEFECT, event="UPDATE", when=of_failing),
        failpoint(database_url, "bookings", DIE, when=f"NEW.slot_id = '{dying_id}'"),
    ):
        # Two threads a connection: some wait for one while others fail.
        failed = sum(at_once([fail] * (2 * POOL_SIZE)), Counter[str | None]())

    assert failed == {
        "SLOT_FULL": 312,
        "CAPACITY_BELOW_BOOKED": 312,
        "SLOT_HAS_BOOKINGS": 312,
        "INTERNAL_ERROR": 72,
        "OUTCOME_UNKNOWN": 12,
    }
    # Each of the pool's connections is lent, at one time.
    answers = queue_for_slot(database_url, dying_id, [lambda: api.book(dying_id)] * POOL_SIZE)
    assert sorted(answer.status for answer in answers) == [201, 201, 409]
    assert not query(
        database_url,
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND state LIKE 'idle in transaction%%'",
    )
