"""The process that keeps one server for all its users, and stops it when the last one has gone.

It has one thread, since its children are prepared between fork and exec, and is in a session of its
own, so that a Ctrl-C is for its users and not for it. A server that crashes while somebody uses it
is started again on the same port; one that was shut down on purpose is not.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from booking.db.embedded import initdb
from booking.db.embedded.binaries import Installation, find_installation
from booking.db.embedded.errors import EmbeddedPostgresUnavailable
from booking.db.embedded.identity import choose_identity
from booking.db.embedded.layout import Layout
from booking.db.embedded.locks import EXCLUSIVE, FileLock
from booking.db.embedded.log import BoundedLog
from booking.db.embedded.programs import NobodyLeft, Programs
from booking.db.embedded.server import Server


class Guard:
    """One guard's life."""

    def __init__(self, layout: Layout, settings: Mapping[str, str], port: int | None) -> None:
        self._layout = layout
        self._settings = settings
        self._port = port
        self._told_to_stop = False
        self._users = FileLock(layout.open_private(layout.users_lock, os.O_RDWR | os.O_CREAT))

    def run(self) -> None:
        """Start the server, keep it while it is used, stop it.

        Raises:
            EmbeddedPostgresUnavailable: it cannot be started, or not again.

        """
        for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signal_number, self._stop)
        installation = self._installation()
        identity = choose_identity(self._layout, installation.program("postgres"))
        programs = Programs(identity, BoundedLog(self._layout), self._unwanted)
        server = Server(self._layout, installation, programs, self._settings)
        try:
            if not self._layout.data.exists():
                initdb.create(self._layout, installation, programs)
            elif self._layout.data.stat().st_uid == 0:
                # Copied by root: PostgreSQL insists on owning its data.
                identity.own(self._layout.data)
            self._keep(server, programs)
        except NobodyLeft:
            return
        finally:
            self._layout.endpoint.unlink(missing_ok=True)
            server.stop()

    def _keep(self, server: Server, programs: Programs) -> None:
        port = server.start(self._port)
        self._layout.publish(port)
        _detach()
        while True:
            programs.attend()
            exit_code = server.exit_code()
            if exit_code == 0:
                return
            if exit_code is not None:
                server.start(port, keep_port=True)

    def _installation(self) -> Installation:
        """Return the programs, of the version that made the data."""
        version = self._layout.data / "PG_VERSION"
        if not self._layout.data.exists():
            return find_installation()
        major = int(version.read_text())
        try:
            return find_installation(major)
        except EmbeddedPostgresUnavailable as error:
            raise EmbeddedPostgresUnavailable(
                f"{self._layout.data} was made by PostgreSQL {major}: {error}; "
                "or remove that directory to begin without its data"
            ) from error

    def _unwanted(self) -> bool:
        return self._told_to_stop or self._users.try_acquire(EXCLUSIVE)

    def _stop(self, signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._told_to_stop = True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a guard; a failure is one message on standard output, which whoever started it reads."""
    parser = argparse.ArgumentParser(prog="python -m booking.db.embedded.guard")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--lock", type=int, required=True, help="descriptor of the held guard.lock")
    options = parser.parse_args(arguments)
    # Held until this process ends, and by none of its children.
    os.set_inheritable(options.lock, False)
    try:
        Guard(Layout(options.directory), options.settings, options.port).run()
    except (EmbeddedPostgresUnavailable, OSError) as error:
        print(error, flush=True)  # noqa: T201
        return 1
    return 0


def _detach() -> None:
    """Let go of the pipe to whoever started this: nobody reads it any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
