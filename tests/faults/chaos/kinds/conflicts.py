"""Conflicts between transactions, raised by triggers."""

from __future__ import annotations

import time

from psycopg2 import errorcodes

from tests.faults.chaos.stage import Draw, Effect, Inject, Kind, NoEffect, Stage, poll
from tests.support.failpoints import count_hits, failpoint, raise_sqlstate

PATIENCE_SECONDS = 5.0
MOST_CONFLICTS = 30


def _raise(code: str) -> Inject:
    def inject(stage: Stage, draw: Draw) -> Effect:
        url = stage.postgres.url
        times = 1 + int(draw.pick * MOST_CONFLICTS)
        # Half of them at the COMMIT, where a serializable database tells of them.
        at_commit = int(draw.pick * 1000) % 2 == 0
        with failpoint(
            url, "bookings", raise_sqlstate(code), times=times, at_commit=at_commit
        ) as name:
            poll(lambda: count_hits(url, name) >= times, PATIENCE_SECONDS)
            hits = min(times, count_hits(url, name))
        if not hits:
            raise NoEffect("no booking came to fail")
        where = "the commits" if at_commit else "the inserts"
        return Effect(f"{where} of {hits} bookings failed with {code}", time.monotonic())

    return inject


KINDS = (
    Kind("deadlocks", "database", _raise(errorcodes.DEADLOCK_DETECTED)),
    Kind("serialization failures", "database", _raise(errorcodes.SERIALIZATION_FAILURE)),
)
