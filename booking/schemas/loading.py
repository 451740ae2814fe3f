"""Loads data with a schema and tells what is wrong with it, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from booking.errors import FieldError, InvalidInput


def load(schema: Schema, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the loaded fields. Raises InvalidInput, which names each faulty field and its rule."""
    try:
        loaded: dict[str, Any] = schema.load(data)
    except ValidationError as error:
        messages = error.messages_dict
        raise InvalidInput(list(_flatten(messages))) from error
    return loaded


def _flatten(messages: Mapping[Any, Any], path: str = "") -> Iterator[FieldError]:
    for name, value in messages.items():
        field = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping):
            yield from _flatten(value, field)
        else:
            for message in value:
                yield FieldError(field, str(message))
