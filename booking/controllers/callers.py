"""Whose bookings a request is about: the token's user, or the one it names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from booking.errors import Forbidden
from booking.middleware.authentication import Caller


def check_named_user(caller: Caller, named: Any) -> None:
    """Refuse a user who names another, before anything else of the request is judged.

    Raises Forbidden. What is no text is left to the schema.
    """
    if not caller.is_admin and isinstance(named, str) and named != caller.user_id:
        raise Forbidden("user_id must be that of the token.")


def required_of(caller: Caller) -> Collection[str]:
    """Return the fields that the caller may not leave out: who it is, where no token says so."""
    return ("user_id",) if caller.user_id is None else ()
