"""What is booked: slots, bookings and their events. Frozen, standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_NAME_LENGTH = 200
# What shows nothing, as the inside of a regular expression's class: controls, white space, what is
# ignored by default (Unicode, DerivedCoreProperties.txt, Default_Ignorable_Code_Point), marks of
# annotations and the empty Braille pattern. Those of four digits, which the API's document takes.
INVISIBLE_IN_BMP = (
    r"\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f"
    r"\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0"
    r"\ufff0-\ufffb"
)
_VISIBLE = re.compile(
    rf"[^{INVISIBLE_IN_BMP}\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def is_visible(text: str) -> bool:
    """Tell whether at least one character of a text shows something."""
    return _VISIBLE.search(text) is not None


class SlotStatus(StrEnum):
    """Whether a slot takes bookings."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class BookingStatus(StrEnum):
    """Where a booking stands. FAILED and CANCELLED are final."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class EventType(StrEnum):
    """What happened to a booking."""

    HELD = "HELD"
    BOOKED = "BOOKED"
    CONFIRMED = "CONFIRMED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


LEGAL_MOVES: Mapping[EventType, frozenset[tuple[BookingStatus | None, BookingStatus]]] = {
    EventType.HELD: frozenset({(None, BookingStatus.PENDING)}),
    EventType.BOOKED: frozenset({(None, BookingStatus.CONFIRMED)}),
    EventType.CONFIRMED: frozenset({(BookingStatus.PENDING, BookingStatus.CONFIRMED)}),
    EventType.EXPIRED: frozenset({(BookingStatus.PENDING, BookingStatus.FAILED)}),
    EventType.CANCELLED: frozenset(
        {
            (BookingStatus.PENDING, BookingStatus.CANCELLED),
            (BookingStatus.CONFIRMED, BookingStatus.CANCELLED),
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Slot:
    """Seats at one time with one doctor. Times are aware, in UTC.

    ``remaining_capacity`` is what could be booked now: seats of lapsed holds count as free.
    """

    id: str
    doctor_name: str
    specialization: str | None
    start_time: datetime
    duration_minutes: int | None
    total_capacity: int
    remaining_capacity: int
    max_seats_per_user: int | None
    status: SlotStatus
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Booking:
    """Seats of one slot for one user. A hold keeps its ``expires_at`` when it is confirmed."""

    id: str
    slot_id: str
    user_id: str
    num_seats: int
    status: BookingStatus
    failure_reason: str | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def was_hold(self) -> bool:
        """Whether a hold was asked for, whatever became of it."""
        return self.expires_at is not None


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class BookingEvent:
    """One change of a booking. ``seats`` is how many moved: out of the slot, or back into it."""

    id: int
    type: EventType
    from_status: BookingStatus | None
    to_status: BookingStatus
    seats: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Bookability:
    """Why a slot takes a booking or not, by the database's clock."""

    status: SlotStatus
    has_started: bool
    remaining_capacity: int
    max_seats_per_user: int | None
    lapsed_seats: int


@dataclass(frozen=True, slots=True)
class PendingHold:
    """A hold that nobody confirmed or cancelled. Lapsed, it has no ``seconds_left`` above 0."""

    booking_id: str
    slot_id: str
    is_unswept: bool
    seconds_left: int


@dataclass(frozen=True)
class SlotFilter:
    """Which slots a list shows; None is no bound. Names match as substrings, in any case."""

    doctor_name: str | None = None
    specialization: str | None = None
    starts_from: datetime | None = None
    starts_before: datetime | None = None

    @property
    def is_search(self) -> bool:
        """Whether it asks for a part of a name."""
        return self.doctor_name is not None or self.specialization is not None


@dataclass(frozen=True)
class SlotPosition:
    """Where a page of slots ended."""

    start_time: datetime
    id: str


@dataclass(frozen=True)
class BookingPosition:
    """Where a page of bookings ended."""

    created_at: datetime
    id: str
