"""Booking, holding, confirming and cancelling seats."""

from __future__ import annotations

from dataclasses import dataclass
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
)
from booking.models import Booking, BookingEvent, BookingPosition, BookingStatus, SeatRequest
from booking.repositories import booking_events, bookings
from booking.repositories.bookings import FoundBooking
from booking.services.expiry import ExpiryService
from booking.services.group_booking import Answer
from booking.services.group_commit import GroupCommit
from booking.services.paging import Page, page_of

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
        groups: GroupCommit[SeatRequest, Answer | None],
        *,
        max_active_holds_per_user: int,
    ) -> None:
        self._db = db
        self._expiry = expiry
        self._groups = groups
        self._max_active_holds = max_active_holds_per_user

    def book_seats(self, wanted: SeatRequest) -> Booked:
        """Take the seats, CONFIRMED at once or PENDING until the hold's expiry.

        Booked together with others who want the same slot (GroupCommit); locks the slot. A refusal
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
                return Booked(self._settled(answer), is_replay=True)
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
            self._db.read(lambda conn: bookings.wait_for_key(conn, wanted.user_id, key))
        except LockTimeout as error:
            raise IdempotencyInProgress from error

    def _refuse_or_free_hold_place(self, user_id: str, limit: int) -> None:
        pending = self._db.read(lambda conn: bookings.list_pending_holds(conn, user_id))
        live = [hold.seconds_left for hold in pending if not hold.is_unswept]
        if len(live) >= limit:
            raise HoldLimit(limit, seconds_left=max(1, min(live)))
        lapsed = [hold for hold in pending if hold.is_unswept]
        for slot_id, holds in groupby(lapsed, attrgetter("slot_id")):
            booking_ids = [hold.booking_id for hold in holds]
            if self._expiry.expire_holds_of_slot(slot_id, booking_ids).holds:
                return

    def get_booking(self, booking_id: str, owner: str | None) -> Booking:
        """Return a booking; a lapsed hold is failed and its seats given back first.

        Raises BookingNotFound, for another user's as for none.
        """
        found = self._db.read(lambda conn: bookings.find_booking(conn, booking_id, owner))
        if found is None:
            raise BookingNotFound
        return self._settled(found)

    def _settled(self, found: FoundBooking) -> Booking:
        booking = found.booking
        # Most often one batch does for all who look at holds of the slot.
        for booking_ids in (None, [booking.id]):
            if not found.is_unswept:
                break
            self._expiry.expire_holds_of_slot(booking.slot_id, booking_ids)
            again = self._db.read(lambda conn: bookings.find_booking(conn, booking.id, None))
            if again is None:
                raise BookingNotFound
            found = again
        return found.booking

    def confirm_booking(self, booking_id: str, owner: str | None) -> Booking:
        """Confirm a hold that has not lapsed, by the clock after its lock is had; a CONFIRMED
        booking is returned as it is.

        Locks the booking. Raises BookingNotFound, BookingExpired and BookingCancelled.
        """
        for _ in range(MAX_ATTEMPTS):
            confirmed = self._db.write(
                lambda conn: bookings.confirm_booking(conn, booking_id, owner)
            )
            if confirmed:
                return confirmed
            booking = self.get_booking(booking_id, owner)
            if booking.status == BookingStatus.CONFIRMED:
                return booking
            if booking.status == BookingStatus.CANCELLED:
                raise BookingCancelled
            if booking.status == BookingStatus.FAILED:
                raise BookingExpired
        raise Busy

    def cancel_booking(self, booking_id: str, owner: str | None) -> Booking:
        """Cancel a booking that stands and give its seats back, once; a CANCELLED one is returned
        as it is.

        Locks the slot, then the booking. Raises BookingNotFound and BookingExpired.
        """
        for _ in range(MAX_ATTEMPTS):
            cancelled = self._db.write(
                lambda conn: bookings.cancel_booking(conn, booking_id, owner)
            )
            if cancelled:
                return cancelled
            booking = self.get_booking(booking_id, owner)
            if booking.status == BookingStatus.CANCELLED:
                return booking
            if booking.status == BookingStatus.FAILED:
                raise BookingExpired
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
