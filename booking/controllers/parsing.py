"""Reads what a request carries: body, query, path and headers, each by its rule."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from flask import Flask, request
from gunicorn.http.errors import NoMoreData, ParseException
from marshmallow import Schema
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType

from booking.errors import (
    DomainError,
    FieldError,
    IdempotencyKeyInvalid,
    InvalidInput,
    MalformedRequest,
    VersionMismatch,
)
from booking.schemas.fields import parse_uuid
from booking.schemas.loading import load

MAX_BODY_BYTES = 64 * 1024
# No body of this API nests at all; this leaves room for what a client may grow into.
MAX_DEPTH = 32
MAX_KEY_LENGTH = 255
MAX_INTEGER_DIGITS = 1000

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
# RFC 8941, section 3.3.3: a string in quotes, in which a quote or a backslash is escaped.
_QUOTED_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_JSON = re.compile(r"application/(?:[a-z0-9.!#$&^_-]+\+)?json", re.IGNORECASE)
_ENTITY_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*')


class _UnsupportedCoding(UnsupportedMediaType):
    description = "The body must be sent as it is: no Content-Encoding is taken."

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the headers, with the codings that are taken (RFC 9110, section 15.5.16)."""
        return [*super().get_headers(*args, **kwargs), ("Accept-Encoding", "identity")]


def init_app(app: Flask) -> None:
    """Refuse bodies that say that they are over the limit, and queries that are not UTF-8, read or
    not.
    """

    @app.before_request
    def refuse_unread() -> None:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge
        if not request.query_string:
            return
        try:
            unquote_to_bytes(request.query_string).decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedRequest("The query must be UTF-8, percent-encoded.") from error


def read_object() -> dict[str, Any]:
    """Return the body's one JSON object.

    Raises MalformedRequest, and werkzeug's 413 and 415.
    """
    return _object_of(_parse_body(_read_bytes()))


def read_body(schema: Schema) -> dict[str, Any]:
    """Return the fields of the body. Raises as read_object, and InvalidInput."""
    return load(schema, read_object())


def read_no_body(schema: Schema) -> None:
    """Check that nothing was sent, null, or an object of which the schema knows no field."""
    body = _read_bytes()
    if body and (parsed := _parse_body(body)) is not None:
        load(schema, _object_of(parsed))


def read_query(schema: Schema, *, required: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields of the query string, the ``required`` ones at least.

    Raises InvalidInput, for a repeated field too.
    """
    if not request.query_string and not schema.fields:
        return {}
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise InvalidInput(FieldError(name, "May be given once only.") for name in repeated)
    return load(schema, request.args.to_dict(), required=required)


def read_path_id(text: str, absent: type[DomainError]) -> str:
    """Return an id of the path in lower case; one that is no UUID names nothing: ``absent``."""
    parsed = parse_uuid(text)
    if parsed is None:
        raise absent
    return parsed


def read_idempotency_key() -> str | None:
    """Return the key, without the quotes that it may stand in. Raises IdempotencyKeyInvalid."""
    sent = request.headers.get("Idempotency-Key")
    if sent is None:
        return None
    key = sent
    if sent.startswith('"'):
        quoted = _QUOTED_STRING.fullmatch(sent)
        if not quoted:
            raise IdempotencyKeyInvalid
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if len(key) > MAX_KEY_LENGTH or not _VISIBLE_ASCII.fullmatch(key):
        raise IdempotencyKeyInvalid
    return key


def read_if_match() -> Callable[[int], bool] | None:
    """Return the condition that ``If-Match`` sets on a version, None without one.

    Compared strongly (RFC 9110, sections 8.8.3.2 and 13.1.1): a weak tag matches nothing, nor does
    what is no tag. The condition raises VersionMismatch itself where a weak tag alone names the
    version: there nothing has changed but the tag, on its way through a proxy.
    """
    sent = request.headers.get("If-Match")
    if sent is None:
        return None
    if sent.strip() == "*":
        return lambda _version: True
    strong: set[str] = set()
    weak: set[str] = set()
    for match in filter(None, map(_ENTITY_TAG.fullmatch, _split_tags(sent))):
        (weak if match[1] else strong).add(match[2])

    def is_expected(version: int) -> bool:
        if str(version) in weak - strong:
            raise VersionMismatch(
                "The slot has not changed: If-Match names its version by the weak tag"
                f' W/"{version}", which matches nothing (RFC 9110, section 13.1.1). A proxy that'
                f' compresses answers makes their tags weak. Send "{version}", the slot\'s version'
                " in quotes."
            )
        return str(version) in strong

    return is_expected


def _read_bytes() -> bytes:
    try:
        # One byte more than is taken: a body in chunks does not say how long it is.
        body = request.stream.read(MAX_BODY_BYTES + 1)
    except (ParseException, NoMoreData) as error:
        # gunicorn reads the chunks of a body as they are asked for, and so finds one that is none.
        raise MalformedRequest("The chunks of the request body cannot be read.") from error
    except OSError as error:
        raise ClientDisconnected from error
    if len(body) < (request.content_length or 0):
        # Incomplete, whatever it looks like (RFC 9112, section 8).
        raise ClientDisconnected
    if len(body) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    return body


def _parse_body(body: bytes) -> Any:
    codings = request.headers.get("Content-Encoding", "").lower().split(",")
    if body and any(coding.strip() not in {"", "identity"} for coding in codings):
        raise _UnsupportedCoding
    content_type = request.headers.get("Content-Type", "")
    if (body or content_type) and not _is_json(content_type):
        raise UnsupportedMediaType("The Content-Type must be application/json.")
    return _parse_json(body)


def _object_of(parsed: Any) -> dict[str, Any]:
    if not isinstance(parsed, dict):
        raise MalformedRequest("The request body must be a JSON object.")
    return parsed


def _split_tags(value: str) -> list[str]:
    # A comma may stand within a tag's quotes.
    return re.findall(r'(?:[^,"]|"[^"]*"?)+', value)


def _is_json(content_type: str) -> bool:
    media_type, _, parameters = content_type.partition(";")
    if not _JSON.fullmatch(media_type.strip()):
        return False
    charset = re.search(r'charset\s*=\s*"?([^";\s]+)', parameters, re.IGNORECASE)
    return charset is None or charset[1].lower() in {"utf-8", "utf8", "us-ascii"}


def _parse_json(body: bytes) -> Any:
    try:
        # A byte order mark before the text is passed over (RFC 8259, section 8.1).
        text = body.decode("utf-8-sig")
        parsed = _json_decoder.decode(text)
        _check_depth(parsed)
        if "\\u" in text:
            # An escape may name half of a surrogate pair, which no UTF-8 can hold.
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise MalformedRequest from error
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise MalformedRequest("The request body names a field twice.")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedRequest(f"{name} is not JSON.")


def _parse_integer(digits: str) -> int | float:
    # Python refuses to read longer ones into an int. No field takes either: all are far smaller.
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)


def _check_depth(parsed: Any) -> None:
    level = [parsed]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise MalformedRequest("The request body is nested too deeply.")


def _children(value: Any) -> list[Any]:
    containers = (dict, list)
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, containers)]
    if isinstance(value, list):
        return [child for child in value if isinstance(child, containers)]
    return []


_json_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_parse_integer, parse_constant=_refuse_constant
)
