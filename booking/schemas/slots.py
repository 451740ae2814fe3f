"""Slots, as they come in and go out."""

from __future__ import annotations

from marshmallow import Schema, fields

from booking.models import SlotStatus
from booking.schemas.fields import Choice, Integer, Name, QueryInteger, Text, Timestamp, Uuid
from booking.schemas.out import OutSchema
from booking.schemas.pagination import ListQuery

MAX_CAPACITY = 1_000_000
MAX_DURATION_MINUTES = 10_080


class SlotOut(OutSchema):
    """A slot as it is shown."""

    shown_if_set = frozenset({"max_seats_per_user"})

    id = Uuid()
    doctor_name = Text()
    specialization = Text(minimum=0, allow_none=True)
    start_time = Timestamp()
    duration_minutes = Integer(1, MAX_DURATION_MINUTES, allow_none=True)
    total_capacity = Integer(1, MAX_CAPACITY)
    remaining_capacity = Integer(0, MAX_CAPACITY)
    max_seats_per_user = Integer(1, MAX_CAPACITY)
    status = Choice(SlotStatus)
    version = fields.Integer()
    created_at = Timestamp()
    updated_at = Timestamp()


class SlotCreate(Schema):
    """The body that opens a slot."""

    doctor_name = Name(required=True)
    specialization = Name(minimum=0, allow_none=True)
    start_time = Timestamp(required=True)
    duration_minutes = Integer(1, MAX_DURATION_MINUTES, allow_none=True)
    total_capacity = Integer(1, MAX_CAPACITY, required=True)
    max_seats_per_user = Integer(1, MAX_CAPACITY, allow_none=True)


class SlotChange(Schema):
    """The body that changes a slot; what is left out stays."""

    doctor_name = Name()
    specialization = Name(minimum=0, allow_none=True)
    start_time = Timestamp()
    duration_minutes = Integer(1, MAX_DURATION_MINUTES, allow_none=True)
    total_capacity = Integer(1, MAX_CAPACITY)
    max_seats_per_user = Integer(1, MAX_CAPACITY, allow_none=True)
    status = Choice(SlotStatus)


class SlotListQuery(ListQuery):
    """The filters that both lists of slots have."""

    doctor_name = Text()
    specialization = Text()
    starts_from = Timestamp(data_key="from")
    starts_before = Timestamp(data_key="to")


class AdminSlotListQuery(SlotListQuery):
    """The query of the list of all slots."""

    status = Choice(SlotStatus)


class PublicSlotListQuery(SlotListQuery):
    """The query of the list of what can be booked."""

    min_seats = QueryInteger(1, MAX_CAPACITY, load_default=1)
