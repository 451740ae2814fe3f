"""What one slot must be, in plain Python: no database, no clock, nothing of the application."""

from __future__ import annotations

from dataclasses import dataclass, field

STANDING = {"PENDING", "CONFIRMED"}


@dataclass
class ModelBooking:
    """A booking as it is shown. A hold that lapsed is FAILED at once, whoever notices when."""

    num_seats: int
    hold: bool
    status: str
    history: list[str]

    def move(self, status: str, event: str) -> None:
        self.status = status
        self.history.append(event)


@dataclass
class ModelSlot:
    """A slot and all that was ever booked of it."""

    total_capacity: int
    status: str = "OPEN"
    has_begun: bool = False
    bookings: dict[str, ModelBooking] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        return sum(one.num_seats for one in self.bookings.values() if one.status in STANDING)

    @property
    def remaining_capacity(self) -> int:
        return self.total_capacity - self.taken

    def refusals(self, num_seats: int) -> set[str]:
        """Return the codes of which one must be the answer; none where there is room."""
        refusals = set()
        if self.status == "CLOSED":
            refusals.add("SLOT_CLOSED")
        if self.has_begun:
            refusals.add("SLOT_STARTED")
        if not refusals and self.remaining_capacity < num_seats:
            refusals.add("SLOT_FULL")
        return refusals

    def book(self, booking_id: str, num_seats: int, *, hold: bool) -> None:
        assert booking_id not in self.bookings
        self.bookings[booking_id] = ModelBooking(
            num_seats,
            hold,
            "PENDING" if hold else "CONFIRMED",
            ["HELD" if hold else "BOOKED"],
        )
