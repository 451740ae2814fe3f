"""Every answer is one that the contract knows, and shows what was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.history import Call
from tests.faults.chaos.records import (
    BOOKINGS,
    NOT_DONE_CODES,
    Answer,
    Failure,
    Operation,
    Outcome,
    ShownBooking,
    ShownSlot,
)
from tests.faults.chaos.violation import Finding

_UNAVAILABLE = NOT_DONE_CODES | {"OUTCOME_UNKNOWN"}
# A proxy's own answers, which have its own shape.
_OF_A_PROXY = frozenset({502, 504})
_STATUS_AFTER = {Operation.CONFIRM: "CONFIRMED", Operation.CANCEL: "CANCELLED"}


def answers_keep_to_the_contract(evidence: Evidence) -> Iterator[Finding]:
    """No fault is answered with a defect's 500 or with what the contract does not know."""
    for call in evidence.history.calls:
        answer = call.answer
        if answer is None or answer.status is None or answer.status in _OF_A_PROXY:
            continue
        if answer.failure == Failure.UNREADABLE:
            yield Finding(f"{answer.status} with a body of another shape", (call.request.id,))
        elif answer.status >= 500 and (answer.status, answer.code) not in _KNOWN:
            yield Finding(f"{answer.status} {answer.code}", (call.request.id,))


_KNOWN = frozenset((503, code) for code in _UNAVAILABLE)


def answers_fit_their_requests(evidence: Evidence) -> Iterator[Finding]:
    """A success shows the booking or slot that was asked for, in the state that was asked for."""
    for call in evidence.history.calls:
        answer = call.answer
        if answer is None or call.outcome != Outcome.ACKNOWLEDGED:
            continue
        what = _misfit(call, answer)
        if what:
            yield Finding(what, (call.request.id,))


def _misfit(call: Call, answer: Answer) -> str | None:
    created = call.operation in BOOKINGS | {Operation.CREATE_SLOT}
    if answer.status != (201 if created else 200):
        return f"{call.operation} answered with {answer.status}"
    if answer.booking:
        return _wrong_booking(call, answer, answer.booking)
    if answer.slot:
        return _wrong_slot(call, answer, answer.slot)
    return None if call.operation == Operation.EXPIRE_PENDING else "shows nothing"


def _wrong_booking(call: Call, answer: Answer, shown: ShownBooking) -> str | None:
    request = call.request
    if call.operation in BOOKINGS:
        is_hold = call.operation == Operation.HOLD
        first = "PENDING" if is_hold else "CONFIRMED"
        return _first_of(
            (request.slot_id != shown.slot_id, f"shows slot {shown.slot_id}"),
            (request.user_id != shown.user_id, f"shows user {shown.user_id}"),
            (request.num_seats != shown.num_seats, f"shows {shown.num_seats} seats"),
            (is_hold != (shown.expires_at is not None), f"shows the expiry {shown.expires_at}"),
            (shown.status != first and not answer.replayed, f"shows {shown.status} at once"),
        )
    after = _STATUS_AFTER.get(call.operation, shown.status)
    return _first_of(
        (request.booking_id != shown.id, f"shows booking {shown.id}"),
        (answer.replayed, f"{call.operation} marked as replayed"),
        (shown.status != after, f"{call.operation} answered with {shown.status}"),
    )


def _wrong_slot(call: Call, answer: Answer, shown: ShownSlot) -> str | None:
    request, left, total = call.request, shown.remaining_capacity, shown.total_capacity
    is_new = (shown.version, left, shown.status) == (1, total, "OPEN")
    return _first_of(
        (answer.etag != f'"{shown.version}"', f"version {shown.version}, ETag {answer.etag}"),
        (not 0 <= left <= total, f"{left} of {total} seats"),
        (request.slot_id not in {None, shown.id}, f"shows slot {shown.id}"),
        (request.total_capacity not in {None, total}, f"shows {total} seats in all"),
        (request.slot_status not in {None, shown.status}, f"shows {shown.status}"),
        (call.operation == Operation.CREATE_SLOT and not is_new, f"created as {shown}"),
    )


def _first_of(*faults: tuple[bool, str]) -> str | None:
    return next((what for is_there, what in faults if is_there), None)
