"""The one shape of a success: ``{"data": …, "meta": {…}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response

JSON_TYPE = "application/json"


def to_json(value: Any) -> bytes:
    """Return UTF-8 JSON; aware times become RFC 3339 in UTC with a Z."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def data_response(
    data: Any,
    *,
    status: int = 200,
    meta: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a success that carries ``data``."""
    return Response(
        to_json({"data": data, "meta": meta or {}}),
        status=status,
        headers=dict(headers or {}),
        mimetype=JSON_TYPE,
    )
