from __future__ import annotations

import pytest

from tests.faults.chaos.records import Operation
from tests.faults.chaos.story import Fate, Run, Story


@pytest.fixture(scope="session")
def story() -> Run:
    """An honest run with every kind of call; users are named after what becomes of them, and so are
    their keys.
    """
    return tell_story()


def tell_story() -> Run:
    told = Story()
    slot = told.create(10)
    told.book(slot, "lapsed", 2, hold=True)
    told.book(slot, "booked", 2)
    told.book(slot, "held", 3, hold=True)
    told.about("held", Operation.CONFIRM)
    told.book(slot, "cancelled", 2)
    told.about("cancelled", Operation.READ_BOOKING)
    told.about("cancelled", Operation.CANCEL)
    told.about("cancelled", Operation.CONFIRM)
    told.wait(3)
    told.about("lapsed", Operation.READ_BOOKING)
    told.about("lapsed", Operation.CANCEL)
    told.call(Operation.READ_SLOT, slot_id=slot)
    told.book(slot, "lost", 1, fate=Fate.ANSWER_LOST)
    told.book(slot, "lost", 1)
    told.book(slot, "lost", 2)
    told.book(slot, "never", 1, fate=Fate.REQUEST_LOST)
    told.book(slot, "busy", 1, fate=Fate.TURNED_AWAY)
    told.book(slot, "late", 2, hold=True)
    told.about("late", Operation.CONFIRM, Fate.ANSWER_LOST)
    told.book(slot, "refused", 3)
    told.call(Operation.CHANGE_SLOT, slot_id=slot, total_capacity=12)
    told.call(Operation.CHANGE_SLOT, slot_id=slot, total_capacity=7)
    told.call(Operation.READ_SLOT, slot_id=slot)
    told.call(Operation.CHANGE_SLOT, slot_id=slot, slot_status="CLOSED")
    told.book(slot, "locked out", 1)
    told.call(Operation.CHANGE_SLOT, slot_id=slot, slot_status="OPEN")
    told.book(slot, "last", 1)
    told.call(Operation.READ_SLOT, slot_id=slot)
    told.call(Operation.EXPIRE_PENDING)
    return told.end()
