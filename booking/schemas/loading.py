"""Loads data with a schema and tells what is wrong with it, field by field."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from marshmallow import Schema, ValidationError

from booking.errors import MAX_TOLD_FAULTS, FieldError, InvalidInput

MISSING = "Missing data for required field."


def load(
    schema: Schema, data: Mapping[str, Any], *, required: Collection[str] = ()
) -> dict[str, Any]:
    """Return the loaded fields; those that are ``required`` must be there whatever the schema says.

    Raises InvalidInput, which names each faulty field and its rule.
    """
    missing = [FieldError(name, MISSING) for name in required if name not in data]
    try:
        loaded: dict[str, Any] = schema.load(_with_few_unknown(schema, data))
    except ValidationError as error:
        raise InvalidInput(chain(missing, _flatten(error.messages_dict))) from error
    if missing:
        raise InvalidInput(missing)
    return loaded


def _with_few_unknown(schema: Schema, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the data without the unknown names beyond those that are told: each costs the schema
    more than it costs to send.
    """
    if len(data) <= MAX_TOLD_FAULTS:
        return data
    known = {field.data_key or name for name, field in schema.load_fields.items()}
    unknown = islice((name for name in data if name not in known), MAX_TOLD_FAULTS + 1)
    return {name: data[name] for name in chain(known & data.keys(), unknown)}


def _flatten(messages: Mapping[Any, Any], path: str = "") -> Iterator[FieldError]:
    for name, value in messages.items():
        field = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping):
            yield from _flatten(value, field)
        else:
            for message in value:
                yield FieldError(field, str(message))
