"""Fields that take exactly what the contract says: nothing is coerced, rounded or guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import fields
from marshmallow.validate import Length, OneOf, Range

from booking.models import MAX_NAME_LENGTH, is_visible

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DECIMAL = re.compile(r"-?[0-9]{1,18}")
# RFC 3339, section 5.6, with the offset that it requires.
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-5][0-9])"
)


def parse_uuid(text: str) -> str | None:
    """Return a UUID in lower case, or None where the text is not one in its usual form."""
    return text.lower() if _UUID.fullmatch(text) else None


class Integer(fields.Integer):
    """A JSON number without a fraction; ``true`` and ``"2"`` are none."""

    def __init__(self, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(validate=Range(minimum, maximum), **kwargs)

    def _validated(self, value: Any) -> int:
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        return value


class QueryInteger(Integer):
    """A whole number in the text of a query string."""

    def _validated(self, value: Any) -> int:
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            raise self.make_error("invalid", input=value)
        return int(value)


class Boolean(fields.Boolean):
    """JSON's ``true`` or ``false``, and nothing that is like them."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Text(fields.String):
    """Text that PostgreSQL can hold: no NUL."""

    def __init__(self, minimum: int = 1, maximum: int = MAX_NAME_LENGTH, **kwargs: Any) -> None:
        super().__init__(validate=Length(minimum, maximum), **kwargs)

    default_error_messages = {"nul": "Must not contain the character U+0000."}  # noqa: RUF012 (marshmallow's own way)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if "\x00" in text:
            raise self.make_error("nul")
        return text


class Name(Text):
    """What somebody or something is called: a text that shows at least one character, or is empty
    where it may be.
    """

    default_error_messages = {"invisible": "Must contain a visible character."}  # noqa: RUF012 (marshmallow's own way)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        name = super()._deserialize(value, attr, data, **kwargs)
        if name and not is_visible(name):
            raise self.make_error("invisible")
        return name


class Choice(fields.String):
    """One of a few words, to the letter."""

    def __init__(self, choices: Any, **kwargs: Any) -> None:
        self.enum = choices
        super().__init__(validate=OneOf([choice.value for choice in choices]), **kwargs)

    def deserialize(
        self,
        value: Any,
        attr: str | None = None,
        data: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the member of the enumeration."""
        word = super().deserialize(value, attr, data, **kwargs)
        return self.enum(word) if isinstance(word, str) else word


class Uuid(fields.String):
    """A UUID in its usual form, given back in lower case."""

    default_error_messages = {"invalid": "Not a UUID."}  # noqa: RUF012 (marshmallow's own way)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        parsed = parse_uuid(value) if isinstance(value, str) else None
        if parsed is None:
            raise self.make_error("invalid")
        return parsed


class Timestamp(fields.Field[datetime]):
    """A moment: RFC 3339 with an offset comes in, an aware time in UTC goes on."""

    default_error_messages = {  # noqa: RUF012 (marshmallow's own way)
        "invalid": "Must be an RFC 3339 time with an offset, like 2030-01-31T09:30:00Z.",
        "range": "Must lie in the years 0001 to 9999 in UTC.",
    }

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        # The JSON writer knows times, and writes them in UTC with a Z.
        return value

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> datetime:
        if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
            raise self.make_error("invalid")
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except OverflowError:
            raise self.make_error("range") from None
        except ValueError:
            raise self.make_error("invalid") from None
