"""What each field means, by its name on the wire: once, however many schemas have it."""

from __future__ import annotations

from collections.abc import Mapping

from marshmallow import Schema

# A key is a field's name, or a schema's and the field's where the name means another thing there.
DESCRIPTIONS: Mapping[str, str] = {
    # Slots
    "SlotOut.id": "The slot's id.",
    "doctor_name": "Who receives: a doctor, a performer, a show.",
    "SlotListQuery.doctor_name": "Slots whose `doctor_name` contains this text, in any case.",
    "specialization": "What is on offer: a field of medicine, a kind of show.",
    "SlotListQuery.specialization": "Slots whose `specialization` contains this text, in any case.",
    "start_time": (
        "When the slot begins, in RFC 3339. What you send must carry an offset and lie in the "
        "future by the server's clock; what you get is in UTC and ends in `Z`. From this moment on "
        "the slot takes no bookings."
    ),
    "duration_minutes": "How long it lasts, in minutes; null where nobody said.",
    "total_capacity": "How many seats the slot has.",
    "remaining_capacity": (
        "How many seats could be booked now. Seats of a hold that has lapsed count as free."
    ),
    "max_seats_per_user": (
        "How many seats of the slot one user may have at a time, held ones included; null for any "
        "number."
    ),
    "SlotOut.max_seats_per_user": (
        "How many seats of the slot one user may have at a time, held ones included; only there "
        "where there is a limit."
    ),
    "SlotOut.status": "`CLOSED`: takes no new bookings; those that it has stay as they are.",
    "SlotChange.status": "`CLOSED` stops new bookings, `OPEN` takes them again.",
    "AdminSlotListQuery.status": "Slots of this status only.",
    "version": (
        "Raised by each change of the slot, seats that leave or return included. The `ETag` of an "
        "answer with one slot is this number in quotes."
    ),
    "from": "Slots that begin at this moment or later: RFC 3339, with an offset.",
    "to": "Slots that begin before this moment: RFC 3339, with an offset.",
    "min_seats": "Slots with at least so many seats left.",
    # Bookings
    "BookingOut.id": "The booking's id.",
    "BookingOut.slot_id": "The slot whose seats these are.",
    "BookingCreate.slot_id": "The slot to book seats of.",
    "BookingListQuery.slot_id": "Bookings of this slot only.",
    "BookingOut.user_id": "Whose booking it is.",
    "BookingCreate.user_id": (
        "Who books. With a token it may be left out; only an admin may name somebody other than "
        "the token's `sub`. Required where the server asks for no tokens."
    ),
    "BookingListQuery.user_id": (
        "Bookings of this user. Only an admin may name somebody other than the token's `sub`."
    ),
    "num_seats": "How many seats, all or none.",
    "hold": (
        "false books at once: the booking is `CONFIRMED`. true holds the seats: it is `PENDING`, "
        "and lapses at `expires_at` unless it is confirmed before."
    ),
    "BookingOut.status": (
        "`PENDING`: held until `expires_at`. `CONFIRMED`: booked. `FAILED`: the hold lapsed. "
        "`CANCELLED`: cancelled. The last two are final, and their seats are back in the slot."
    ),
    "BookingListQuery.status": (
        "Bookings that are shown with this status; a hold that has lapsed is `FAILED`."
    ),
    "failure_reason": "Why a `FAILED` booking failed; null for every other.",
    "expires_at": "When the hold lapses or would have; null where no hold was asked for.",
    # Events
    "BookingEventOut.type": "What happened.",
    "BookingEventOut.from": "The status before; null for the booking's first event.",
    "BookingEventOut.to": "The status after.",
    "seats": "How many seats moved, out of the slot or back into it; 0 where none did.",
    "at": "When it happened.",
    # Both
    "created_at": "When it was made.",
    "updated_at": "When it last changed.",
    # Lists
    "ListQuery.limit": "How many rows a page has at most.",
    "PageMetaOut.limit": "The `limit` that this page was made with.",
    "cursor": (
        "Where to go on: the `meta.next_cursor` of the page before, unchanged and with the same "
        "filters. Opaque: nothing can be read out of it, and no other text passes for one."
    ),
    "next_cursor": "The `cursor` of the next page; null on the last.",
    # What operators see
    "HealthOut.status": "Always `ok`.",
    "ReadinessOut.status": "Always `ready`.",
    "expired": "How many lapsed holds were failed.",
    "seats_restored": "How many seats went back to their slots.",
    "healthy": "Whether no check found a violation.",
    "checks": "Each check that ran.",
    "AuditCheckOut.name": "The invariant's name.",
    "violations": "How many rows break it.",
    # Problems
    "ProblemOut.type": "A URI that names the kind of problem; the same for the same `code`.",
    "ProblemOut.title": "The kind of problem in a few words; the same for the same `code`.",
    "ProblemOut.status": "The HTTP status, again.",
    "ProblemOut.detail": "What went wrong this time, for people to read; it may be reworded.",
    "ProblemOut.instance": "The path that was asked for.",
    "ProblemOut.code": "The kind of problem, for programs to decide on; it is never renamed.",
    "ProblemOut.request_id": "The `X-Request-ID` of this answer. Quote it when you ask for help.",
    "ProblemOut.retryable": (
        "Whether the same request may succeed later; there is a `Retry-After` then."
    ),
    "errors": "Each field that breaks a rule.",
    "SlotFullProblemOut.remaining_capacity": "How many seats are left.",
    "CapacityBelowBookedProblemOut.booked": (
        "How many seats are booked or held; the least that `total_capacity` can be."
    ),
    "UserSeatLimitProblemOut.max_seats_per_user": "How many seats one user may have of the slot.",
    "FieldErrorOut.field": "The name of the field in the body or query.",
    "FieldErrorOut.message": "The rule that it breaks.",
}

PATH_PARAMETERS: Mapping[str, str] = {
    "slot_id": "The slot's id. What is no UUID is no slot's.",
    "booking_id": "The booking's id. What is no UUID is no booking's.",
    "name": "The file's name.",
}


def describe(schema: type[Schema], name: str) -> str:
    """Return what a field means. Raises KeyError where nobody has said."""
    for key in (*(f"{kind.__name__}.{name}" for kind in schema.__mro__), name):
        if key in DESCRIPTIONS:
            return DESCRIPTIONS[key]
    raise KeyError(f"booking/openapi/descriptions.py does not describe {schema.__name__}.{name}")
