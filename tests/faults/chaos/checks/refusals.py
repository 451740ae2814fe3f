"""Every refusal but SLOT_FULL had a reason that its client could have given itself."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from tests.faults.chaos.checks.keys import asked_for
from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.history import Call
from tests.faults.chaos.lives import key_of
from tests.faults.chaos.records import BOOKINGS, Operation, Outcome
from tests.faults.chaos.steps import Change, Steps
from tests.faults.chaos.violation import Finding


def refusals_have_a_reason(evidence: Evidence) -> Iterator[Finding]:
    """A 4xx is one that the request can be refused with, and its reason can have been there.

    SLOT_FULL, BOOKING_EXPIRED and BOOKING_CANCELLED have checks of their own.
    """
    holds = _holds_of_users(evidence)
    for call in evidence.history.calls:
        if call.outcome != Outcome.REFUSED or not call.answer:
            continue
        code = call.answer.code or ""
        if code == "HOLD_LIMIT" and call.operation == Operation.HOLD:
            steps = holds.get(str(call.request.user_id))
            is_justified = steps is not None and steps.highest(call.sent, call.answered) > 0
        else:
            reason = _REASONS.get((call.operation, code))
            is_justified = reason is not None and reason(evidence, call)
        if not is_justified:
            yield Finding(f"{call.operation} refused with {code} for no reason", _ids(call))


def _ids(call: Call) -> tuple[str, ...]:
    about = call.request.booking_id or call.request.slot_id
    return (about, call.request.id) if about else (call.request.id,)


def _always(_evidence: Evidence, _call: Call) -> bool:
    return True


def _is_reused(evidence: Evidence, call: Call) -> bool:
    return any(
        other.may_have_effect and other.sent < call.answered and asked_for(other) != asked_for(call)
        for other in evidence.asked[key_of(call)]
    )


def _is_in_progress(evidence: Evidence, call: Call) -> bool:
    """Whether another request of the key can have been under way: one that gave up may still be."""
    return any(
        other is not call and other.sent < call.answered and other.done_by > call.sent
        for other in evidence.asked[key_of(call)]
    )


def _is_closed(evidence: Evidence, call: Call) -> bool:
    """Whether the slot can have been closed: by a request that no other certainly undid before."""
    changes = evidence.changes.get(str(call.request.slot_id), [])
    return any(
        closing.request.slot_status == "CLOSED"
        and closing.sent < call.answered
        and not any(
            opening.request.slot_status == "OPEN"
            and opening.sent > closing.done_by
            and opening.done_by < call.sent
            for opening in changes
        )
        for closing in changes
    )


def _is_below_booked(evidence: Evidence, call: Call) -> bool:
    slot_id = str(call.request.slot_id)
    creation = evidence.creations.get(slot_id)
    if creation is None:
        return True
    capacities = [
        change.request.total_capacity or 0 for change in evidence.changes.get(slot_id, [])
    ]
    most = max([creation.request.total_capacity or 0, *capacities])
    booked = evidence.least_free_negated[slot_id].highest(call.sent, call.answered) + most
    return booked > (call.request.total_capacity or 0)


def _holds_of_users(evidence: Evidence) -> dict[str, Steps]:
    """Return how many holds each user can have had at a time."""
    changes: dict[str, list[Change]] = defaultdict(list)
    for life in evidence.lives.values():
        start, end = life.possibly_taken
        if life.is_hold and life.key and start < end:
            changes[life.key[0]] += [(start, 1), (end, -1)]
    return {user_id: Steps(of_user) for user_id, of_user in changes.items()}


Reason = Callable[[Evidence, Call], bool]

_REASONS: Mapping[tuple[Operation, str], Reason] = {
    **{
        (operation, code): reason
        for operation in BOOKINGS
        for code, reason in {
            "SLOT_FULL": _always,
            "SLOT_CLOSED": _is_closed,
            "IDEMPOTENCY_KEY_REUSED": _is_reused,
            "IDEMPOTENCY_IN_PROGRESS": _is_in_progress,
        }.items()
    },
    (Operation.CONFIRM, "BOOKING_EXPIRED"): _always,
    (Operation.CONFIRM, "BOOKING_CANCELLED"): _always,
    (Operation.CANCEL, "BOOKING_EXPIRED"): _always,
    (Operation.CHANGE_SLOT, "CAPACITY_BELOW_BOOKED"): _is_below_booked,
}


def closed_slots_take_no_bookings(evidence: Evidence) -> Iterator[Finding]:
    """No booking is made by a request that was sent while the slot was closed for certain."""
    closed = {
        slot_id: periods
        for slot_id, changes in evidence.changes.items()
        if (periods := list(_closed_periods(changes)))
    }
    for operation in BOOKINGS:
        for call in evidence.history.by_operation[operation]:
            if not call.answer or not call.answer.booking or call.answer.replayed:
                continue
            for start, end in closed.get(str(call.request.slot_id), []):
                if start < call.sent and call.answered < end:
                    yield Finding("booked on a slot that was closed", _ids(call))
                    break


def _closed_periods(changes: list[Call]) -> Iterator[tuple[float, float]]:
    for closing in changes:
        if closing.request.slot_status == "CLOSED" and closing.done_by < math.inf:
            yield (
                closing.done_by,
                min(
                    (
                        opening.sent
                        for opening in changes
                        if opening.request.slot_status == "OPEN" and opening.done_by >= closing.sent
                    ),
                    default=math.inf,
                ),
            )
