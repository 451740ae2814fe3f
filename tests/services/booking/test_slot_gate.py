"""Turns at a slot: so many at a time, and nothing kept of a slot that nobody wants."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from booking.errors import LockTimeout
from booking.services.booking.slot_gate import MOST_WAITING, SlotGate


def test_turns_of_a_slot_are_limited_and_those_of_another_are_free() -> None:
    gate = SlotGate(lock_seconds=0.01)
    with ExitStack() as turns:
        for _ in range(MOST_WAITING):
            turns.enter_context(gate.waiting_for("a"))
        with pytest.raises(LockTimeout), gate.waiting_for("a"):
            pass
        with gate.waiting_for("b"):
            pass
    with gate.waiting_for("a"):
        pass


def test_nothing_is_kept_of_a_slot_that_nobody_waits_for() -> None:
    gate = SlotGate(lock_seconds=0.01, most_waiting=1)
    for _ in range(3):
        with gate.waiting_for("a"), pytest.raises(LockTimeout), gate.waiting_for("a"):
            pass
    assert gate._queues == {}
