"""Slots, as everybody sees them."""

from __future__ import annotations

from flask import Blueprint, Response, request

from booking.controllers.pagination import Cursors, page_response, read_position, write_position
from booking.controllers.parsing import read_path_id, read_query
from booking.controllers.responses import data_response, public_path
from booking.errors import SlotNotFound
from booking.middleware.authentication import Access, allow
from booking.models import Slot, SlotFilter, SlotPosition
from booking.schemas.pagination import NoQuery
from booking.schemas.slots import PublicSlotListQuery, SlotOut
from booking.services.pagination import CursorKey
from booking.services.slots import SlotService

_slot_out = SlotOut()
_no_query = NoQuery()
_list_query = PublicSlotListQuery()


def create_blueprint(slots: SlotService, cursor_key: CursorKey) -> Blueprint:
    """Return the routes under ``/api/slots``."""
    blueprint = Blueprint("slots", __name__, url_prefix="/api/slots")

    @blueprint.get("")
    @allow(Access.ALL)
    def list_bookable_slots() -> Response:
        query = read_query(_list_query)
        limit, cursor, min_seats = query.pop("limit"), query.pop("cursor", None), query["min_seats"]
        cursors = Cursors(cursor_key.get(), query)
        del query["min_seats"]
        page = slots.list_bookable_slots(
            SlotFilter(**query),
            min_seats=min_seats,
            after=read_position(cursors, cursor, SlotPosition),
            limit=limit,
        )
        return page_response(page, _slot_out, limit=limit, cursors=cursors, parts_of=write_position)

    @blueprint.get("/<slot_id>")
    @allow(Access.ALL)
    def get_slot(slot_id: str) -> Response:
        read_query(_no_query)
        return slot_response(slots.get_slot(read_path_id(slot_id, SlotNotFound)))

    return blueprint


def slot_response(slot: Slot, *, status: int = 200, location: str | None = None) -> Response:
    """Return one slot, with its version as ``ETag``."""
    headers = {"ETag": f'"{slot.version}"'}
    if location:
        headers["Location"] = public_path(request.root_path, location)
    return data_response(_slot_out.dump(slot), status=status, headers=headers)
