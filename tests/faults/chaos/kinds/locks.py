"""Faults by somebody who holds locks."""

from __future__ import annotations

import time

from tests.faults.chaos.postgres import outsider
from tests.faults.chaos.stage import Draw, Effect, Kind, NoEffect, Stage, poll
from tests.support.sessions import LOCK_SLOT, waiting_for

WAITER_SECONDS = 5.0
DRAIN_SECONDS = 10.0


def _lock_row(stage: Stage, draw: Draw) -> Effect:
    hot = sorted(stage.traffic.hot_slots())
    slot_id = hot[int(draw.pick * len(hot))]
    url = stage.postgres.url
    waiters: set[int] = set()
    with outsider(url) as conn, conn.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(LOCK_SLOT, [slot_id])
        until = time.monotonic() + draw.seconds

        def has_waiters() -> bool:
            waiters.update(waiting_for(url, conn.info.backend_pid))
            return bool(waiters)

        if not poll(has_waiters, WAITER_SECONDS):
            raise NoEffect("nobody waited for the slot")
        time.sleep(max(0.0, until - time.monotonic()))
        waiters.update(waiting_for(url, conn.info.backend_pid))
        cursor.execute("ROLLBACK")
    seen = f"slot locked {draw.seconds:.1f} s, {len(waiters)} waited"
    return Effect(seen, time.monotonic())


def _drain_pool(stage: Stage, draw: Draw) -> Effect:
    """Lock the bookings until a worker has no connection left and turns requests away."""
    before = _overloaded(stage)
    began = time.monotonic()
    with outsider(stage.postgres.url) as conn, conn.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE bookings IN ACCESS EXCLUSIVE MODE")
        is_drained = poll(lambda: _overloaded(stage) > before, DRAIN_SECONDS)
        waiting = len(waiting_for(stage.postgres.url, conn.info.backend_pid))
        time.sleep(draw.seconds if is_drained else 0)
        cursor.execute("ROLLBACK")
    if not is_drained:
        raise NoEffect(f"{waiting} connections waited and no request was turned away")
    ended = time.monotonic()
    refused = _overloaded(stage) - before
    seen = f"{waiting} connections waited, {refused} requests OVERLOADED in {ended - began:.1f} s"
    return Effect(seen, ended)


def _overloaded(stage: Stage) -> int:
    return stage.traffic.counts().codes.get("OVERLOADED", 0)


KINDS = (
    Kind("slot locked", "database", _lock_row, 0.5, 4.0),
    Kind("pool drained", "server", _drain_pool, 0.0, 1.0),
)
