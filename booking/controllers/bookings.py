"""Bookings, as their users make and see them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from booking.controllers.callers import check_named_user, required_of
from booking.controllers.pagination import Cursors, page_response, read_position, write_position
from booking.controllers.parsing import (
    read_idempotency_key,
    read_no_body,
    read_object,
    read_path_id,
    read_query,
)
from booking.controllers.responses import data_response, public_path
from booking.errors import BookingNotFound
from booking.middleware.authentication import Access, allow, current_caller
from booking.models import Booking, BookingPosition, SeatRequest
from booking.schemas.bookings import BookingCreate, BookingEventOut, BookingListQuery, BookingOut
from booking.schemas.loading import load
from booking.schemas.pagination import ListQuery, NoBody, NoQuery
from booking.services.booking.service import BookingService
from booking.services.pagination import CursorKey

_no_query = NoQuery()
_no_body = NoBody()
_create = BookingCreate()
_list_query = BookingListQuery()
_events_query = ListQuery()
_booking_out = BookingOut()
_event_out = BookingEventOut()


def create_blueprint(bookings: BookingService, cursor_key: CursorKey) -> Blueprint:
    """Return the routes under ``/api/bookings``."""
    blueprint = Blueprint("bookings", __name__, url_prefix="/api/bookings")

    @blueprint.post("")
    @allow(Access.USER)
    def book_seats() -> Response:
        body = read_object()
        caller = current_caller()
        check_named_user(caller, body.get("user_id"))
        read_query(_no_query)
        key = read_idempotency_key()
        fields = load(_create, body, required=required_of(caller))
        user_id = fields.pop("user_id", caller.user_id)
        booked = bookings.book_seats(SeatRequest(user_id=user_id, idempotency_key=key, **fields))
        path = f"{blueprint.url_prefix}/{booked.booking.id}"
        headers = {"Location": public_path(request.root_path, path)}
        if booked.is_replay:
            headers["Idempotency-Replayed"] = "true"
        return data_response(_booking_out.dump(booked.booking), status=201, headers=headers)

    @blueprint.get("")
    @allow(Access.USER)
    def list_own_bookings() -> Response:
        caller = current_caller()
        check_named_user(caller, request.args.get("user_id"))
        query = read_query(_list_query, required=required_of(caller))
        query.setdefault("user_id", caller.user_id)
        return list_response(bookings, cursor_key, query)

    @blueprint.get("/<booking_id>")
    @allow(Access.USER)
    def get_booking(booking_id: str) -> Response:
        read_query(_no_query)
        path_id = read_path_id(booking_id, BookingNotFound)
        return _one(bookings.get_booking(path_id, current_caller().owner))

    @blueprint.post("/<booking_id>/confirm")
    @allow(Access.USER)
    def confirm_booking(booking_id: str) -> Response:
        read_query(_no_query)
        read_no_body(_no_body)
        path_id = read_path_id(booking_id, BookingNotFound)
        return _one(bookings.confirm_booking(path_id, current_caller().owner))

    @blueprint.post("/<booking_id>/cancel")
    @allow(Access.USER)
    def cancel_booking(booking_id: str) -> Response:
        read_query(_no_query)
        read_no_body(_no_body)
        path_id = read_path_id(booking_id, BookingNotFound)
        return _one(bookings.cancel_booking(path_id, current_caller().owner))

    @blueprint.get("/<booking_id>/events")
    @allow(Access.USER)
    def list_events(booking_id: str) -> Response:
        query = read_query(_events_query)
        path_id = read_path_id(booking_id, BookingNotFound)
        cursors = Cursors(cursor_key.get(), {})
        cursor = query.get("cursor")
        page = bookings.list_events(
            path_id,
            current_caller().owner,
            after_id=cursors.read(cursor)[0] if cursor else None,
            limit=query["limit"],
        )
        return page_response(
            page,
            _event_out,
            limit=query["limit"],
            cursors=cursors,
            parts_of=lambda event_id: [event_id],
        )

    return blueprint


def list_response(
    bookings: BookingService, cursor_key: CursorKey, query: dict[str, Any]
) -> Response:
    """Return the page of bookings that a loaded BookingListQuery asks for."""
    limit, cursor = query.pop("limit"), query.pop("cursor", None)
    cursors = Cursors(cursor_key.get(), query)
    page = bookings.list_bookings(
        user_id=query.get("user_id"),
        slot_id=query.get("slot_id"),
        status=query.get("status"),
        before=read_position(cursors, cursor, BookingPosition),
        limit=limit,
    )
    return page_response(page, _booking_out, limit=limit, cursors=cursors, parts_of=write_position)


def _one(booking: Booking) -> Response:
    return data_response(_booking_out.dump(booking))
