"""Runs PostgreSQL's programs for the guard, reads their output, and looks out for the users."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from booking.embedded.errors import EmbeddedPostgresUnavailable
from booking.embedded.identity import Identity
from booking.embedded.log import BoundedLog

_POLL_SECONDS = 0.1
_STARTING_POLL_SECONDS = 0.02
_CHUNK_BYTES = 65536
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class NobodyLeft(Exception):
    """The last user has gone, or the guard was told to stop."""


class Programs:
    """One guard's children. All of them write into one pipe, which ends in the log."""

    def __init__(self, identity: Identity, log: BoundedLog, unwanted: Callable[[], bool]) -> None:
        self.identity = identity
        self.log = log
        self._unwanted = unwanted
        self._output, self._input = os.pipe()
        os.set_blocking(self._output, False)

    def start(
        self,
        command: Sequence[str | Path],
        death_signal: int,
        *,
        data: Path,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, so that no Ctrl-C reaches it.

        Where ``data`` is a word of the command, the program gets a path that it can reach.
        """
        # Nothing of PG*, LC_* or the application's secrets goes into the server's environment.
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with self.identity.reaching(data) as (reached, descriptors):
            return subprocess.Popen(  # noqa: S603 - PostgreSQL's programs
                [reached if word == data else word for word in command],
                preexec_fn=self.identity.preparation(death_signal),  # noqa: PLW1509 - one thread
                pass_fds=descriptors,
                start_new_session=True,
                cwd="/",
                env={**environment, "LC_ALL": "C"},
                stdin=stdin,
                stdout=self._input,
                stderr=self._input,
            )

    def run(
        self,
        command: Sequence[str | Path],
        timeout_seconds: float,
        *,
        data: Path,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """Run a program to its end; it and its children are killed where that is not reached.

        Raises:
            EmbeddedPostgresUnavailable: it failed, or took too long.
            NobodyLeft: nobody waits for it any more.

        """
        name = Path(command[0]).name
        self.log.forget_recent()
        process = self.start(command, signal.SIGKILL, data=data, stdin=stdin)
        deadline = time.monotonic() + timeout_seconds
        try:
            while process.poll() is None:
                self.attend(_STARTING_POLL_SECONDS)
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresUnavailable(f"{name} took over {timeout_seconds} seconds")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.drain()
        if process.returncode != 0:
            raise EmbeddedPostgresUnavailable(
                f"{name} failed with exit code {process.returncode}:\n{self.log.recent()}"
            )

    def attend(self, seconds: float = _POLL_SECONDS) -> None:
        """Log what the children say for up to this long.

        Raises:
            NobodyLeft: nobody uses the server any more.

        """
        if self._unwanted():
            raise NobodyLeft
        self.listen(seconds)

    def listen(self, seconds: float) -> None:
        """Wait up to this long for output of the children, and log it."""
        if select.select([self._output], [], [], seconds)[0]:
            self.drain()

    def drain(self) -> None:
        """Log the output that is there."""
        try:
            while chunk := os.read(self._output, _CHUNK_BYTES):
                self.log.write(chunk)
        except BlockingIOError:
            return
