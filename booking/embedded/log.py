"""The server's log: one file and the one before it, each of bounded size."""

from __future__ import annotations

import os
from collections import deque

from booking.embedded.layout import Layout

_LIMIT_BYTES = 4 * 1024 * 1024
_RECENT_LINES = 12


class BoundedLog:
    """Written by the guard alone. A full disk loses lines of the log and nothing else."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._descriptor = self._open()
        self._size = os.fstat(self._descriptor).st_size
        self._recent: deque[str] = deque(maxlen=_RECENT_LINES)
        self._partial = b""

    def write(self, data: bytes) -> None:
        """Append, and start a new file where this one is full."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._recent.extend(line.decode(errors="replace") for line in lines)
        self._partial = self._partial[-_LIMIT_BYTES:]
        try:
            self._size += os.write(self._descriptor, data)
            if self._size > _LIMIT_BYTES:
                self._rotate()
        except OSError:
            # The server must not wait for a log that cannot be written.
            return

    def forget_recent(self) -> None:
        """Let ``recent`` begin anew."""
        self._recent.clear()

    def recent(self) -> str:
        """Return the last lines since ``forget_recent``."""
        return "\n".join(self._recent)

    def _rotate(self) -> None:
        self._layout.log.replace(self._layout.log.with_suffix(".log.1"))
        os.close(self._descriptor)
        self._descriptor = self._open()
        self._size = 0

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND
        return self._layout.open_private(self._layout.log, flags)
