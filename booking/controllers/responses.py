"""The one shape of a success, ``{"data": …, "meta": {…}}``, and what answers are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from flask import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import Headers

JSON_TYPE = "application/json"


class WholeResponse(Response):
    """A response whose headers are whole when it is made: its body is bytes, so Content-Length is
    among them, and a Location is a path in ASCII.
    """

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:  # noqa: ARG002 (werkzeug's)
        """Return the headers: werkzeug would look in a copy of them for what is missing."""
        return self.headers


def to_json(value: Any) -> bytes:
    """Return UTF-8 JSON; aware times become RFC 3339 in UTC with a Z."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def public_path(prefix: str, path: str) -> str:
    """Return a path of this application as its clients ask for it, percent-encoded: behind the
    ``prefix`` that a proxy took off, which comes from outside and names no host for that.
    """
    prefix = prefix.strip("/")
    return (f"/{quote(prefix, safe='/%')}" if prefix else "") + quote(path)


def data_response(
    data: Any,
    *,
    status: int = 200,
    meta: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a success that carries ``data``."""
    return WholeResponse(
        to_json({"data": data, "meta": meta or {}}),
        status=status,
        headers=headers,
        content_type=JSON_TYPE,
    )
