"""Booking, holding, confirming and cancelling seats."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter

from booking.db.database import Database
from booking.errors import (
    BookingCancelled,
    BookingExpired,
    BookingNotFound,
    Busy,
    HoldLimit,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    LockTimeout,
    Unavailable,
)
from booking.models import Booking, BookingEvent, BookingPosition, BookingStatus, SeatRequest
from booking.repositories import booking_events, bookings
from booking.repositories.bookings import FoundBooking
from booking.services.booking.commit_queue import CommitQueue
from booking.services.booking.expiry import RETRY_SECONDS, ExpiryService
from booking.services.booking.slot_batch import Answer
from booking.services.booking.slot_gate import SlotGate
from booking.services.pagination import Page, page_of

logger = logging.getLogger(__name__)

# Each further attempt follows a change that others made meanwhile: seats that came back, a booking
# that moved on, a place for a hold that another request of the user took. So many in a row mean
# that this one keeps losing.
MAX_ATTEMPTS = 20


@dataclass(frozen=True)
class Booked:
    """A booking, and whether an earlier request with the same key made it."""

    booking: Booking
    is_replay: bool


class BookingService:
    """The use cases of bookings. ``owner`` is the user who may see a booking, None for any."""

    def __init__(
        self,
        db: Database,
        expiry: ExpiryService,
        gate: SlotGate,
        groups: CommitQueue[SeatRequest, Answer | None],
        *,
        max_active_holds_per_user: int,
    ) -> None:
        self._db = db
        self._expiry = expiry
        self._gate = gate
        self._groups = groups
        self._max_active_holds = max_active_holds_per_user

    def book_seats(self, wanted: SeatRequest) -> Booked:
        """Take the seats, CONFIRMED at once or PENDING until the hold's expiry.

        Booked together with others who want the same slot (CommitQueue); locks the slot. A refusal
        writes nothing. Raises SlotNotFound, SlotClosed, SlotStarted, SlotFull, UserSeatLimit,
        HoldLimit, IdempotencyKeyReused, IdempotencyInProgress, Busy and OutcomeUnknown.
        """
        for _ in range(MAX_ATTEMPTS):
            answer = self._submit(wanted)
            if isinstance(answer, Booking):
                return Booked(answer, is_replay=False)
            if isinstance(answer, FoundBooking):
                if not wanted.is_answered_by(answer.booking):
                    raise IdempotencyKeyReused
                return Booked(self._settled(answer).booking, is_replay=True)
            if answer is not None:
                try:
                    raise answer
                finally:
                    # Or the trace, its frames and this name would keep each other alive.
                    del answer
            self._wait_for_key(wanted)
            if wanted.hold and self._max_active_holds:
                self._refuse_or_free_hold_place(wanted.user_id, self._max_active_holds)
        raise Busy

    def _submit(self, wanted: SeatRequest) -> Answer | None:
        try:
            return self._groups.submit(wanted.slot_id, wanted)
        except LockTimeout as error:
            if self._is_key_in_progress(wanted):
                raise IdempotencyInProgress from error
            raise

    def _is_key_in_progress(self, wanted: SeatRequest) -> bool:
        key = wanted.idempotency_key
        return key is not None and not self._db.read(
            lambda conn: bookings.is_key_free(conn, wanted.user_id, key)
        )

    def _wait_for_key(self, wanted: SeatRequest) -> None:
        key = wanted.idempotency_key
        if key is None:
            return
        try:
            # Most likely for a request of the same slot, which waits for its lock.
            with self._gate.waiting_for(wanted.slot_id):
                self._db.read(lambda conn: bookings.wait_for_key(conn, wanted.user_id, key))
        except LockTimeout as error:
            raise IdempotencyInProgress from error

    def _refuse_or_free_hold_place(self, user_id: str, limit: int) -> None:
        pending = self._db.read(lambda conn: bookings.list_pending_holds(conn, user_id))
        live = [hold.seconds_left for hold in pending if not hold.is_unswept]
        if len(live) >= limit:
            raise HoldLimit(limit, seconds_left=max(1, min(live)))
        lapsed = [hold for hold in pending if hold.is_unswept]
        slot_ids = list(dict.fromkeys(hold.slot_id for hold in lapsed))
        lapsed_ids = [hold.booking_id for hold in lapsed]
        if lapsed and self._expiry.expire_unlocked_holds(slot_ids, lapsed_ids).holds:
            return
        for slot_id, holds in groupby(lapsed, attrgetter("slot_id")):
            booking_ids = [hold.booking_id for hold in holds]
            if self._expiry.expire_holds_of_slot(slot_id, booking_ids).holds:
                return

    def get_booking(self, booking_id: str, owner: str | None) -> Booking:
        """Return a booking; a lapsed hold is failed and its seats given back first, unless others
        keep its slot locked for longer than a moment: it is shown as FAILED all the same.

        Raises BookingNotFound, for another user's as for none.
        """
        return self._find(booking_id, owner).booking

    def _find(self, booking_id: str, owner: str | None) -> FoundBooking:
        found = self._db.read(lambda conn: bookings.find_booking(conn, booking_id, owner))
        if found is None:
            raise BookingNotFound
        return self._settled(found)

    def _settled(self, found: FoundBooking) -> FoundBooking:
        booking = found.booking
        # Most often one batch does for all who look at holds of the slot.
        for booking_ids in (None, [booking.id]):
            if not found.is_unswept:
                break
            try:
                expired = self._expiry.expire_unlocked_holds([booking.slot_id], booking_ids)
            except Unavailable as error:
                logger.info("a lapsed hold stays unswept: %s", error.detail)
                break
            if not expired.holds:
                time.sleep(RETRY_SECONDS)
            again = self._db.read(lambda conn: bookings.find_booking(conn, booking.id, None))
            if again is None:
                raise BookingNotFound
            found = again
        return found

    def confirm_booking(self, booking_id: str, owner: str | None) -> Booking:
        """Confirm a hold that has not lapsed, by the clock after its lock is had; a CONFIRMED
        booking is returned as it is.

        Locks the booking. Raises BookingNotFound, BookingExpired, BookingCancelled and Busy.
        """
        return self._move(bookings.confirm_booking, booking_id, owner, BookingStatus.CONFIRMED)

    def cancel_booking(self, booking_id: str, owner: str | None) -> Booking:
        """Cancel a booking that stands and give its seats back, once; a CANCELLED one is returned
        as it is.

        Locks the slot, then the booking. Raises BookingNotFound, BookingExpired and Busy.
        """
        return self._move(bookings.cancel_booking, booking_id, owner, BookingStatus.CANCELLED)

    def _move(
        self,
        move: Callable[..., Booking | None],
        booking_id: str,
        owner: str | None,
        goal: BookingStatus,
    ) -> Booking:
        # Only a booking that was read tells its slot, and so where to wait: the first attempt, one
        # statement, waits for nobody.
        turn: AbstractContextManager[None] = nullcontext()
        for attempt in range(MAX_ATTEMPTS):
            waits = attempt > 0
            with turn:
                moved = self._db.write(
                    partial(move, booking_id=booking_id, owner=owner, waits=waits)
                )
            if moved:
                return moved
            found = self._find(booking_id, owner)
            booking = found.booking
            if booking.status == goal:
                return booking
            if booking.status == BookingStatus.CANCELLED:
                raise BookingCancelled
            # Whoever has locked a hold that seems lapsed may have confirmed it in time.
            if booking.status == BookingStatus.FAILED and (waits or not found.is_unswept):
                raise BookingExpired
            turn = self._gate.waiting_for(booking.slot_id)
        raise Busy

    def list_bookings(
        self,
        *,
        user_id: str | None,
        slot_id: str | None,
        status: BookingStatus | None,
        before: BookingPosition | None,
        limit: int,
    ) -> Page[Booking, BookingPosition]:
        """Return a page of bookings, newest first, by the status that is shown."""
        rows = self._db.read(
            lambda conn: bookings.list_bookings(
                conn,
                user_id=user_id,
                slot_id=slot_id,
                status=status,
                before=before,
                max_rows=limit + 1,
            )
        )
        return page_of(rows, limit, lambda booking: BookingPosition(booking.created_at, booking.id))

    def list_events(
        self, booking_id: str, owner: str | None, *, after_id: int | None, limit: int
    ) -> Page[BookingEvent, int]:
        """Return a page of a booking's history, oldest first, its expiry included.

        Raises BookingNotFound.
        """
        self.get_booking(booking_id, owner)
        rows = self._db.read(
            lambda conn: booking_events.list_booking_events(
                conn, booking_id, after_id=after_id, max_rows=limit + 1
            )
        )
        return page_of(rows, limit, lambda event: event.id)
