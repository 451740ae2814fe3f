"""What admins see and tend of everybody's bookings."""

from __future__ import annotations

from collections.abc import Mapping

from booking.openapi import examples
from booking.openapi.answers import AuditOut, ExpiredOut, PageMetaOut
from booking.openapi.operation import Example, Operation, one, page
from booking.schemas.bookings import BookingListQuery, BookingOut

TAG = "Bookings (admin)"

OPERATIONS: Mapping[str, Operation] = {
    "list_bookings": Operation(
        tag=TAG,
        summary="List everybody's bookings",
        description="The bookings of all users, newest first.",
        query=BookingListQuery,
        success=page(
            BookingOut,
            PageMetaOut,
            "A page of bookings.",
            Example(
                "last_page",
                "The only page",
                {"data": [examples.CANCELLED, examples.LAPSED], "meta": examples.LAST_PAGE},
            ),
        ),
    ),
    "expire_pending": Operation(
        tag=TAG,
        summary="Fail all holds that have lapsed",
        description=(
            "Fails every hold that is past its `expires_at` when this is called, and gives the "
            "seats back. The server sweeps by itself from time to time, and lapsed seats count as "
            "free in any case; this makes it happen now. Safe to repeat, and beside bookings: each "
            "hold is failed once. Send no body, `null` or `{}`."
        ),
        takes_no_body=True,
        success=one(
            ExpiredOut,
            "All that was stale is swept.",
            Example("swept", "Two holds had lapsed", {"expired": 2, "seats_restored": 5}),
        ),
    ),
    "run_audit": Operation(
        tag=TAG,
        summary="Check that every promise holds",
        description=(
            "Asks the data themselves, in one snapshot and without keeping anybody waiting, "
            "whether the invariants hold: that seats add up, that history leads to the status, and "
            "so on. A violation is an answer, not an error: look at `healthy`."
        ),
        success=one(
            AuditOut,
            "What the checks found.",
            Example(
                "healthy",
                "All is well",
                {
                    "healthy": True,
                    "checks": [
                        {"name": "remaining_capacity_in_bounds", "violations": 0},
                        {"name": "seats_add_up", "violations": 0},
                    ],
                },
            ),
            Example(
                "violated",
                "Somebody changed rows by hand",
                {
                    "healthy": False,
                    "checks": [
                        {"name": "remaining_capacity_in_bounds", "violations": 0},
                        {"name": "seats_add_up", "violations": 1},
                    ],
                },
            ),
        ),
    ),
}
