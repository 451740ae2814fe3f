"""How gunicorn serves: read by ``gunicorn wsgi:app`` from this folder."""

from __future__ import annotations

import sys
from typing import Any

from booking.config import AuthMode, Config
from booking.errors import ConfigurationError
from booking.middleware.logs import logging_config

try:
    _config = Config.from_environment()
except ConfigurationError as error:
    sys.exit(str(error))

_host = f"[{_config.host}]" if ":" in _config.host else _config.host
bind = f"{_host}:{_config.port}"
workers = _config.web_concurrency
# Two servers of one user would fight over the one path that it has by default.
control_socket_disable = True
worker_class = "gthread"
threads = _config.web_threads
logconfig_dict = logging_config(level=_config.log_level, log_format=_config.log_format)

# The chain of time limits: lock < statement < pool and connect < this < the proxy in front.
timeout = 60
graceful_timeout = 30
# Longer than the idle time of common proxies would be unsafe, shorter costs them a connection.
keepalive = 75
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190


def when_ready(server: Any) -> None:
    """Warn of a server that asks nobody who they are."""
    if _config.auth.mode == AuthMode.OPEN:
        server.log.warning(
            "AUTH_MODE=open: every caller may do everything; listening on %s alone", _config.host
        )


def post_worker_init(worker: Any) -> None:
    """Begin to sweep, in the worker: a thread does not cross the fork."""
    worker.app.callable.extensions["booking"].sweeper.start()


def worker_exit(_server: Any, worker: Any) -> None:
    """End what the worker began."""
    app = getattr(worker.app, "callable", None)
    if app is not None:
        app.extensions["booking"].sweeper.stop()
        app.extensions["booking"].pool.close()
