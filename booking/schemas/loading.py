"""Loads data with a schema and tells what is wrong with it, field by field."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from booking.errors import FieldError, InvalidInput

MISSING = "Missing data for required field."


def load(
    schema: Schema, data: Mapping[str, Any], *, required: Collection[str] = ()
) -> dict[str, Any]:
    """Return the loaded fields; those that are ``required`` must be there whatever the schema says.

    Raises InvalidInput, which names each faulty field and its rule.
    """
    missing = [FieldError(name, MISSING) for name in required if name not in data]
    try:
        loaded: dict[str, Any] = schema.load(data)
    except ValidationError as error:
        raise InvalidInput([*_flatten(error.messages_dict), *missing]) from error
    if missing:
        raise InvalidInput(missing)
    return loaded


def _flatten(messages: Mapping[Any, Any], path: str = "") -> Iterator[FieldError]:
    for name, value in messages.items():
        field = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping):
            yield from _flatten(value, field)
        else:
            for message in value:
                yield FieldError(field, str(message))
