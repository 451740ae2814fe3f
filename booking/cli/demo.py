"""Slots and bookings to look at, made by the same use cases as any other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from booking.app import Services
from booking.models import SeatRequest, SlotFilter

DOCTORS = (
    ("Dr. Asha Rao", "Cardiology", 1, 30),
    ("Dr. Ben Okafor", "Dermatology", 1, 20),
    ("Dr. Chen Wei", "Paediatrics", 4, 45),
    ("Night bus Mumbai to Pune", None, 40, 210),
    ("Matinee, screen 2", "Cinema", 180, 130),
)
DAYS = 3


def seed(parts: Services) -> Iterator[str]:
    """Add slots of the coming days with a few bookings, once; yield a line for each."""
    first_name = DOCTORS[0][0]
    wanted = SlotFilter(doctor_name=first_name)
    if parts.slots.list_slots(wanted, status=None, after=None, limit=1).rows:
        yield "The demo's slots are here already."
        return
    morning = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    for day in range(1, DAYS + 1):
        for name, specialization, capacity, minutes in DOCTORS:
            slot = parts.slots.create_slot(
                doctor_name=name,
                specialization=specialization,
                start_time=morning + timedelta(days=day),
                duration_minutes=minutes,
                total_capacity=capacity,
            )
            taken = capacity // 3
            if taken:
                parts.bookings.book_seats(SeatRequest(slot.id, "demo-user", taken))
            yield f"{slot.id}  {slot.start_time:%Y-%m-%d %H:%MZ}  {taken}/{capacity}  {name}"
