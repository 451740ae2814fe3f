"""What all that goes out has in common."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema


class OutSchema(Schema):
    """The attributes of an object that are shown."""

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return one of them: marshmallow would look first whether the object is a mapping."""
        return getattr(obj, attr, default)
