"""The chapters of the document, in their order."""

from __future__ import annotations

from collections.abc import Mapping

from booking.openapi.operations import (
    admin_bookings,
    admin_slots,
    bookings,
    documentation,
    health,
    slots,
)

TAGS: Mapping[str, str] = {
    slots.TAG: "What can be booked. Open to everybody.",
    bookings.TAG: "Booking, holding, confirming and cancelling seats, each user their own.",
    admin_slots.TAG: "Opening, changing and closing slots. For admins.",
    admin_bookings.TAG: "Everybody's bookings, lapsed holds and the audit. For admins.",
    health.TAG: "Probes for load balancers and orchestrators. Open to everybody.",
    documentation.TAG: "This document, and a page to try it. Open to everybody.",
}
