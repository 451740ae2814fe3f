"""Permits go to those who wait for them, in the order in which they came."""

from __future__ import annotations

import time
from functools import partial

from booking.db.permits import Permits
from tests.support.threads import PATIENCE_SECONDS, background, result


def _wait_for(permits: Permits, waiting: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(permits._waiting) != waiting:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.001)


def test_who_has_just_come_does_not_overtake_who_waits() -> None:
    permits = Permits(1)
    assert permits.take(timeout_seconds=0)
    with background(1) as start:
        waiting = start(lambda: permits.take(timeout_seconds=PATIENCE_SECONDS))
        _wait_for(permits, 1)
        permits.give_back()
        overtakes = permits.take(timeout_seconds=0)
        assert result(waiting)
    assert not overtakes


def test_permits_come_in_the_order_in_which_they_were_asked_for() -> None:
    permits = Permits(1)
    assert permits.take(timeout_seconds=0)
    order: list[int] = []

    def take(number: int) -> None:
        assert permits.take(timeout_seconds=PATIENCE_SECONDS)
        order.append(number)
        permits.give_back()

    with background(5) as start:
        for number in range(5):
            start(partial(take, number))
            _wait_for(permits, number + 1)
        permits.give_back()
    assert order == [0, 1, 2, 3, 4]


def test_permit_is_not_given_to_who_has_given_up() -> None:
    permits = Permits(2)
    assert permits.take(timeout_seconds=0)
    assert permits.take(timeout_seconds=0)
    assert not permits.take(timeout_seconds=0.01)
    permits.give_back()
    assert permits.take(timeout_seconds=0)
    assert not permits.take(timeout_seconds=0.01)


def test_where_enough_wait_nobody_else_does() -> None:
    permits = Permits(1, most_waiting=1)
    assert permits.take(timeout_seconds=0)
    with background(1) as start:
        waiting = start(lambda: permits.take(timeout_seconds=PATIENCE_SECONDS))
        _wait_for(permits, 1)
        began = time.monotonic()
        assert not permits.take(timeout_seconds=PATIENCE_SECONDS)
        assert time.monotonic() - began < PATIENCE_SECONDS / 2
        permits.give_back()
        assert result(waiting)
