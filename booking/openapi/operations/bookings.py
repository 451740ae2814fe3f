"""How users book, and what they may know of their bookings."""

from __future__ import annotations

from collections.abc import Mapping

from booking.errors import (
    BookingCancelled,
    BookingExpired,
    BookingNotFound,
    Forbidden,
    HoldLimit,
    IdempotencyInProgress,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    OutcomeUnknown,
    SlotClosed,
    SlotFull,
    SlotNotFound,
    SlotStarted,
    UserSeatLimit,
)
from booking.openapi import examples
from booking.openapi.answers import PageMetaOut
from booking.openapi.operation import Body, Example, Operation, link, one, page
from booking.schemas.bookings import BookingCreate, BookingEventOut, BookingListQuery, BookingOut
from booking.schemas.pagination import ListQuery

TAG = "Bookings"

OPERATIONS: Mapping[str, Operation] = {
    "book_seats": Operation(
        tag=TAG,
        summary="Book or hold seats",
        description=(
            "Takes all the seats that you ask for, or none. However many ask at once, a slot never "
            "gives more seats than it has.\n\n"
            "With `hold: false` the seats are booked at once. With `hold: true` they are kept for "
            "you until `expires_at`: confirm the booking before then, or it fails and the seats go "
            "back. One user may have some holds at a time, and of a slot with `max_seats_per_user` "
            "so many seats.\n\n"
            "**Sending it again.** Send an `Idempotency-Key` of your own making, a random UUID "
            "say, and send the same key when you repeat the request: you get the booking that the "
            "first one made, as it stands now, with `Idempotency-Replayed: true`, and nothing is "
            "booked twice, even if the slot has since filled, closed or begun. Keys never lapse, "
            "and belong to one user. A refusal is not remembered: the same key may succeed later. "
            "Without a key a repeated request books again."
        ),
        body=Body(
            BookingCreate,
            (
                Example("book", "Book two seats", {"slot_id": examples.SLOT_ID, "num_seats": 2}),
                Example(
                    "hold",
                    "Hold two seats while the user decides or pays",
                    {"slot_id": examples.SLOT_ID, "num_seats": 2, "hold": True},
                ),
                Example(
                    "named_user",
                    "Where the server asks for no tokens, or as an admin",
                    {
                        "slot_id": examples.SLOT_ID,
                        "user_id": examples.USER_ID,
                        "num_seats": 2,
                    },
                ),
            ),
        ),
        headers=("Idempotency-Key",),
        success=one(
            BookingOut,
            "The seats are yours: booked, or held.",
            Example("confirmed", "Booked at once", examples.CONFIRMED),
            Example("held", "Held", examples.HELD),
            status=201,
            headers=("Location",),
            sometimes=("Idempotency-Replayed",),
            links={
                "read": link("getBooking", "booking_id", "Read it."),
                "confirm": link("confirmBooking", "booking_id", "Confirm it, where it is held."),
                "cancel": link("cancelBooking", "booking_id", "Cancel it."),
                "events": link("listEvents", "booking_id", "Read its history."),
            },
        ),
        problems=(
            IdempotencyKeyInvalid,
            Forbidden,
            SlotNotFound,
            SlotFull,
            SlotStarted,
            SlotClosed,
            UserSeatLimit,
            HoldLimit,
            IdempotencyInProgress,
            IdempotencyKeyReused,
        ),
    ),
    "list_own_bookings": Operation(
        tag=TAG,
        summary="List your bookings",
        description=(
            "The bookings of the token's user, newest first. Where the server asks for no tokens, "
            "`user_id` is required and says whose."
        ),
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
        problems=(Forbidden,),
    ),
    "get_booking": Operation(
        tag=TAG,
        summary="Read a booking",
        description=(
            "Your own; an admin reads anybody's. Another user's booking and one that does not "
            "exist have the same answer. A hold that has lapsed is failed, and its seats given "
            "back, before it is shown: you never see one as `PENDING`."
        ),
        success=one(
            BookingOut,
            "The booking.",
            Example("confirmed", "A booking that stands", examples.CONFIRMED),
            Example("held", "A hold", examples.HELD),
            Example("lapsed", "A hold that lapsed", examples.LAPSED),
        ),
        problems=(BookingNotFound, OutcomeUnknown),
    ),
    "confirm_booking": Operation(
        tag=TAG,
        summary="Confirm a hold",
        description=(
            "Makes a `PENDING` booking `CONFIRMED` for good, if its time has not run out by the "
            "server's clock, even by a moment. It cannot be refused because the slot closed or "
            "began meanwhile. Safe to repeat: confirming what is confirmed changes nothing and "
            "answers the same. Send no body, `null` or `{}`."
        ),
        takes_no_body=True,
        success=one(
            BookingOut,
            "The booking is confirmed.",
            Example("confirmed", "The hold was confirmed", examples.HELD_AND_CONFIRMED),
        ),
        problems=(BookingNotFound, BookingExpired, BookingCancelled),
    ),
    "cancel_booking": Operation(
        tag=TAG,
        summary="Cancel a booking or a hold",
        description=(
            "Gives the seats of a `PENDING` or `CONFIRMED` booking back, once. Safe to repeat: "
            "cancelling what is cancelled changes nothing and answers the same. Send no body, "
            "`null` or `{}`."
        ),
        takes_no_body=True,
        success=one(
            BookingOut,
            "The booking is cancelled.",
            Example("cancelled", "The booking was cancelled", examples.CANCELLED),
        ),
        problems=(BookingNotFound, BookingExpired),
    ),
    "list_events": Operation(
        tag=TAG,
        summary="Read a booking's history",
        description=(
            "What happened to the booking, oldest first. Events are only ever added, never changed."
        ),
        query=ListQuery,
        success=page(
            BookingEventOut,
            PageMetaOut,
            "A page of events.",
            Example(
                "confirmed_hold",
                "A hold that was confirmed",
                {"data": examples.EVENTS, "meta": examples.LAST_PAGE},
            ),
        ),
        problems=(BookingNotFound, OutcomeUnknown),
    ),
}
