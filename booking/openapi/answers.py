"""The shapes of answers that controllers put together without a schema of ``booking.schemas``."""

from __future__ import annotations

from marshmallow import Schema, fields
from marshmallow.validate import Equal, Length, Range

from booking.errors import MAX_TOLD_FAULTS
from booking.schemas.fields import Integer
from booking.schemas.pagination import MAX_LIMIT
from booking.schemas.slots import MAX_CAPACITY


class PageMetaOut(Schema):
    """Where a list goes on."""

    next_cursor = fields.String(allow_none=True)
    limit = Integer(1, MAX_LIMIT)


class HealthOut(Schema):
    """That the process lives."""

    status = fields.String(validate=Equal("ok"))


class ReadinessOut(Schema):
    """That bookings can be served."""

    status = fields.String(validate=Equal("ready"))


class ExpiredOut(Schema):
    """What a sweep of lapsed holds did."""

    expired = fields.Integer(validate=Range(min=0))
    seats_restored = fields.Integer(validate=Range(min=0))


class AuditCheckOut(Schema):
    """One invariant, and how often the data break it."""

    name = fields.String()
    violations = fields.Integer(validate=Range(min=0))


class AuditOut(Schema):
    """What the data say of the promises."""

    healthy = fields.Boolean()
    checks = fields.List(fields.Nested(AuditCheckOut))


class FieldErrorOut(Schema):
    """One field and the rule that it breaks."""

    field = fields.String()
    message = fields.String()


class ProblemOut(Schema):
    """An error, as RFC 9457 has it, with members of this API: code, request_id and retryable."""

    type = fields.String()
    title = fields.String()
    status = Integer(400, 599)
    detail = fields.String()
    instance = fields.String()
    code = fields.String()
    request_id = fields.String()
    retryable = fields.Boolean()


class ValidationProblemOut(ProblemOut):
    """The error of a request that is well-formed but breaks the rules of its fields."""

    errors = fields.List(fields.Nested(FieldErrorOut), validate=Length(1, MAX_TOLD_FAULTS))


class SlotFullProblemOut(ProblemOut):
    """The error of a slot with fewer seats left than were asked for."""

    remaining_capacity = Integer(0, MAX_CAPACITY)


class CapacityBelowBookedProblemOut(ProblemOut):
    """The error of a capacity that is less than the seats that are taken."""

    booked = Integer(1, MAX_CAPACITY)


class UserSeatLimitProblemOut(ProblemOut):
    """The error of a user who asks for more seats of a slot than one user may have."""

    max_seats_per_user = Integer(1, MAX_CAPACITY)
