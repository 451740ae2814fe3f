"""The application with one more route: a booking in all but the booking, to measure the rest by.

``POST /bench/empty`` is the view of ``POST /api/bookings`` itself, on a service that answers with
a constant: the same middleware, parsing, validation, answer and log line, and no database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from flask import Flask

from booking.app import create_app
from booking.config import Config
from booking.controllers import bookings
from booking.models import Booking, BookingStatus, SeatRequest
from booking.services.booking.service import Booked, BookingService
from booking.services.pagination import CursorKey

EMPTY_ENDPOINT = "/bench/empty"


class _ConstantBookings:
    """Answers every booking with the same one."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self._booked = Booked(
            Booking(
                id="00000000-0000-7000-8000-000000000000",
                slot_id="00000000-0000-7000-8000-000000000000",
                user_id="constant",
                num_seats=1,
                status=BookingStatus.CONFIRMED,
                failure_reason=None,
                expires_at=None,
                created_at=now,
                updated_at=now,
            ),
            is_replay=False,
        )

    def book_seats(self, _wanted: SeatRequest) -> Booked:
        return self._booked


def create() -> Flask:
    """Return the application as wsgi.py does, with the route added."""
    app = create_app(Config.from_environment())
    app.register_blueprint(
        bookings.create_blueprint(
            # Of the service only book_seats is called here.
            cast(BookingService, _ConstantBookings()),
            CursorKey(app.extensions["booking"].db),
        ),
        name="bench",
        url_prefix=EMPTY_ENDPOINT,
    )
    return app
