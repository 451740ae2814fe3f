"""Booking, holding, confirming and cancelling seats."""

from __future__ import annotations

from dataclasses import dataclass

from booking.db.connection import Connection
from booking.db.database import Database
from booking.errors import (
    BookingCancelled,
    BookingExpired,
    BookingNotFound,
    Busy,
    HoldLimit,
    HoldPlaceTaken,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    IdempotencyKeyTaken,
    LockTimeout,
    SlotClosed,
    SlotFull,
    SlotNotFound,
    SlotStarted,
    UserSeatLimit,
)
from booking.models import (
    Bookability,
    Booking,
    BookingEvent,
    BookingPosition,
    BookingStatus,
    SlotStatus,
)
from booking.repositories import booking_events, bookings, slots
from booking.repositories.bookings import FoundBooking
from booking.services.expiry import ExpiryService
from booking.services.paging import Page, page_of
from booking.uuid7 import uuid7

# Each further attempt follows a change that others made meanwhile: seats that came back, a booking
# that moved on, a place for a hold that another request of the user took. So many in a row mean
# that this one keeps losing.
MAX_ATTEMPTS = 20


@dataclass(frozen=True)
class SeatRequest:
    """Seats that a user asks for, at once or to hold."""

    slot_id: str
    user_id: str
    num_seats: int
    hold: bool = False
    idempotency_key: str | None = None

    def is_answered_by(self, booking: Booking) -> bool:
        """Tell whether the booking is what this request asked for."""
        return (self.slot_id, self.num_seats, self.hold) == (
            booking.slot_id,
            booking.num_seats,
            booking.was_hold,
        )


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
        *,
        hold_ttl_seconds: float,
        max_active_holds_per_user: int,
    ) -> None:
        self._db = db
        self._expiry = expiry
        self._hold_ttl_seconds = hold_ttl_seconds
        self._max_active_holds = max_active_holds_per_user or None

    def book_seats(self, wanted: SeatRequest) -> Booked:
        """Take the seats, CONFIRMED at once or PENDING until the hold's expiry.

        One statement where there is room, which locks the slot; one transaction on a slot with a
        limit per user. A refusal writes nothing. Raises SlotNotFound, SlotClosed, SlotStarted,
        SlotFull, UserSeatLimit, HoldLimit, IdempotencyKeyReused, IdempotencyInProgress, Busy and
        OutcomeUnknown.
        """
        has_seat_limit = False
        for _ in range(MAX_ATTEMPTS):
            booking = self._insert(wanted, has_seat_limit=has_seat_limit)
            if booking:
                return Booked(booking, is_replay=False)
            # In this order: had the key's first request committed before the refusal was read, its
            # booking is found.
            slot = self._find_bookability(wanted.slot_id)
            replay = self._find_replay(wanted)
            if replay:
                return Booked(replay, is_replay=True)
            if slot is None:
                raise SlotNotFound
            self._refuse_or_make_room(wanted, slot)
            has_seat_limit = slot.max_seats_per_user is not None
        raise Busy

    def _insert(self, wanted: SeatRequest, *, has_seat_limit: bool) -> Booking | None:
        place = None
        if wanted.hold and self._max_active_holds:
            place = self._find_free_hold_place(wanted.user_id, self._max_active_holds)
            if place is None:
                return None
        try:
            if has_seat_limit:
                return self._db.transact(
                    lambda conn: self._insert_within_seat_limit(conn, wanted, place)
                )
            return self._db.write(lambda conn: self._insert_booking(conn, wanted, place))
        except (IdempotencyKeyTaken, HoldPlaceTaken):
            return None
        except LockTimeout as error:
            if self._is_key_in_progress(wanted):
                raise IdempotencyInProgress from error
            raise

    def _find_free_hold_place(self, user_id: str, limit: int) -> int | None:
        return self._db.read(lambda conn: bookings.find_free_hold_place(conn, user_id, limit))

    def _insert_within_seat_limit(
        self, conn: Connection, wanted: SeatRequest, hold_place: int | None
    ) -> Booking | None:
        """Book after the user's seats were added up under the slot's lock.

        The sum is a statement of its own: one that had waited for the lock itself would not see
        what those before it booked.
        """
        limit = slots.lock_slot(conn, wanted.slot_id).max_seats_per_user
        taken = bookings.sum_seats_of_user(conn, wanted.slot_id, wanted.user_id)
        if limit is not None and taken + wanted.num_seats > limit:
            if self._find_by_key(conn, wanted):
                return None
            raise UserSeatLimit(limit)
        return self._insert_booking(conn, wanted, hold_place, is_seat_limit_checked=True)

    def _insert_booking(
        self,
        conn: Connection,
        wanted: SeatRequest,
        hold_place: int | None,
        *,
        is_seat_limit_checked: bool = False,
    ) -> Booking | None:
        return bookings.insert_booking(
            conn,
            booking_id=uuid7(),
            slot_id=wanted.slot_id,
            user_id=wanted.user_id,
            num_seats=wanted.num_seats,
            hold_ttl_seconds=self._hold_ttl_seconds if wanted.hold else None,
            hold_place=hold_place,
            is_seat_limit_checked=is_seat_limit_checked,
            idempotency_key=wanted.idempotency_key,
        )

    def _is_key_in_progress(self, wanted: SeatRequest) -> bool:
        key = wanted.idempotency_key
        return key is not None and not self._db.read(
            lambda conn: bookings.is_key_free(conn, wanted.user_id, key)
        )

    def _find_bookability(self, slot_id: str) -> Bookability | None:
        try:
            return self._db.read(lambda conn: slots.get_bookability(conn, slot_id))
        except SlotNotFound:
            return None

    def _refuse_or_make_room(self, wanted: SeatRequest, slot: Bookability) -> None:
        """Raise why the booking is refused; return where it may succeed by now, with the lapsed
        holds that stood in its way failed.
        """
        if slot.status == SlotStatus.CLOSED:
            raise SlotClosed
        if slot.has_started:
            raise SlotStarted
        if slot.remaining_capacity < wanted.num_seats:
            raise SlotFull(slot.remaining_capacity)
        if slot.lapsed_seats:
            self._expiry.expire_holds_of_slot(wanted.slot_id)
        if wanted.hold and self._max_active_holds:
            self._refuse_or_free_hold_place(wanted.user_id, self._max_active_holds)

    def _refuse_or_free_hold_place(self, user_id: str, limit: int) -> None:
        pending = self._db.read(lambda conn: bookings.list_pending_holds(conn, user_id))
        live = [hold.seconds_left for hold in pending if not hold.is_unswept]
        if len(live) >= limit:
            raise HoldLimit(limit, seconds_left=max(1, min(live)))
        for slot_id in sorted({hold.slot_id for hold in pending if hold.is_unswept}):
            self._expiry.expire_holds_of_slot(slot_id)

    def _find_replay(self, wanted: SeatRequest) -> Booking | None:
        if wanted.idempotency_key is None:
            return None
        found = self._db.read(lambda conn: self._find_by_key(conn, wanted))
        if found is None:
            return None
        if not wanted.is_answered_by(found.booking):
            raise IdempotencyKeyReused
        return self._settled(found)

    @staticmethod
    def _find_by_key(conn: Connection, wanted: SeatRequest) -> FoundBooking | None:
        if wanted.idempotency_key is None:
            return None
        return bookings.find_booking_by_key(conn, wanted.user_id, wanted.idempotency_key)

    def get_booking(self, booking_id: str, owner: str | None) -> Booking:
        """Return a booking; a lapsed hold is failed and its seats given back first.

        Raises BookingNotFound, for another user's as for none.
        """
        found = self._db.read(lambda conn: bookings.find_booking(conn, booking_id, owner))
        if found is None:
            raise BookingNotFound
        return self._settled(found)

    def _settled(self, found: FoundBooking) -> Booking:
        if not found.is_unswept:
            return found.booking
        self._expiry.expire_holds_of_slot(found.booking.slot_id)
        again = self._db.read(lambda conn: bookings.find_booking(conn, found.booking.id, None))
        if again is None:
            raise BookingNotFound
        return again.booking

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
