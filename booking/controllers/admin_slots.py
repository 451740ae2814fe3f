"""Slots, as their admins make and change them."""

from __future__ import annotations

from flask import Blueprint, Response

from booking.controllers.pagination import Cursors, page_response, read_position, write_position
from booking.controllers.parsing import read_body, read_if_match, read_path_id, read_query
from booking.controllers.slots import slot_response
from booking.errors import SlotNotFound
from booking.middleware.authentication import Access, allow
from booking.models import SlotFilter, SlotPosition
from booking.schemas.pagination import NoQuery
from booking.schemas.slots import AdminSlotListQuery, SlotChange, SlotCreate, SlotOut
from booking.services.pagination import CursorKey
from booking.services.slots import SlotChanges, SlotService

_no_query = NoQuery()
_list_query = AdminSlotListQuery()
_create = SlotCreate()
_change = SlotChange()
_slot_out = SlotOut()


def create_blueprint(slots: SlotService, cursor_key: CursorKey) -> Blueprint:
    """Return the routes under ``/api/admin/slots``."""
    blueprint = Blueprint("admin_slots", __name__, url_prefix="/api/admin/slots")

    @blueprint.post("")
    @allow(Access.ADMIN)
    def create_slot() -> Response:
        read_query(_no_query)
        slot = slots.create_slot(**read_body(_create))
        return slot_response(slot, status=201, location=f"{blueprint.url_prefix}/{slot.id}")

    @blueprint.get("")
    @allow(Access.ADMIN)
    def list_slots() -> Response:
        query = read_query(_list_query)
        limit, cursor = query.pop("limit"), query.pop("cursor", None)
        cursors = Cursors(cursor_key.get(), query)
        status = query.pop("status", None)
        page = slots.list_slots(
            SlotFilter(**query),
            status=status,
            after=read_position(cursors, cursor, SlotPosition),
            limit=limit,
        )
        return page_response(page, _slot_out, limit=limit, cursors=cursors, parts_of=write_position)

    @blueprint.get("/<slot_id>")
    @allow(Access.ADMIN)
    def get_slot(slot_id: str) -> Response:
        read_query(_no_query)
        return slot_response(slots.get_slot(read_path_id(slot_id, SlotNotFound)))

    @blueprint.patch("/<slot_id>")
    @allow(Access.ADMIN)
    def change_slot(slot_id: str) -> Response:
        read_query(_no_query)
        path_id = read_path_id(slot_id, SlotNotFound)
        changes = SlotChanges(**read_body(_change))  # type: ignore[typeddict-item] # the schema made it
        return slot_response(slots.change_slot(path_id, changes, read_if_match()))

    @blueprint.delete("/<slot_id>")
    @allow(Access.ADMIN)
    def delete_slot(slot_id: str) -> Response:
        read_query(_no_query)
        slots.delete_slot(read_path_id(slot_id, SlotNotFound), read_if_match())
        response = Response(status=204)
        del response.headers["Content-Type"]
        return response

    return blueprint
