"""What everybody may know of slots."""

from __future__ import annotations

from collections.abc import Mapping

from booking.errors import SlotNotFound
from booking.openapi import examples
from booking.openapi.answers import PageMetaOut
from booking.openapi.operation import Example, Operation, one, page
from booking.schemas.slots import PublicSlotListQuery, SlotOut

TAG = "Slots"

OPERATIONS: Mapping[str, Operation] = {
    "list_bookable_slots": Operation(
        tag=TAG,
        summary="List the slots that can be booked",
        description=(
            "Open slots that begin in the future and have at least `min_seats` seats left, by "
            "`start_time`. The numbers are those of this moment: a slot that is listed may be full "
            "when you book it."
        ),
        query=PublicSlotListQuery,
        success=page(
            SlotOut,
            PageMetaOut,
            "A page of slots.",
            Example(
                "last_page",
                "The only page",
                {"data": [examples.SLOT], "meta": examples.LAST_PAGE},
            ),
            Example(
                "first_page",
                "A page with another behind it",
                {"data": [examples.SLOT], "meta": examples.FIRST_PAGE},
            ),
        ),
    ),
    "get_slot": Operation(
        tag=TAG,
        summary="Read a slot",
        description=(
            "Any slot, closed and past ones too. Seats of holds that have lapsed are given back "
            "first, so that `version` and `ETag` tell of them."
        ),
        success=one(
            SlotOut,
            "The slot.",
            Example("slot", "A slot with seats left", examples.SLOT),
            headers=("ETag",),
        ),
        problems=(SlotNotFound,),
    ),
}
