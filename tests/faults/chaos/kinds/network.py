"""Faults of the network, between clients and server and between server and database."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.chaos.proxies import Proxy
from tests.faults.chaos.stage import Draw, Effect, Inject, Kind, NoEffect, Stage, poll

PATIENCE_SECONDS = 2.0
FOREVER_SECONDS = 3600.0
SHORTEST_DELAY, LONGEST_DELAY = 0.02, 0.2

_Side = Callable[[Stage], Proxy]


def _cut(side: _Side) -> Inject:
    def inject(stage: Stage, draw: Draw) -> Effect:
        count = side(stage).cut()
        if not count:
            raise NoEffect("there was no connection")
        return Effect(f"{count} connections cut", time.monotonic())

    return inject


def _lose_replies(side: _Side) -> Inject:
    def inject(stage: Stage, draw: Draw) -> Effect:
        proxy = side(stage)
        before = proxy.seen().lost_replies
        connections = proxy.lose_next_replies()
        try:
            poll(lambda: proxy.seen().lost_replies - before >= connections, draw.seconds)
        finally:
            proxy.spare_replies()
        lost = proxy.seen().lost_replies - before
        if not lost:
            raise NoEffect("no reply came to be lost")
        return Effect(f"{lost} replies lost, of {connections} connections", time.monotonic())

    return inject


def _delay(side: _Side) -> Inject:
    def inject(stage: Stage, draw: Draw) -> Effect:
        delay = SHORTEST_DELAY + draw.pick * (LONGEST_DELAY - SHORTEST_DELAY)
        late = _hold_back(side(stage), delay, draw.seconds)
        seen = f"{late} packets {delay * 1000:.0f} ms late in {draw.seconds:.1f} s"
        return Effect(seen, time.monotonic())

    return inject


def _silence(side: _Side) -> Inject:
    """Let nothing through for a while and break no connection, as a lost route does."""

    def inject(stage: Stage, draw: Draw) -> Effect:
        held = _hold_back(side(stage), FOREVER_SECONDS, draw.seconds)
        return Effect(f"nothing passed for {draw.seconds:.1f} s, {held} waited", time.monotonic())

    return inject


def _hold_back(proxy: Proxy, delay: float, seconds: float) -> int:
    """Hold what passes back by so much, for so long; return how many packets that were."""
    before = proxy.seen().delayed_chunks
    proxy.delay(delay)
    try:
        time.sleep(seconds)
    finally:
        proxy.delay(0)
    delayed = proxy.seen().delayed_chunks - before
    if not delayed:
        raise NoEffect("nothing came to be held back")
    return delayed


def _database(stage: Stage) -> Proxy:
    return stage.database_proxy


def _clients(stage: Stage) -> Proxy:
    return stage.client_proxy


KINDS = tuple(
    Kind(f"{what} ({name})", name, inject(side), shortest, longest)
    for name, side in (("database", _database), ("clients", _clients))
    for what, inject, shortest, longest in (
        ("connections cut", _cut, 0.0, 0.0),
        ("replies lost", _lose_replies, 0.3, PATIENCE_SECONDS),
        ("delays", _delay, 0.5, 2.0),
        ("silence", _silence, 0.5, 2.5),
    )
)
