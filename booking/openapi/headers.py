"""The headers of requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from booking.controllers.parsing import MAX_KEY_LENGTH

# Visible ASCII, bare or as a quoted string (RFC 8941, section 3.3.3).
_KEY_PATTERN = (
    rf"^([!#-~][!-~]{{0,{MAX_KEY_LENGTH - 1}}}"
    rf'|"([!#-\[\]-~]|\\[\\"]){{1,{MAX_KEY_LENGTH}}}")$'
)

REQUEST_HEADERS: Mapping[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": (
            "An id of your own for this request, 1 to 128 characters of `A-Za-z0-9._-`: it comes "
            "back on the answer and stands in the server's log. Left out or unfit, one is made."
        ),
        "schema": {"type": "string"},
    },
    "Idempotency-Key": {
        "description": (
            "Makes it safe to send the request again: 1 to 255 visible ASCII characters, bare or "
            "as a quoted string, in one header. Make a new one for each booking that you want, a "
            "UUID say, and keep it for the repeats."
        ),
        "schema": {"type": "string", "pattern": _KEY_PATTERN},
    },
    "If-Match": {
        "description": (
            'The `ETag` that you have read, like `"4"`: it is done only if the slot is '
            "still of this version (RFC 9110, section 13.1.1). A list of tags and `*` are "
            'understood. A weak tag, `W/"4"`, matches nothing: a proxy that compresses has made it '
            "one; send the slot's `version` in quotes."
        ),
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "description": "The `ETag` that you have: 304 without a body where it is still the same.",
        "schema": {"type": "string"},
    },
}

RESPONSE_HEADERS: Mapping[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The request's id: yours, or one that was made.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "ETag": {
        "description": (
            "The version of what is answered; of a slot its `version` in quotes, to be sent back "
            "as `If-Match`."
        ),
        "schema": {"type": "string", "pattern": '^"[^"]+"$'},
    },
    "Cache-Control": {
        "description": "Keep it, and ask with `If-None-Match` whether it is still the same.",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "The path of what was made.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": 'The address of the next page, as `<…>; rel="next"`; not on the last page.',
        "schema": {"type": "string", "pattern": '^<[^>]+>; rel="next"$'},
    },
    "Idempotency-Replayed": {
        "description": "On a repeat only: the booking is that of an earlier request with this key.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the same request is sent again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "The way to authenticate (RFC 6750).",
        "schema": {"type": "string", "pattern": "^Bearer"},
    },
    "Accept-Encoding": {
        "description": "Where the body had a `Content-Encoding`: those that are taken.",
        "schema": {"type": "string", "const": "identity"},
    },
    "Allow": {
        "description": "The methods that the path knows.",
        "schema": {"type": "string"},
    },
}


def response_header(name: str, *, required: bool) -> dict[str, Any]:
    """Return a header of an answer; ``required`` where it is always there."""
    return {**RESPONSE_HEADERS[name], "required": required}
