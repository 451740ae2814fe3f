"""Nothing that was acknowledged is lost, and nothing is there that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.history import Call
from tests.faults.chaos.records import BookingRow, Operation, Outcome, ShownBooking
from tests.faults.chaos.violation import Finding

_FIXED = ("slot_id", "user_id", "num_seats", "expires_at", "created_at")


def acknowledged_bookings_are_stored(evidence: Evidence) -> Iterator[Finding]:
    """Every booking that an answer showed has its row, as it was shown."""
    for life in evidence.lives.values():
        for seen in life.sightings:
            if life.row is None:
                yield Finding(f"seen {seen.status} and not there", (life.id, seen.call.request.id))
                break
            if seen.booking and (changed := _changed(seen.booking, life.row)):
                yield Finding(
                    f"stored with another {changed} than was shown",
                    (life.id, seen.call.request.id),
                )
                break


def _changed(shown: ShownBooking, row: BookingRow) -> str:
    return ", ".join(name for name in _FIXED if getattr(shown, name) != getattr(row, name))


def acknowledged_slots_are_stored(evidence: Evidence) -> Iterator[Finding]:
    """Every slot that was created is there, at the last version that was shown or a later one."""
    for slot_id, creation in evidence.creations.items():
        if slot_id not in evidence.slot_rows:
            yield Finding("created and not there", (slot_id, creation.request.id))
    for slot_id, answers in evidence.slot_answers.items():
        row = evidence.slot_rows.get(slot_id)
        for call in answers:
            shown = call.answer and call.answer.slot
            if row and shown and shown.version > row.version:
                yield Finding(
                    f"shown at version {shown.version} and stored at {row.version}",
                    (slot_id, call.request.id),
                )
                break


def bookings_were_asked_for(evidence: Evidence) -> Iterator[Finding]:
    """Every row is what a request asked for that was acknowledged, or may have gone through."""
    for row in evidence.tables.bookings:
        asked = evidence.lives[row.id].asked
        if not asked:
            yield Finding("nobody sent its user's key", (row.id, str(row.idempotency_key)))
            continue
        ids = (row.id, *(call.request.id for call in asked))
        alike = [call for call in asked if _asks_for(call, row)]
        if not alike:
            yield Finding("its key was sent with other seats, slot or kind", ids)
        elif not any(call.may_have_effect for call in alike):
            yield Finding("every request for it was certain to have changed nothing", ids)


def _asks_for(call: Call, row: BookingRow) -> bool:
    return (call.request.slot_id, call.request.num_seats, call.operation) == (
        row.slot_id,
        row.num_seats,
        Operation.BOOK if row.expires_at is None else Operation.HOLD,
    )


def slots_were_asked_for(evidence: Evidence) -> Iterator[Finding]:
    """Every slot was created by a request that was acknowledged, or may have gone through."""
    unknown = sum(
        call.outcome == Outcome.UNKNOWN
        for call in evidence.history.by_operation[Operation.CREATE_SLOT]
    )
    strays = [row.id for row in evidence.tables.slots if row.id not in evidence.creations]
    if len(strays) > unknown:
        yield Finding(
            f"{len(strays)} slots that no answer showed, {unknown} creations of unknown outcome",
            tuple(strays[:5]),
        )
