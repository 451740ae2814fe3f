"""Faults of the server's connections inside PostgreSQL."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack

import psycopg2
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from tests.faults.chaos.postgres import outsider
from tests.faults.chaos.stage import Draw, Effect, Kind, NoEffect, Stage, poll

PATIENCE_SECONDS = 3.0
MOST_CONNECTIONS = 200

_BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'booking'
"""
_WAITING_FOR_STANDBY = f"{_BACKENDS} AND wait_event = 'SyncRep'"


def _pids(conn: PgConnection, statement: str) -> list[int]:
    with conn.cursor() as cursor:
        cursor.execute(statement)
        return [pid for (pid,) in cursor]


def _terminate(conn: PgConnection, pids: list[int]) -> int:
    """End the backends; return how many of them are gone."""
    with conn.cursor() as cursor:
        # The signals first, then the waiting, so that they end at once.
        cursor.execute(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM unnest(%s) pid", [pids]
        )
        [told] = cursor.fetchone() or [0]
    if not poll(lambda: not set(pids) & set(_pids(conn, _BACKENDS)), PATIENCE_SECONDS):
        raise NoEffect("backends that were terminated are still there")
    return int(told)


def _terminate_some(stage: Stage, draw: Draw) -> Effect:
    with outsider(stage.postgres.url) as conn:
        pids = _pids(conn, _BACKENDS)
        if not pids:
            raise NoEffect("the server had no connection")
        count = 1 + int(draw.pick * len(pids))
        told = _terminate(conn, random.Random(draw.pick).sample(pids, count))
    if not told:
        raise NoEffect("every backend was gone")
    return Effect(f"{told} of {len(pids)} backends terminated", time.monotonic())


def _end_in_commit(stage: Stage, draw: Draw) -> Effect:
    """Let commits wait for a standby that never comes, and end them there: committed, and lost to
    whoever asked (PostgreSQL, "Synchronous Replication").
    """
    waiting: list[int] = []
    with outsider(stage.postgres.url) as conn, conn.cursor() as cursor:
        cursor.execute("SET synchronous_commit = local")
        cursor.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        try:
            cursor.execute("SELECT pg_reload_conf()")

            def has_some() -> bool:
                waiting[:] = _pids(conn, _WAITING_FOR_STANDBY)
                return bool(waiting)

            if not poll(has_some, PATIENCE_SECONDS):
                raise NoEffect("no commit waited")
            time.sleep(draw.seconds)
            waiting[:] = _pids(conn, _WAITING_FOR_STANDBY)
            told = _terminate(conn, waiting)
        finally:
            cursor.execute("ALTER SYSTEM RESET synchronous_standby_names")
            cursor.execute("SELECT pg_reload_conf()")
    if not told:
        raise NoEffect("no commit waited any more")
    return Effect(f"{told} backends ended in their commit", time.monotonic())


def _take_connections(stage: Stage, draw: Draw) -> Effect:
    with ExitStack() as stack:
        conn = stack.enter_context(outsider(stage.postgres.url))
        before = _pids(conn, _BACKENDS)
        taken, refusal = _take_all(stack, stage.postgres.url)
        _terminate(conn, before)
        more, refusal = _take_all(stack, stage.postgres.url)
        after = len(_pids(conn, _BACKENDS))
        if "too many" not in refusal and "reserved" not in refusal:
            raise NoEffect(f"connections were still to be had: {refusal}")
        if after >= len(before):
            raise NoEffect("the server has all its connections")
        time.sleep(draw.seconds)
    seen = f"{taken + more} connections taken, {after} of {len(before)} left to the server"
    return Effect(seen, time.monotonic())


def _take_all(stack: ExitStack, url: str) -> tuple[int, str]:
    """Connect until it is refused; return how often, and the refusal."""
    for count in range(MOST_CONNECTIONS):
        try:
            stack.enter_context(outsider(url))
        except psycopg2.OperationalError as error:
            return count, str(error)
    return MOST_CONNECTIONS, ""


KINDS = (
    Kind("backends terminated", "database", _terminate_some),
    Kind("commits without an answer", "database", _end_in_commit, 0.0, 0.4),
    Kind("connections taken", "database", _take_connections, 0.3, 1.5),
)
