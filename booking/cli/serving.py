"""Runs the server's processes, from a migrated database until a signal."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from booking.cli.supervise import run_supervised
from booking.config import PROJECT_ROOT, Config
from booking.db.backoff import MIN_REST_SECONDS
from booking.db.failures import one_line
from booking.db.migrations import MigrationError, MigrationInterrupted, migrate

logger = logging.getLogger(__name__)


def serve(config: Config) -> int:
    """Migrate, then run gunicorn until it ends; return its exit code.

    With the database down, its tables in use or another server migrating, this one starts all the
    same, says that it is not ready, and migrates once it can. Raises MigrationError where it never
    will.
    """
    url = config.database_url or ""
    try:
        migrate(url, patience_seconds=0)
    except (psycopg2.OperationalError, MigrationInterrupted) as error:
        logger.warning("serving without a migrated database for now: %s", one_line(error))
        threading.Thread(target=_migrate_once_possible, args=(url,), daemon=True).start()
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


def _migrate_once_possible(url: str) -> None:
    while True:
        time.sleep(MIN_REST_SECONDS)
        try:
            migrate(url, patience_seconds=math.inf)
        except psycopg2.OperationalError:
            continue
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
