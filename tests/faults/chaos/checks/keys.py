"""A key books once, and says so when it is sent again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.history import Call
from tests.faults.chaos.lives import Key, key_of
from tests.faults.chaos.records import Operation, Outcome
from tests.faults.chaos.violation import Finding

Asked = tuple[str | None, int | None, Operation]


def asked_for(call: Call) -> Asked:
    """Return what a key is bound to: slot, seats and kind."""
    return call.request.slot_id, call.request.num_seats, call.operation


def keys_book_once(evidence: Evidence) -> Iterator[Finding]:
    """A user's key stands on one row at most, and is answered with one booking at most."""
    bookings: dict[Key, set[str]] = defaultdict(set)
    for row in evidence.tables.bookings:
        if row.idempotency_key is not None:
            bookings[row.user_id, row.idempotency_key].add(row.id)
    for key, calls in evidence.asked.items():
        for call in calls:
            if call.answer and call.answer.booking:
                bookings[key].add(call.answer.booking.id)
    for key, ids in bookings.items():
        if len(ids) > 1:
            yield Finding(f"key {key[1]} of {key[0]} has {len(ids)} bookings", tuple(sorted(ids)))


def bookings_have_one_key(evidence: Evidence) -> Iterator[Finding]:
    """No two keys are answered with the same booking."""
    keys: dict[str, set[Key]] = defaultdict(set)
    for life in evidence.lives.values():
        if life.key:
            keys[life.id].add(life.key)
        for seen in life.sightings:
            if seen.call.request.idempotency_key is not None:
                keys[life.id].add(key_of(seen.call))
    for booking_id, of_booking in keys.items():
        if len(of_booking) > 1:
            yield Finding(
                f"answers {len(of_booking)} keys", (booking_id, *sorted(k for _, k in of_booking))
            )


def replays_repeat_a_request(evidence: Evidence) -> Iterator[Finding]:
    """An answer is marked as replayed where an earlier request may have booked, and only there."""
    for calls in evidence.asked.values():
        if len(calls) == 1 and not (calls[0].answer and calls[0].answer.replayed):
            continue
        yield from _replays_of_nothing(calls)
        yield from _booked_again(calls)


def _replays_of_nothing(calls: list[Call]) -> Iterator[Finding]:
    for call in calls:
        if call.answer and call.answer.replayed:
            others = (
                other
                for other in calls
                if other is not call
                and other.may_have_effect
                and other.sent < call.answered
                and asked_for(other) == asked_for(call)
            )
            if not any(others):
                yield Finding("a replay of no earlier request", (call.request.id,))


def _booked_again(calls: list[Call]) -> Iterator[Finding]:
    answered = [call for call in calls if call.outcome == Outcome.ACKNOWLEDGED]
    firsts = [call for call in answered if call.answer and not call.answer.replayed]
    for first in firsts:
        for other in answered:
            if other is not first and (other in firsts or other.answered < first.sent):
                yield Finding(
                    "booked by a request whose key had booked",
                    (other.request.id, first.request.id),
                )
                return


def acknowledged_keys_are_replayed(evidence: Evidence) -> Iterator[Finding]:
    """What a key has booked is shown to whoever sends it again; it is not refused."""
    for calls in evidence.asked.values():
        if len(calls) == 1:
            continue
        for _, alike in groupby(sorted(calls, key=_text_of), key=_text_of):
            yield from _refused_after_booking(list(alike))


def _text_of(call: Call) -> str:
    return repr(asked_for(call))


def _refused_after_booking(calls: list[Call]) -> Iterator[Finding]:
    booked = min(calls, key=lambda call: call.done_by)
    for call in calls:
        # In progress: another request of the key, which says nothing of the booking.
        if (
            call.sent > booked.done_by
            and call.outcome == Outcome.REFUSED
            and call.answer
            and call.answer.code != "IDEMPOTENCY_IN_PROGRESS"
        ):
            yield Finding(
                f"refused with {call.answer.code} after its key had booked",
                (booked.request.id, call.request.id),
            )
