"""Turns requests away at once when too many are in flight: better a short no than a long wait."""

from __future__ import annotations

import threading

from flask import Flask, g, request

from booking.errors import Overloaded

# Threads of a worker that no booking may take, so that /health, /ready and refusals stay prompt.
RESERVED_THREADS = 2


def init_app(app: Flask, *, web_threads: int, exempt: frozenset[str]) -> None:
    """Admit ``web_threads`` less the reserved ones at a time; paths in ``exempt`` always pass."""
    admitted = threading.BoundedSemaphore(max(1, web_threads - RESERVED_THREADS))

    @app.before_request
    def enter() -> None:
        if request.path in exempt:
            return
        if not admitted.acquire(blocking=False):
            raise Overloaded
        g.is_admitted = True

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        if g.pop("is_admitted", False):
            admitted.release()
