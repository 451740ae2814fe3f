"""Ways to damage a run, and what a damage is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.faults.chaos.records import Answer, Operation, Request, ShownBooking
from tests.faults.chaos.story import Run


@dataclass(frozen=True)
class Damage:
    """What is done, the check that must find it, and ids that it must name: "slot" stands for the
    slot's, a user for that of the user's booking.
    """

    check: str
    ids: set[str]
    plant: Callable[[Run], Run]


def slot_id(run: Run) -> str:
    return run.tables.slots[0].id


def second(run: Run, like: str, booking_id: str, **changes: object) -> Run:
    """Add a row like that of a user, with an id of its own."""
    row = replace(run.booking(like), id=booking_id, **changes)  # type: ignore[arg-type] # a row's own fields
    return run.with_bookings(row)


def again(run: Run, request_id: str, new_id: str, sent: float, **answer: object) -> Run:
    """Send a request once more, and answer it as before but for what is said."""
    [request] = [r for r in run.records if isinstance(r, Request) and r.id == request_id]
    old = run.answer(request_id)
    changes = {"request_id": new_id, "answered": sent + 0.01, **answer}
    return run.with_records(
        replace(request, id=new_id, sent=sent),
        replace(old, **changes),  # type: ignore[arg-type] # an answer's own fields
    )


def read(run: Run, user_id: str, status: str, sent: float) -> Run:
    """Read a user's booking, and see it in a status."""
    booking = shown(run, f"{'hold' if run.booking(user_id).expires_at else 'book'} {user_id} 1")
    request = Request(
        id="read",
        client="c",
        operation=Operation.READ_BOOKING,
        sent=sent,
        booking_id=booking.id,
    )
    answer = Answer(
        request_id="read",
        answered=sent + 0.01,
        status=200,
        booking=replace(booking, status=status),
    )
    return run.with_records(request, answer)


def shown(run: Run, request_id: str) -> ShownBooking:
    booking = run.answer(request_id).booking
    assert booking
    return booking


def refuse(run: Run, request_id: str, status: int, code: str) -> Run:
    """Answer a request with a refusal in place of its answer."""
    return run.with_answer(
        request_id, status=status, code=code, booking=None, slot=None, replayed=False
    )
