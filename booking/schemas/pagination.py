"""What every list takes."""

from __future__ import annotations

from marshmallow import Schema

from booking.schemas.fields import QueryInteger, Text

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR_LENGTH = 1000


class NoQuery(Schema):
    """The query of a route that takes none: whatever is sent is refused."""


class NoBody(Schema):
    """The body of a route that needs none: nothing, or an empty object."""


class ListQuery(Schema):
    """How many rows, and from where on."""

    limit = QueryInteger(1, MAX_LIMIT, load_default=DEFAULT_LIMIT)
    cursor = Text(maximum=MAX_CURSOR_LENGTH)
