"""How the server logs: JSON for machines or text for people, one line a request."""

from __future__ import annotations

import json
import logging
import os
import textwrap
import time
from typing import Any

from flask import Flask, Response, g, request
from pythonjsonlogger.orjson import OrjsonFormatter

from booking.middleware.request_id import RequestIdFilter

logger = logging.getLogger("booking.access")

STDERR = 2

# What no line of ours tells is not looked up for it: where in the code, which thread, which process
# (Python, "Logging HOWTO", "Optimization").
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class OneLineFormatter(logging.Formatter):
    """Text in which nothing that a client sent can start a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own name)
        """Return the line, control characters escaped."""
        line = super().formatMessage(record)
        if line.isprintable():
            return line
        return "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in line
        )

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's own name)
        """Return the trace, indented: a value in it may hold what a client sent."""
        return textwrap.indent(super().formatException(ei), "    ", lambda _line: True)


class OneLineJsonFormatter(OrjsonFormatter):
    """JSON in which nothing that a client sent ends a line, for any reader, or moves a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what is not printable is escaped (RFC 8259, section 7)."""
        line = super().format(record)
        if line.isprintable():
            return line
        return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


class StderrHandler(logging.Handler):
    """Writes each line whole, in one call.

    logging's own handler formats and writes under one lock: of many threads most would wait for it.
    A write of one line to a pipe or an appended file is not mixed with another's (POSIX, write(),
    lines of PIPE_BUF bytes or less).
    """

    def createLock(self) -> None:  # noqa: N802 (logging's own name)
        """Make none: see above."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Format and write the record."""
        try:
            os.write(STDERR, f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001 (as every handler of logging)
            self.handleError(record)


def logging_config(*, level: str, log_format: str) -> dict[str, Any]:
    """Return the dictConfig of the whole process, gunicorn's loggers included."""
    # At DEBUG gunicorn would log what clients send, their queries included.
    gunicorn_level = "INFO" if level == "debug" else level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": RequestIdFilter}},
        "formatters": {
            "text": {
                "()": OneLineFormatter,
                "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
            },
            "json": {
                "()": OneLineJsonFormatter,
                "fmt": "%(levelname)s %(name)s %(message)s %(request_id)s",
                "timestamp": True,
                "rename_fields": {"levelname": "level", "name": "logger"},
            },
        },
        "handlers": {
            "stderr": {
                "()": StderrHandler,
                "formatter": log_format,
                "filters": ["request_id"],
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "booking": {"level": level.upper()},
            "gunicorn": {"level": gunicorn_level},
            "gunicorn.error": {"level": gunicorn_level, "handlers": [], "propagate": True},
            "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": False},
        },
    }


def init_app(app: Flask) -> None:
    """Log one line when a request is answered."""

    @app.before_request
    def begin() -> None:
        g.began_at = time.perf_counter()

    @app.after_request
    def log(response: Response) -> Response:
        began_at = g.get("began_at")
        milliseconds = (time.perf_counter() - began_at) * 1000 if began_at else 0.0
        caller = g.get("caller")
        method, rule = request.method, request.url_rule
        route = rule.rule if rule else "-"
        extra = {
            "method": method,
            "route": route,
            "status": response.status_code,
            "milliseconds": round(milliseconds, 1),
            "user": caller.user_id if caller else None,
            "bytes": response.content_length,
        }
        why = ""
        if token_refused := g.get("token_refused"):
            extra["token_refused"] = token_refused
            why = f", token refused: {token_refused}"
        logger.info(
            "%s %s %d %.1fms%s",
            method,
            route,
            response.status_code,
            milliseconds,
            why,
            extra=extra,
        )
        return response
