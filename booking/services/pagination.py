"""Pages of lists: keyset positions, and the key that signs them on their way through a client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from booking.db.database import Database
from booking.repositories import cursor_keys

Row = TypeVar("Row")
Position = TypeVar("Position")


@dataclass(frozen=True)
class Page(Generic[Row, Position]):
    """Some rows of a list, and where the next page goes on; None at the end."""

    rows: Sequence[Row]
    next_position: Position | None


def page_of(
    rows: Sequence[Row], limit: int, position_of: Callable[[Row], Position]
) -> Page[Row, Position]:
    """Return the first ``limit`` of rows that were read with a limit of one more than that."""
    if len(rows) <= limit:
        return Page(rows, None)
    shown = rows[:limit]
    return Page(shown, position_of(shown[-1]))


class CursorKey:
    """The database's key for cursors, read when it is first needed and kept."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._secret: bytes | None = None

    def get(self) -> bytes:
        """Return the key, 32 bytes."""
        if self._secret is None:
            secret = self._db.read(cursor_keys.get_cursor_key)
            with self._lock:
                self._secret = secret
        return self._secret
