"""Flask for views that are plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask


class SynchronousFlask(Flask):
    """Flask of which no view or hook is a coroutine."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: Flask would look into each hook and view again at every request."""
        return func
