"""gunicorn's own log."""

from __future__ import annotations

from gunicorn.glogging import Logger


class ErrorLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Logs what gunicorn says of itself. Requests are the application's to log: it knows more."""

    @property
    def access_log_enabled(self) -> bool:
        """Keep gunicorn from collecting what nobody reads."""
        return False
