"""Writes records to a file of JSON lines, each in the file before the writer goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.chaos.records import Record, dump_record


class Recorder:
    """Appends to one file; threads may share it. Each process has a file of its own."""

    def __init__(self, path: Path) -> None:
        # Unbuffered: what was written survives a kill of this process.
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, record: Record) -> None:
        """Append the record; on return the kernel has it."""
        line = dump_record(record)
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def recorder(path: Path) -> Iterator[Recorder]:
    """Open a recorder, and close it at the end."""
    opened = Recorder(path)
    try:
        yield opened
    finally:
        opened.close()
