"""Books a group of requests for one slot: seats in their order, and for each its own answer."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from booking.db.connection import Connection
from booking.db.database import Database
from booking.errors import (
    DomainError,
    SlotClosed,
    SlotFull,
    SlotNotFound,
    SlotStarted,
    StatementRejected,
    UserSeatLimit,
)
from booking.models import Bookability, Booking, SeatRequest, SlotStatus
from booking.repositories import bookings, holds, slots
from booking.repositories.bookings import FoundBooking, NewBooking
from booking.services.booking.cross_slot_commit import CrossSlotCommit
from booking.services.booking.expiry import ExpiryService
from booking.services.booking.slot_gate import SlotGate
from booking.uuid7 import uuid7

# Each further attempt follows a change that the one before made or found: a slot that has to be
# waited for, lapsed holds that were failed, a limit per user.
MAX_ATTEMPTS = 5

# The booking that was made, or the one that bears the request's key, or why there is none.
Answer = Booking | FoundBooking | DomainError | StatementRejected


class SlotBatch:
    """Takes seats for groups of requests. ``shared`` is None where no commit is shared."""

    def __init__(
        self,
        db: Database,
        expiry: ExpiryService,
        gate: SlotGate,
        shared: CrossSlotCommit | None,
        *,
        hold_ttl_seconds: float,
        max_active_holds_per_user: int,
    ) -> None:
        self._db = db
        self._expiry = expiry
        self._gate = gate
        self._shared = shared
        self._hold_ttl_seconds = hold_ttl_seconds
        self._max_active_holds = max_active_holds_per_user

    def book_batch(self, slot_id: str, wanted: Sequence[SeatRequest]) -> Sequence[Answer | None]:
        """Book what fits, first come, first served; return an answer for each, in their order.

        None stands for a request that has something of its own to settle before it comes again: its
        key is in progress elsewhere, its user has no place for another hold, or the slot changed
        faster than it was read.

        One statement where there is room for all, which locks the slot: a single request shares its
        with other slots while nobody has locked its own. One transaction on a slot with a limit per
        user; a refusal locks and writes nothing. Raises only where nothing was booked for any of
        them, or where that is not known.
        """
        answers: dict[int, Answer] = {}
        slot: Bookability | None = None
        shared = self._shared if len(wanted) == 1 else None
        for _ in range(MAX_ATTEMPTS):
            try:
                new = self._with_places_for_holds(slot_id, _unanswered(wanted, answers))
                if new:
                    answers |= self._book(slot_id, new, slot, shared)
                if len(answers) == len(wanted):
                    break
                slot_before = slot
                slot, refusals = self._explain(slot_id, _unanswered(wanted, answers))
                answers |= refusals
                if len(answers) == len(wanted) or slot is None:
                    break
                if new and shared and _has_room(slot, wanted[0]):
                    # Somebody has locked it, or no lane came free.
                    shared = None
                elif slot.lapsed_seats:
                    self._expiry.expire_holds_of_slot(slot_id)
                elif _is_limited(slot) == _is_limited(slot_before):
                    break
            except (DomainError, StatementRejected) as error:
                if not answers:
                    raise
                # Some of the group are booked: this is the answer of the others alone.
                answers |= {index: copy.copy(error) for index in _unanswered(wanted, answers)}
                break
        return [answers.get(index) for index in range(len(wanted))]

    def _book(
        self,
        slot_id: str,
        new: Mapping[int, NewBooking],
        slot: Bookability | None,
        shared: CrossSlotCommit | None,
    ) -> Mapping[int, Answer]:
        if shared and not _is_limited(slot):
            [(index, booking)] = new.items()
            made = shared.book(booking)
            return {index: made} if made else {}
        with self._gate.waiting_for(slot_id):
            if _is_limited(slot):
                return self._db.transact(lambda conn: self._book_within_limit(conn, slot_id, new))
            return _by_index(
                new,
                self._db.write(
                    lambda conn: bookings.insert_bookings(conn, list(new.values()), waits=True)
                ),
            )

    def _with_places_for_holds(
        self, slot_id: str, wanted: Mapping[int, SeatRequest]
    ) -> dict[int, NewBooking]:
        """Return the bookings to be made, less the holds whose user has no place for them."""
        holders = {request.user_id for request in wanted.values() if request.hold}
        places: Mapping[str, list[int]] = {}
        if holders and self._max_active_holds:
            places = self._db.read(
                lambda conn: bookings.list_free_hold_places(
                    conn, sorted(holders), self._max_active_holds
                )
            )
        new = {}
        for index, request in wanted.items():
            place = None
            if request.hold and self._max_active_holds:
                free = places.get(request.user_id)
                if not free:
                    continue
                place = free.pop()
            new[index] = NewBooking(
                booking_id=uuid7(),
                slot_id=slot_id,
                user_id=request.user_id,
                num_seats=request.num_seats,
                hold_ttl_seconds=self._hold_ttl_seconds if request.hold else None,
                hold_place=place,
                idempotency_key=request.idempotency_key,
            )
        return new

    @staticmethod
    def _book_within_limit(
        conn: Connection, slot_id: str, new: Mapping[int, NewBooking]
    ) -> Mapping[int, Answer]:
        """Book after the users' seats were added up under the slot's lock.

        The sum is a statement of its own: one that had waited for the lock itself would not see
        what those before it booked. It counts what is stored. The users' lapsed holds are failed
        first, and waited for: one whose confirmation ran in time counts on. Whoever has one of them
        locked has the slot locked too or, confirming it, needs no slot: nobody waits in a circle.
        """
        slot = slots.lock_slot(conn, slot_id)
        limit = slot.max_seats_per_user
        _, bearers = bookings.explain_refusals(conn, slot_id, _keys(new), most_seats=0)
        users = sorted({booking.user_id for booking in new.values()})
        taken, lapsed = bookings.sum_seats_of_users(conn, slot_id, users)
        if lapsed:
            holds.lock_lapsed_holds(conn, slot_id, len(lapsed), lapsed)
            holds.expire_holds(conn, [slot_id], len(lapsed), lapsed)
            slot = slots.lock_slot(conn, slot_id)
            taken, _ = bookings.sum_seats_of_users(conn, slot_id, users)
        seats_left = slot.remaining_capacity
        within: dict[int, NewBooking] = {}
        answers: dict[int, Answer] = {}
        used_keys = {key for key, bearer in zip(_keys(new), bearers, strict=True) if bearer}
        for (index, booking), key in zip(new.items(), _keys(new), strict=True):
            seats = taken.get(booking.user_id, 0) + booking.num_seats
            if key in used_keys:
                continue
            if limit is not None and seats > limit:
                answers[index] = UserSeatLimit(limit)
            elif booking.num_seats <= seats_left:
                within[index] = booking
                taken[booking.user_id] = seats
                seats_left -= booking.num_seats
                if booking.idempotency_key is not None:
                    used_keys.add(key)
        made = bookings.insert_bookings(
            conn, list(within.values()), waits=True, is_seat_limit_checked=True
        )
        return answers | _by_index(within, made)

    def _explain(
        self, slot_id: str, wanted: Mapping[int, SeatRequest]
    ) -> tuple[Bookability | None, Mapping[int, Answer]]:
        most_seats = max(request.num_seats for request in wanted.values())
        slot, bearers = self._db.read(
            lambda conn: bookings.explain_refusals(
                conn, slot_id, _keys(wanted), most_seats=most_seats
            )
        )
        reasons = {
            index: bearer or _refusal(request, slot)
            for (index, request), bearer in zip(wanted.items(), bearers, strict=True)
        }
        return slot, {index: reason for index, reason in reasons.items() if reason}


def _unanswered(
    wanted: Sequence[SeatRequest], answers: Mapping[int, Answer]
) -> Mapping[int, SeatRequest]:
    return {index: request for index, request in enumerate(wanted) if index not in answers}


def _keys(wanted: Mapping[int, SeatRequest | NewBooking]) -> Sequence[tuple[str, str | None]]:
    return [(request.user_id, request.idempotency_key) for request in wanted.values()]


def _by_index(new: Mapping[int, NewBooking], made: Mapping[str, Booking]) -> dict[int, Answer]:
    return {
        index: made[booking.booking_id]
        for index, booking in new.items()
        if booking.booking_id in made
    }


def _has_room(slot: Bookability, wanted: SeatRequest) -> bool:
    return slot.remaining_capacity - slot.lapsed_seats >= wanted.num_seats


def _is_limited(slot: Bookability | None) -> bool:
    return slot is not None and slot.max_seats_per_user is not None


def _refusal(wanted: SeatRequest, slot: Bookability | None) -> DomainError | None:
    """Return why the slot does not take the request, None where it may by now."""
    if slot is None:
        return SlotNotFound()
    if slot.status == SlotStatus.CLOSED:
        return SlotClosed()
    if slot.has_started:
        return SlotStarted()
    if slot.remaining_capacity < wanted.num_seats:
        return SlotFull(slot.remaining_capacity)
    return None
