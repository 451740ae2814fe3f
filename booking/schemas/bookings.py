"""Bookings and their events, as they come in and go out."""

from __future__ import annotations

from marshmallow import Schema, fields
from marshmallow.validate import Equal

from booking.models import BookingStatus, EventType
from booking.schemas.fields import Boolean, Choice, Integer, Name, Text, Timestamp, Uuid
from booking.schemas.out import OutSchema
from booking.schemas.pagination import ListQuery

MAX_SEATS = 1000


class BookingOut(OutSchema):
    """A booking as it is shown."""

    id = Uuid()
    slot_id = Uuid()
    user_id = Text()
    num_seats = Integer(1, MAX_SEATS)
    status = Choice(BookingStatus)
    failure_reason = fields.String(validate=Equal("EXPIRED"), allow_none=True)
    expires_at = Timestamp(allow_none=True)
    created_at = Timestamp()
    updated_at = Timestamp()


class BookingEventOut(OutSchema):
    """One change in a booking's history."""

    type = Choice(EventType)
    from_status = Choice(BookingStatus, data_key="from", allow_none=True)
    to_status = Choice(BookingStatus, data_key="to")
    seats = Integer(0, MAX_SEATS)
    at = Timestamp()


class BookingCreate(Schema):
    """The body that books or holds seats. Whether user_id may be left out, the caller decides."""

    slot_id = Uuid(required=True)
    user_id = Name()
    num_seats = Integer(1, MAX_SEATS, required=True)
    hold = Boolean(load_default=False)


class BookingListQuery(ListQuery):
    """The query of both lists of bookings."""

    slot_id = Uuid()
    user_id = Text()
    status = Choice(BookingStatus)
