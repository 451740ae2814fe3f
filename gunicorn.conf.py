"""How gunicorn serves: read by ``gunicorn wsgi:app`` from this folder."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

# Loaded before the fork, so that a worker in the place of one that died serves at once. The
# application itself is made after it: what it is made of waits by the worker's own means.
import booking.app  # noqa: F401
from booking.config import AuthMode, Config
from booking.errors import ConfigurationError
from booking.middleware.logs import logging_config
from booking.time_limits import find_disorder

try:
    _config = Config.from_environment()
except ConfigurationError as error:
    sys.exit(str(error))

_host = f"[{_config.host}]" if ":" in _config.host else _config.host
bind = f"{_host}:{_config.port}"
workers = _config.web_concurrency
# Two servers of one user would fight over the one path that it has by default.
control_socket_disable = True
worker_class = "booking.worker.connections.BookingWorker"
logger_class = "booking.worker.log.ErrorLogger"
# Idle ones too. A connection is a greenlet and waits for no thread; the kernel keeps those beyond.
worker_connections = 4000
logconfig_dict = logging_config(level=_config.log_level, log_format=_config.log_format)

# A worker that hangs as a whole is replaced after this; the database's limits bound a request.
timeout = 60
# Longer than any request takes: lock, statement and pool timeouts and retries together.
graceful_timeout = 30
# Longer than proxies keep an idle connection: one that closed first could cut off their request.
keepalive = 75
# By itself gunicorn trusts X-Forwarded-Proto from loopback; whom to trust, TRUSTED_PROXIES says.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190


def when_ready(server: Any) -> None:
    """Warn of a server that asks nobody who they are, and of time limits in the wrong order."""
    if _config.auth.mode == AuthMode.OPEN:
        server.log.warning(
            "AUTH_MODE=open: every caller may do everything; listening on %s alone", _config.host
        )
    for disorder in find_disorder(_config, graceful_seconds=graceful_timeout):
        server.log.warning("%s", disorder)


def post_fork(_server: Any, _worker: Any) -> None:
    """Let a worker that is told to end while it begins do so: until it has handlers of its own it
    has the master's, which only make a note for the master.
    """
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


def post_worker_init(worker: Any) -> None:
    """Begin to sweep, in the worker: a thread does not cross the fork."""
    worker.app.callable.extensions["booking"].sweeper.start()


def worker_exit(_server: Any, worker: Any) -> None:
    """End what the worker began."""
    app = getattr(worker.app, "callable", None)
    if app is not None:
        app.extensions["booking"].sweeper.stop()
        app.extensions["booking"].pool.close()
