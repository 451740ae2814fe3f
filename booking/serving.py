"""Runs the server's processes, from a migrated database until a signal."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from booking.config import PROJECT_ROOT, Config
from booking.db.migrations import MigrationError, migrate
from booking.supervise import run_supervised

MIGRATION_RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


def serve(config: Config) -> int:
    """Migrate, then run gunicorn until it ends; return its exit code.

    With the database down the server starts all the same, says that it is not ready, and migrates
    when the database is there. Raises MigrationError where the schema cannot be brought up to date.
    """
    url = config.database_url or ""
    try:
        migrate(url)
    except psycopg2.OperationalError as error:
        logger.warning("serving without a database for now: %s", " ".join(str(error).split()))
        threading.Thread(target=_migrate_once_reached, args=(url,), daemon=True).start()
    arguments = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        str(PROJECT_ROOT / "gunicorn.conf.py"),
        "--pythonpath",
        str(PROJECT_ROOT),
        "wsgi:app",
    ]
    return run_supervised(arguments, dict(os.environ))


def _migrate_once_reached(url: str) -> None:
    while True:
        try:
            migrate(url)
        except psycopg2.OperationalError:
            threading.Event().wait(MIGRATION_RETRY_SECONDS)
        except MigrationError:
            logger.exception("the schema cannot be brought up to date; the server stays not ready")
            return
        else:
            logger.info("the database is reached and migrated")
            return


@contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Leave Ctrl-C to the program that runs in the foreground."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
