"""Users in processes of their own, and what runs on a server's directory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

USER_PROGRAM = Path(__file__).with_name("user_program.py")
PATIENCE_SECONDS = 20.0


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait for something that other processes do, for a bounded time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"after {PATIENCE_SECONDS} seconds still not: {what}")
        time.sleep(0.02)


def fetch(url: str, statement: str) -> Any:
    """Run one statement on a connection of its own and return its first row's first column."""
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


def processes_of(directory: Path) -> list[psutil.Process]:
    """Return the guard, the server and its backends, initdb too: whatever works on a directory."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            is_user = process.pid == os.getpid() or str(USER_PROGRAM) in process.cmdline()
            names_it = any(str(directory) in word for word in process.cmdline())
            if not is_user and (names_it or holds_open(process, directory)):
                found.append(process)
    return found


def holds_open(process: psutil.Process, directory: Path) -> bool:
    """Say whether a process is in a directory, or holds it or something below it open."""
    places = [Path(process.cwd())]
    if sys.platform == "linux":
        places += [link.readlink() for link in Path(f"/proc/{process.pid}/fd").iterdir()]
    return any(place.is_relative_to(directory) for place in places)


def has_ended(process: psutil.Process) -> bool:
    """Say whether a process has ended, reaped or not."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def kill_all(processes: Collection[psutil.Process]) -> None:
    """Kill processes at one moment: frozen first, none can act on the death of another."""
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                act(process)


def is_gone(directory: Path) -> bool:
    """Say whether nothing runs on a directory any more."""
    return not processes_of(directory)


class User:
    """A process that uses a server."""

    def __init__(
        self,
        directory: Path,
        *,
        env: Mapping[str, str] | None = None,
        program: tuple[str, ...] = (sys.executable, str(USER_PROGRAM)),
    ) -> None:
        self.process = subprocess.Popen(
            [*program, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=None if env is None else dict(env),
            # A process group of its own, as a terminal gives to what it runs.
            start_new_session=True,
        )

    def url(self) -> str:
        """Wait until it is in, and return its URL."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("in "):
            assert self.process.stderr is not None
            pytest.fail(f"the user did not come in: {self.process.stderr.read()}")
        return line.removeprefix("in ").strip()

    def leave(self) -> None:
        """Have it leave in good order, and wait until it has ended."""
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert (out, err, self.process.returncode) == ("out\n", "", 0)

    def signal_group(self, signal_number: int) -> int:
        """Send a signal to its process group, as Ctrl-C does, and return its exit code."""
        os.killpg(self.process.pid, signal_number)
        self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode

    def kill(self) -> None:
        """Kill it with no chance to clean up."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_SECONDS)


StartUser = Callable[..., User]
