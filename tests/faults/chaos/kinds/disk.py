"""The disk of PostgreSQL's WAL is full: it panics, and does not come up before there is room."""

from __future__ import annotations

import time

import psycopg2

from tests.faults.chaos.kinds.postgres import effect_of_outage
from tests.faults.chaos.postgres import ChaosPostgres, outsider
from tests.faults.chaos.stage import Draw, Effect, Kind, NoEffect, Stage, poll

FULL_SECONDS = 20.0
SWITCH_SECONDS = 0.05
BACK_SECONDS = 30.0
NAME = "disk full"


def _fill(stage: Stage, draw: Draw) -> Effect:
    if stage.wal_disk is None:
        raise NoEffect("there is no disk to fill")
    workers = {worker.pid for worker in stage.server.workers()}
    log = stage.postgres.log_size()
    try:
        filled = stage.wal_disk.fill()
        use_up_wal(stage.postgres.url)
        has_panicked = poll(
            lambda: "No space left on device" in stage.postgres.log_since(log), FULL_SECONDS
        )
        time.sleep(draw.seconds)
    finally:
        stage.wal_disk.free()
    if not poll(lambda: is_back(stage.postgres), BACK_SECONDS):
        raise NoEffect("PostgreSQL did not come back with the room on its disk")
    if not has_panicked:
        raise NoEffect("PostgreSQL did not come to need the room")
    panics = stage.postgres.log_since(log).count("PANIC:")
    seen = f"{filled >> 20} MiB filled, {panics} PANIC, {draw.seconds:.1f} s full"
    return effect_of_outage(stage, seen, time.monotonic(), workers)


def use_up_wal(url: str) -> None:
    """Begin new segments of WAL until the one that is needed next cannot be made."""
    deadline = time.monotonic() + FULL_SECONDS
    try:
        with outsider(url) as conn, conn.cursor() as cursor:
            while time.monotonic() < deadline:
                # A table is made and dropped: without a change in between nothing is switched.
                cursor.execute("CREATE TEMP TABLE filler (x int); DROP TABLE filler")
                cursor.execute("SELECT pg_switch_wal()")
                time.sleep(SWITCH_SECONDS)
    except psycopg2.OperationalError:
        return


def is_back(postgres: ChaosPostgres) -> bool:
    """Start PostgreSQL where it gave up; tell whether it accepts connections."""
    if not postgres.is_running():
        postgres.start()
    return postgres.accepts_connections()


KINDS = (Kind(NAME, "database", _fill, 0.2, 1.0),)
