"""Whose bookings a request is about: the token's user, or the one it names."""

from __future__ import annotations

from typing import Any

from booking.errors import Forbidden, InvalidInput
from booking.middleware.authentication import Caller

REQUIRED = "Missing data for required field."


def check_named_user(caller: Caller, named: Any) -> None:
    """Refuse a user who names another, before anything else of the request is judged.

    Raises Forbidden. What is no text is left to the schema.
    """
    if not caller.is_admin and isinstance(named, str) and named != caller.user_id:
        raise Forbidden("user_id must be that of the token.")


def user_of(caller: Caller, named: str | None) -> str:
    """Return the named user, else the token's. Raises InvalidInput where there is neither."""
    user_id = named or caller.user_id
    if user_id is None:
        raise InvalidInput.of("user_id", REQUIRED)
    return user_id
