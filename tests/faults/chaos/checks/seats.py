"""Seats are sold once: what remains adds up, and what was shown and refused can have been so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.history import Call
from tests.faults.chaos.lives import LIVE
from tests.faults.chaos.records import BOOKINGS
from tests.faults.chaos.violation import Finding


def seats_add_up(evidence: Evidence) -> Iterator[Finding]:
    """The seats that remain and those of PENDING and CONFIRMED bookings are the capacity."""
    standing: Counter[str] = Counter()
    for row in evidence.tables.bookings:
        if row.status in LIVE:
            standing[row.slot_id] += row.num_seats
    for slot in evidence.tables.slots:
        booked = standing[slot.id]
        if slot.remaining_capacity + booked != slot.total_capacity:
            yield Finding(
                f"{slot.remaining_capacity} remaining and {booked} booked"
                f" of {slot.total_capacity} seats",
                (slot.id,),
            )
        elif slot.remaining_capacity < 0:
            yield Finding(f"{slot.remaining_capacity} seats remaining", (slot.id,))


def certain_seats_fit(evidence: Evidence) -> Iterator[Finding]:
    """At no moment were more seats certainly taken than the slot can have had."""
    for slot_id, free in evidence.most_free.items():
        least = min(free.values)
        if least < 0:
            moment = free.times[free.values.index(least)]
            yield Finding(
                f"{-least} seats too many were certainly taken at {moment:.6f}",
                (slot_id, *_holders(evidence, slot_id, moment)),
            )


def _holders(evidence: Evidence, slot_id: str, moment: float) -> list[str]:
    """Return some of the bookings that certainly had seats at a moment, the latest first."""
    holding = [
        life
        for life in evidence.lives.values()
        if life.slot_id == slot_id and life.certainly_taken[0] <= moment < life.certainly_taken[1]
    ]
    holding.sort(key=lambda life: life.known_from, reverse=True)
    return [life.id for life in holding[:5]]


def full_slots_were_full(evidence: Evidence) -> Iterator[Finding]:
    """SLOT_FULL names fewer seats than were asked for, and so few as can have been left."""
    for call in evidence.history.calls:
        if call.operation not in BOOKINGS or not call.answer or call.answer.code != "SLOT_FULL":
            continue
        left, asked = call.answer.remaining_capacity, call.request.num_seats
        if left is None or asked is None or not 0 <= left < asked:
            yield Finding(f"{asked} seats refused with {left} left", (call.request.id,))
        elif what := _impossible(evidence, str(call.request.slot_id), call, left):
            yield Finding(
                f"{asked} seats refused with {left} left: {what}",
                (str(call.request.slot_id), call.request.id),
            )


def shown_seats_were_possible(evidence: Evidence) -> Iterator[Finding]:
    """Every answer with a slot shows as many seats as can have been left."""
    for slot_id, calls in evidence.slot_answers.items():
        for call in calls:
            left = call.answer.slot.remaining_capacity if call.answer and call.answer.slot else 0
            if what := _impossible(evidence, slot_id, call, left):
                yield Finding(f"{left} seats shown: {what}", (slot_id, call.request.id))


def _impossible(evidence: Evidence, slot_id: str, call: Call, left: int) -> str | None:
    """Tell why the slot cannot have had so many seats left at any moment of the call."""
    if slot_id not in evidence.creations:
        return None
    least = -evidence.least_free_negated[slot_id].highest(call.sent, call.answered)
    if left < least:
        return f"{least} or more were free throughout"
    most = evidence.most_shown_free[slot_id].highest(call.sent, call.answered)
    return f"{most} or fewer were free throughout" if left > most else None
