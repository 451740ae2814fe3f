"""The one error of the embedded database."""

from __future__ import annotations

from booking.errors import ConfigurationError


class EmbeddedPostgresUnavailable(ConfigurationError):
    """There is no embedded PostgreSQL to be had, and the message says why in one line.

    Where the server itself refused, the last lines of its log follow.
    """

    def __init__(self, message: str) -> None:
        super().__init__([message])
