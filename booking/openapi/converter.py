"""Turns the marshmallow schemas that validate into JSON Schema (2020-12, as OpenAPI 3.1 has it)."""

from __future__ import annotations

import inspect
from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import get_fields, resolve_schema_instance
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from booking.models import INVISIBLE_IN_BMP
from booking.openapi.descriptions import describe
from booking.schemas.fields import Name, Text, Timestamp, Uuid

# By the project's naming: a schema of this ending goes out, every other comes in.
OUTPUT_SUFFIX = "Out"
_NO_NUL = "^[^\\u0000]*$"
_NAME = rf"^[^\u0000]*[^{INVISIBLE_IN_BMP}][^\u0000]*$"


class Converter(OpenAPIConverter):
    """apispec's converter, with this project's fields and the difference between in and out."""

    field_mapping = {  # noqa: RUF012 (apispec's own way)
        **OpenAPIConverter.field_mapping,
        Uuid: ("string", "uuid"),
        Timestamp: ("string", "date-time"),
    }

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        """Return the schema. What goes out has every field, but for those that are shown if they
        are set; what comes in has no other.
        """
        instance = resolve_schema_instance(schema)
        jsonschema: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call] # apispec's own
        if is_output(instance):
            jsonschema.pop("additionalProperties", None)
            jsonschema["required"] = [
                field.data_key or name
                for name, field in get_fields(instance).items()
                if name not in getattr(instance, "shown_if_set", ())
            ]
        return {"description": _first_sentence(instance), **jsonschema}

    def field2property(self, field: fields.Field[Any]) -> dict[str, Any]:
        """Return a field's schema, with the sentence that says what it is."""
        prop: dict[str, Any] = super().field2property(field)
        schema = field.parent
        if isinstance(schema, Schema):
            prop["description"] = describe(type(schema), field.data_key or field.name or "")
        if isinstance(field, Text) and not is_output(schema):
            prop["pattern"] = _NO_NUL
        if isinstance(field, Name) and not is_output(schema):
            prop["pattern"] = _NAME if prop["minLength"] else f"^$|{_NAME}"
        return prop


class Plugin(MarshmallowPlugin):
    """apispec's plugin with this project's converter."""

    Converter = Converter

    def __init__(self) -> None:
        super().__init__(schema_name_resolver=_name)


def is_output(schema: Any) -> bool:
    """Tell whether a schema describes what goes out."""
    return type(schema).__name__.endswith(OUTPUT_SUFFIX)


def _name(schema: Any) -> str:
    return type(resolve_schema_instance(schema)).__name__.removesuffix(OUTPUT_SUFFIX)


def _first_sentence(schema: Schema) -> str:
    text = " ".join((inspect.getdoc(type(schema)) or "").split())
    return text.partition(". ")[0].removesuffix(".") + "."
