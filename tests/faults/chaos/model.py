"""A booking database in a few dicts: legal by construction, for tests of the checker.

It applies one request at a time, at a moment of the clients' clock, and answers by the contract.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tests.faults.chaos.lives import FINAL
from tests.faults.chaos.records import (
    BOOKINGS,
    Answer,
    BookingRow,
    EventRow,
    Operation,
    Request,
    ShownBooking,
    ShownSlot,
    SlotRow,
    Tables,
)

HOLD_SECONDS = 2.0
# The database's clock where the clients' monotonic one is 0.
_EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass
class _Slot:
    row: SlotRow
    # Up to when bookings may still join the last version: nobody has seen it by then.
    joins_until: float = -math.inf


class ModelDatabase:
    """Slots, bookings and events. Ids are numbered in the shape of UUIDs.

    ``standing`` are the ids of each slot's bookings that are not final.
    """

    def __init__(self) -> None:
        self.slots: dict[str, _Slot] = {}
        self.bookings: dict[str, BookingRow] = {}
        self.standing: dict[str, list[str]] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.events: list[EventRow] = []
        self._last_id = 0

    def apply(self, request: Request, at: float, answered: float, *, joins: bool) -> Answer:
        """Do what the request asks for, and return the answer that comes at ``answered``.

        With ``joins`` a booking shares the version of the one before it where a group commit could
        have booked both: nobody was answered or has read the slot since.
        """
        handlers: dict[Operation, Callable[[Request, datetime], Answer]] = {
            Operation.CONFIRM: self._confirm,
            Operation.CANCEL: self._cancel,
            Operation.READ_BOOKING: self._read_booking,
            Operation.READ_SLOT: self._read_slot,
            Operation.CREATE_SLOT: self._create_slot,
            Operation.CHANGE_SLOT: self._change_slot,
            Operation.EXPIRE_PENDING: self._expire_pending,
        }
        now = _EPOCH + timedelta(seconds=at)
        if request.operation in BOOKINGS:
            answer = self._book(request, now, answered, joins=joins)
        else:
            answer = handlers[request.operation](request, now)
        return replace(answer, answered=answered)

    def tables(self, at: float) -> Tables:
        return Tables(
            tuple(slot.row for slot in self.slots.values()),
            tuple(self.bookings.values()),
            tuple(self.events),
            _EPOCH + timedelta(seconds=at),
        )

    def sweep(self, slot_id: str, at: float) -> None:
        """Fail the lapsed holds of a slot, all at one version."""
        self.sweep_at(slot_id, _EPOCH + timedelta(seconds=at))

    def sweep_at(self, slot_id: str, now: datetime) -> None:
        lapsed = [
            row
            for row in map(self.bookings.__getitem__, self.standing[slot_id])
            if row.status == "PENDING" and row.expires_at and row.expires_at <= now
        ]
        if not lapsed:
            return
        self.move_seats(slot_id, sum(row.num_seats for row in lapsed))
        for row in lapsed:
            self.set_status(row, "FAILED", "EXPIRED", now)

    def move_seats(self, slot_id: str, seats: int, *, joins: bool = False) -> None:
        slot = self.slots[slot_id]
        slot.row = replace(
            slot.row,
            remaining_capacity=slot.row.remaining_capacity + seats,
            version=slot.row.version + (not joins),
        )
        if not joins:
            slot.joins_until = -math.inf

    def set_status(self, row: BookingRow, status: str, event: str, now: datetime) -> BookingRow:
        changed = replace(
            row,
            status=status,
            failure_reason="EXPIRED" if status == "FAILED" else None,
            updated_at=now,
        )
        self.bookings[row.id] = changed
        self._log(changed, event, row.status, now)
        if status in FINAL:
            self.standing[row.slot_id].remove(row.id)
        return changed

    def _log(self, row: BookingRow, event: str, from_status: str | None, now: datetime) -> None:
        moves = event != "CONFIRMED"
        self.events.append(
            EventRow(
                id=len(self.events) + 1,
                booking_id=row.id,
                slot_id=row.slot_id,
                type=event,
                from_status=from_status,
                to_status=row.status,
                seats=row.num_seats if moves else 0,
                slot_version=self.slots[row.slot_id].row.version if moves else None,
                at=now,
            )
        )

    def _new_id(self) -> str:
        self._last_id += 1
        return f"00000000-0000-7000-8000-{self._last_id:012d}"

    def _book(self, request: Request, now: datetime, answered: float, *, joins: bool) -> Answer:
        user_id, key = str(request.user_id), str(request.idempotency_key)
        slot_id, seats = str(request.slot_id), int(request.num_seats or 0)
        is_hold = request.operation == Operation.HOLD
        if known := self.keys.get((user_id, key)):
            row = self._settle(known, now)
            if (row.slot_id, row.num_seats, row.expires_at is not None) != (
                slot_id,
                seats,
                is_hold,
            ):
                return _refusal(request, 422, "IDEMPOTENCY_KEY_REUSED")
            return _booking_answer(request, row, status=201, replayed=True)
        if slot_id not in self.slots:
            return _refusal(request, 404, "SLOT_NOT_FOUND")
        slot = self.slots[slot_id]
        if slot.row.status == "CLOSED":
            return _refusal(request, 409, "SLOT_CLOSED")
        if slot.row.remaining_capacity < seats:
            self.sweep_at(slot_id, now)
        if slot.row.remaining_capacity < seats:
            return replace(
                _refusal(request, 409, "SLOT_FULL"),
                remaining_capacity=slot.row.remaining_capacity,
            )
        joins = joins and request.sent < slot.joins_until
        self.move_seats(slot_id, -seats, joins=joins)
        slot.joins_until = min(slot.joins_until, answered) if joins else answered
        row = BookingRow(
            id=self._new_id(),
            slot_id=slot_id,
            user_id=user_id,
            num_seats=seats,
            status="PENDING" if is_hold else "CONFIRMED",
            failure_reason=None,
            expires_at=now + timedelta(seconds=HOLD_SECONDS) if is_hold else None,
            idempotency_key=key,
            created_at=now,
            updated_at=now,
        )
        self.bookings[row.id] = row
        self.standing[slot_id].append(row.id)
        self.keys[user_id, key] = row.id
        self._log(row, "HELD" if is_hold else "BOOKED", None, now)
        return _booking_answer(request, row, status=201)

    def settled(self, request: Request, now: datetime) -> BookingRow | None:
        row = self.bookings.get(str(request.booking_id))
        if row is None:
            return None
        return self._settle(row.id, now)

    def _settle(self, booking_id: str, now: datetime) -> BookingRow:
        """Fail the booking's hold where it has lapsed, and return it as it is seen from now on."""
        slot_id = self.bookings[booking_id].slot_id
        self.sweep_at(slot_id, now)
        self.slots[slot_id].joins_until = -math.inf
        return self.bookings[booking_id]

    def _confirm(self, request: Request, now: datetime) -> Answer:
        row = self.settled(request, now)
        if row is None:
            return _refusal(request, 404, "BOOKING_NOT_FOUND")
        if row.status == "CANCELLED":
            return _refusal(request, 409, "BOOKING_CANCELLED")
        if row.status == "FAILED":
            return _refusal(request, 409, "BOOKING_EXPIRED")
        if row.status == "PENDING":
            row = self.set_status(row, "CONFIRMED", "CONFIRMED", now)
        return _booking_answer(request, row)

    def _cancel(self, request: Request, now: datetime) -> Answer:
        row = self.settled(request, now)
        if row is None:
            return _refusal(request, 404, "BOOKING_NOT_FOUND")
        if row.status == "FAILED":
            return _refusal(request, 409, "BOOKING_EXPIRED")
        if row.status != "CANCELLED":
            self.move_seats(row.slot_id, row.num_seats)
            row = self.set_status(row, "CANCELLED", "CANCELLED", now)
        return _booking_answer(request, row)

    def _read_booking(self, request: Request, now: datetime) -> Answer:
        row = self.settled(request, now)
        return _booking_answer(request, row) if row else _refusal(request, 404, "BOOKING_NOT_FOUND")

    def _read_slot(self, request: Request, now: datetime) -> Answer:
        slot_id = str(request.slot_id)
        if slot_id not in self.slots:
            return _refusal(request, 404, "SLOT_NOT_FOUND")
        self.sweep_at(slot_id, now)
        return self.slot_answer(request, slot_id)

    def _create_slot(self, request: Request, _now: datetime) -> Answer:
        total = int(request.total_capacity or 0)
        row = SlotRow(
            id=self._new_id(),
            total_capacity=total,
            remaining_capacity=total,
            status="OPEN",
            version=1,
        )
        self.slots[row.id] = _Slot(row)
        self.standing[row.id] = []
        return replace(self.slot_answer(request, row.id), status=201)

    def _change_slot(self, request: Request, now: datetime) -> Answer:
        slot = self.slots[str(request.slot_id)]
        self.sweep_at(slot.row.id, now)
        row = slot.row
        total = request.total_capacity or row.total_capacity
        changed = replace(
            row,
            total_capacity=total,
            remaining_capacity=row.remaining_capacity + total - row.total_capacity,
            status=request.slot_status or row.status,
        )
        if changed.remaining_capacity < 0:
            return _refusal(request, 409, "CAPACITY_BELOW_BOOKED")
        if changed != row:
            slot.row = replace(changed, version=row.version + 1)
        return self.slot_answer(request, row.id)

    def _expire_pending(self, request: Request, now: datetime) -> Answer:
        for slot_id in self.slots:
            self.sweep_at(slot_id, now)
        return Answer(request_id=request.id, answered=0, status=200)

    def slot_answer(self, request: Request, slot_id: str) -> Answer:
        slot = self.slots[slot_id]
        slot.joins_until = -math.inf
        row = slot.row
        return Answer(
            request_id=request.id,
            answered=0,
            status=200,
            etag=f'"{row.version}"',
            slot=ShownSlot(
                id=row.id,
                total_capacity=row.total_capacity,
                remaining_capacity=row.remaining_capacity,
                status=row.status,
                version=row.version,
            ),
        )


def _refusal(request: Request, status: int, code: str) -> Answer:
    return Answer(request_id=request.id, answered=0, status=status, code=code)


def _booking_answer(
    request: Request, row: BookingRow, *, status: int = 200, replayed: bool = False
) -> Answer:
    return Answer(
        request_id=request.id,
        answered=0,
        status=status,
        replayed=replayed,
        booking=ShownBooking(
            id=row.id,
            slot_id=row.slot_id,
            user_id=row.user_id,
            num_seats=row.num_seats,
            status=row.status,
            failure_reason=row.failure_reason,
            expires_at=row.expires_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        ),
    )
