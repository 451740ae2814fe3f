"""Faults of PostgreSQL as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from tests.faults.chaos.stage import Draw, Effect, Kind, NoEffect, Recovery, Stage, poll

FIRST_BOOKING_LIMIT_SECONDS = 5.0
FIRST_BOOKING_PATIENCE_SECONDS = 30.0
END_SECONDS = 5.0


def wait_for_first_booking(stage: Stage, since: float) -> float | None:
    """Return how many seconds after ``since`` the first booking sent after it was acknowledged."""
    found: list[float] = []

    def is_there() -> bool:
        moment = stage.traffic.first_acknowledged_after(since)
        if moment is not None:
            found.append(moment - since)
        return bool(found)

    poll(is_there, FIRST_BOOKING_PATIENCE_SECONDS)
    return found[0] if found else None


def effect_of_outage(stage: Stage, seen: str, accepting: float, workers_before: set[int]) -> Effect:
    """Wait for the first booking after PostgreSQL came back; it must have taken no restart."""
    first = wait_for_first_booking(stage, accepting)
    workers = {worker.pid for worker in stage.server.workers()}
    broken = () if workers == workers_before else ("workers were replaced in a database outage",)
    recovery = Recovery("first booking after PostgreSQL", first, FIRST_BOOKING_LIMIT_SECONDS)
    return Effect(seen, accepting, (recovery,), broken)


def _outage(stage: Stage, draw: Draw, end: Callable[[], int], how: str) -> Effect:
    workers = {worker.pid for worker in stage.server.workers()}
    postmaster = stage.postgres.pid
    try:
        ended = end()
    except LookupError as error:
        raise NoEffect(str(error)) from error
    is_down = not stage.postgres.accepts_connections()
    time.sleep(draw.seconds)
    stage.postgres.start()
    if not is_down:
        raise NoEffect("PostgreSQL accepted connections all the time")
    accepting = time.monotonic()
    seen = f"postmaster {postmaster} and {ended - 1} children {how}, {draw.seconds:.1f} s down"
    return effect_of_outage(stage, seen, accepting, workers)


def _kill(stage: Stage, draw: Draw) -> Effect:
    return _outage(stage, draw, stage.postgres.kill, "killed")


def _shut_down(stage: Stage, draw: Draw) -> Effect:
    return _outage(stage, draw, stage.postgres.shut_down_immediately, "shut down")


def _hang(stage: Stage, draw: Draw) -> Effect:
    """Stop every process for a while: connections stay open and nothing answers."""
    processes = [psutil.Process(stage.postgres.pid)]
    processes += processes[0].children(recursive=True)
    stopped = []
    try:
        for process in processes:
            try:
                process.suspend()
            except psutil.NoSuchProcess:
                continue
            stopped.append(process)
        if not poll(lambda: all(_is_stopped(process) for process in stopped), END_SECONDS):
            raise NoEffect("PostgreSQL did not stop")
        time.sleep(draw.seconds)
    finally:
        for process in stopped:
            process.resume()
    resumed = time.monotonic()
    return Effect(f"{len(stopped)} processes stopped {draw.seconds:.1f} s", resumed)


def _is_stopped(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_STOPPED


KINDS = (
    Kind("PostgreSQL killed", "database", _kill, 0.0, 1.5),
    Kind("PostgreSQL shut down", "database", _shut_down, 0.0, 1.5),
    Kind("PostgreSQL hangs", "database", _hang, 0.3, 2.0),
)
