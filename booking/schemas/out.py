"""What all that goes out has in common."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import Schema, missing


class OutSchema(Schema):
    """The attributes of an object that are shown; those ``shown_if_set`` only where not None."""

    shown_if_set: ClassVar[frozenset[str]] = frozenset()

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return one of them: marshmallow would look first whether the object is a mapping."""
        value = getattr(obj, attr, default)
        return missing if value is None and attr in self.shown_if_set else value
