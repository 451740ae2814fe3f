"""Lists: reads a cursor, and answers with a page and the way to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import astuple
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Response, request
from itsdangerous import BadData, URLSafeSerializer
from marshmallow import Schema

from booking.controllers.responses import data_response, public_path
from booking.errors import InvalidInput
from booking.middleware.target import public_host
from booking.models import BookingPosition, SlotPosition
from booking.services.pagination import Page

Row = TypeVar("Row")
Position = TypeVar("Position", SlotPosition, BookingPosition)


class Cursors:
    """The cursors of one list with one set of filters: signed, so that no other passes for one."""

    def __init__(self, secret: bytes, scope: Mapping[str, Any]) -> None:
        filters = {name: str(value) for name, value in scope.items()}
        self._serializer = URLSafeSerializer(
            secret,
            salt=f"{request.path.lower()}?{urlencode(sorted(filters.items()))}",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )

    def read(self, cursor: str) -> list[Any]:
        """Return what a cursor of this list holds. Raises InvalidInput for any other text."""
        try:
            parts: list[Any] = self._serializer.loads(cursor)
        except BadData:
            raise self._refusal() from None
        # Base64 spells the same bytes in more than one way.
        if self._serializer.dumps(parts) != cursor:
            raise self._refusal()
        return parts

    def write(self, parts: list[Any]) -> str:
        """Return the cursor that holds ``parts``."""
        return str(self._serializer.dumps(parts))

    @staticmethod
    def _refusal() -> InvalidInput:
        return InvalidInput.of("cursor", "Not a cursor of this list with these filters.")


def read_position(cursors: Cursors, cursor: str | None, kind: type[Position]) -> Position | None:
    """Return where a list goes on: a moment and an id; None at its beginning."""
    if cursor is None:
        return None
    moment, row_id = cursors.read(cursor)
    return kind(datetime.fromisoformat(moment), row_id)


def write_position(position: SlotPosition | BookingPosition) -> list[Any]:
    """Return the parts of a position, as read_position takes them."""
    moment, row_id = astuple(position)
    return [moment.isoformat(), row_id]


def page_response(
    page: Page[Row, Any],
    schema: Schema,
    *,
    limit: int,
    cursors: Cursors,
    parts_of: Callable[[Any], list[Any]],
) -> Response:
    """Return a page, with ``meta.next_cursor`` and a ``Link`` to the next (RFC 8288)."""
    headers = {}
    next_cursor = None
    if page.next_position is not None:
        next_cursor = cursors.write(parts_of(page.next_position))
        query = urlencode({**request.args.to_dict(), "cursor": next_cursor})
        # request.base_url would decode a host in Punycode into what no header can carry.
        path = public_path(request.root_path, request.path)
        address = f"{request.scheme}://{public_host()}{path}"
        headers["Link"] = f'<{address}?{query}>; rel="next"'
    return data_response(
        schema.dump(page.rows, many=True),
        meta={"next_cursor": next_cursor, "limit": limit},
        headers=headers,
    )
