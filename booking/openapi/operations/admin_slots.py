"""How admins make and change slots."""

from __future__ import annotations

from collections.abc import Mapping

from booking.errors import (
    CapacityBelowBooked,
    SlotHasBookings,
    SlotNotFound,
    VersionMismatch,
)
from booking.openapi import examples
from booking.openapi.answers import PageMetaOut
from booking.openapi.operation import Body, Example, Operation, Success, link, one, page
from booking.schemas.slots import AdminSlotListQuery, SlotChange, SlotCreate, SlotOut

TAG = "Slots (admin)"

OPERATIONS: Mapping[str, Operation] = {
    "create_slot": Operation(
        tag=TAG,
        summary="Open a slot",
        description=(
            "Makes a slot that can be booked at once. `start_time` must lie in the future by the "
            "server's clock.\n\n"
            "There is no key to repeat this safely with: where no answer came, list the slots "
            "before you send it again."
        ),
        body=Body(
            SlotCreate,
            (
                Example(
                    "appointment",
                    "An appointment with ten places",
                    {
                        "doctor_name": "Dr. Asha Rao",
                        "specialization": "Cardiology",
                        "start_time": "2035-03-14T15:00:00+05:30",
                        "duration_minutes": 30,
                        "total_capacity": 10,
                        "max_seats_per_user": 4,
                    },
                ),
                Example(
                    "required",
                    "Only what is required",
                    {
                        "doctor_name": "Dr. Asha Rao",
                        "start_time": "2035-03-14T09:30:00Z",
                        "total_capacity": 1,
                    },
                ),
            ),
        ),
        success=one(
            SlotOut,
            "The slot was opened.",
            Example("slot", "The new slot", examples.NEW_SLOT),
            status=201,
            headers=("Location", "ETag"),
            links={
                "read": link("adminGetSlot", "slot_id", "Read it."),
                "change": link("adminChangeSlot", "slot_id", "Change it."),
                "delete": link("adminDeleteSlot", "slot_id", "Delete it."),
            },
        ),
    ),
    "list_slots": Operation(
        tag=TAG,
        summary="List all slots",
        description="Every slot, past, full and closed ones too, by `start_time`.",
        query=AdminSlotListQuery,
        success=page(
            SlotOut,
            PageMetaOut,
            "A page of slots.",
            Example(
                "last_page",
                "The only page",
                {"data": [examples.CLOSED_SLOT], "meta": examples.LAST_PAGE},
            ),
        ),
    ),
    "get_slot": Operation(
        tag=TAG,
        summary="Read a slot as an admin",
        description="The same answer as `GET /api/slots/{slot_id}`.",
        success=one(
            SlotOut,
            "The slot.",
            Example("slot", "A slot with seats left", examples.SLOT),
            headers=("ETag",),
        ),
        problems=(SlotNotFound,),
    ),
    "change_slot": Operation(
        tag=TAG,
        summary="Change a slot",
        description=(
            "Changes the fields that you send; what you leave out stays. Bookings wait while it is "
            "done, so what you read back is how the slot stands.\n\n"
            "A new `total_capacity` changes `remaining_capacity` by as much, and cannot go below "
            "the seats that are booked or held, which the refusal tells as `booked`. A new "
            "`start_time` must be in the future; the one that the slot has is always taken, so "
            "that a form may send every field. Closing a slot stops new bookings and touches none "
            "that it has.\n\n"
            "Send the `ETag` that you have read as `If-Match`, and the change is made only if "
            "nobody has changed the slot since; each booking changes it too. Without `If-Match` "
            "the last change wins. Sending the same change twice is the same as once."
        ),
        body=Body(
            SlotChange,
            (
                Example("close", "Close it", {"status": "CLOSED"}),
                Example("grow", "Add seats", {"total_capacity": 12}),
                Example(
                    "move",
                    "Move it, and forget how long it lasts",
                    {"start_time": "2035-03-15T09:30:00Z", "duration_minutes": None},
                ),
            ),
        ),
        headers=("If-Match",),
        success=one(
            SlotOut,
            "The slot as it is now.",
            Example("closed", "A slot that was closed", examples.CLOSED_SLOT),
            headers=("ETag",),
        ),
        problems=(SlotNotFound, CapacityBelowBooked, VersionMismatch),
    ),
    "delete_slot": Operation(
        tag=TAG,
        summary="Delete a slot",
        description=(
            "Only a slot that no booking ever named, cancelled and lapsed ones included: history "
            "is kept. Close any other slot instead. Deleted twice, the second answer is 404.\n\n"
            "With the `ETag` that you have read as `If-Match` it is deleted only if nobody has "
            "changed it since."
        ),
        headers=("If-Match",),
        success=Success("The slot is gone.", status=204),
        problems=(SlotNotFound, SlotHasBookings, VersionMismatch),
    ),
}
