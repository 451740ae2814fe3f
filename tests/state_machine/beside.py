"""One connection beside the application, kept for thousands of steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from booking.config import PROJECT_ROOT

# As a replica, the session fires no trigger: neither a foreign key nor what guards the history.
DELETE_EVERYTHING = """
SET session_replication_role = replica;
DELETE FROM booking_events;
DELETE FROM bookings;
DELETE FROM slots;
SET session_replication_role = origin;
"""


class Beside:
    """Runs statements in autocommit, and all of ``sql/checks`` as one prepared statement."""

    def __init__(self, url: str) -> None:
        self._conn = psycopg2.connect(url, options="-c TimeZone=UTC")
        self._conn.autocommit = True
        checks = [
            f"SELECT '{path.stem}', to_jsonb(violation) FROM ({_without_end(path.read_text())}) "
            "AS violation"
            for path in sorted((PROJECT_ROOT / "sql" / "checks").glob("*.sql"))
        ]
        self.query(f"PREPARE checks AS {' UNION ALL '.join(checks)}")

    def query(self, statement: str, *parameters: Any) -> list[Any]:
        """Return the rows of a statement, which is committed."""
        with self._conn.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def list_violations(self) -> list[Any]:
        """Return the name of the check and the row, for each row that breaks one."""
        return self.query("EXECUTE checks")

    def delete_everything(self) -> None:
        """Empty the tables, history included: what broke one example must not break the next."""
        self.query(DELETE_EVERYTHING)

    def close(self) -> None:
        self._conn.close()


@contextmanager
def beside(url: str) -> Iterator[Beside]:
    """Connect for the length of the block."""
    connection = Beside(url)
    try:
        yield connection
    finally:
        connection.close()


def _without_end(check: str) -> str:
    # A comment at its end would hide the bracket behind it.
    return check.strip().removesuffix(";") + "\n"
