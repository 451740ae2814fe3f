"""The process that keeps one server for all its users, and stops it when the last one has gone.

It has one thread, since its children are prepared between fork and exec, and is in a session of its
own, so that a Ctrl-C is for its users and not for it. A server that crashes while somebody uses it
is started again on the same port; one that was shut down on purpose is not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from booking.embedded import initdb
from booking.embedded.binaries import Installation, find_installation
from booking.embedded.errors import EmbeddedPostgresUnavailable
from booking.embedded.files import read_file
from booking.embedded.identity import Identity, choose_identity
from booking.embedded.layout import Layout
from booking.embedded.locks import EXCLUSIVE, FileLock
from booking.embedded.log import BoundedLog
from booking.embedded.programs import NobodyLeft, Programs
from booking.embedded.reach import within_reach
from booking.embedded.server import Server


class Guard:
    """One guard's life."""

    def __init__(
        self, layout: Layout, settings: Mapping[str, str], port: int | None, *, superuser: bool
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._superuser = superuser
        self._port = port
        self._told_to_stop = False
        self._users = FileLock(layout.open_private(layout.users_lock, os.O_RDWR))

    def run(self) -> None:
        """Start the server, keep it while it is used, stop it.

        Raises:
            EmbeddedPostgresUnavailable: it cannot be started, or not again.

        """
        for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signal_number, self._stop)
        identity = choose_identity(self._layout)
        identity.keep_below(self._layout.directory)
        with within_reach(self._installation(identity), identity) as installation:
            programs = Programs(identity, BoundedLog(self._layout), self._unwanted)
            server = Server(self._layout, installation, programs, self._settings)
            try:
                self._prepare(server, installation, programs)
                self._keep(server, programs)
            except NobodyLeft:
                return
            finally:
                self._layout.endpoint.unlink(missing_ok=True)
                server.stop()

    def _prepare(self, server: Server, installation: Installation, programs: Programs) -> None:
        data = self._layout.data
        if not data.exists():
            initdb.create(self._layout, installation, programs, superuser=self._superuser)
            return
        # Copied by root, or of the time when root's servers ran as another user: PostgreSQL insists
        # on owning its data. A server of their former owner's is known by that owner. What cannot
        # be read there, as in data that were given away in part, is told at the start.
        with suppress(EmbeddedPostgresUnavailable):
            server.clear_the_way()
        programs.identity.own(data)
        if self._layout.superuser_password.exists():
            server.clear_the_way()
            initdb.demote(self._layout, installation, programs)

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

    def _installation(self, identity: Identity) -> Installation:
        """Return the programs, of the version that made the data."""
        try:
            # The identity's already, in data that were given to it in part.
            said = read_file(self._layout.data / "PG_VERSION", owner=identity.uid).strip()
        except FileNotFoundError:
            said = ""
            if not self._layout.data.exists():
                return find_installation()
        if not re.fullmatch("[0-9]{1,4}", said):
            raise EmbeddedPostgresUnavailable(
                f"{self._layout.data} is no data directory of PostgreSQL: its PG_VERSION is not one"
            )
        major = int(said)
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
    parser = argparse.ArgumentParser(prog="python -m booking.embedded.guard")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--superuser", action="store_true")
    parser.add_argument("--lock", type=int, required=True, help="descriptor of the held guard.lock")
    options = parser.parse_args(arguments)
    # Held until this process ends, and by none of its children.
    os.set_inheritable(options.lock, False)
    try:
        layout = Layout(options.directory)
        Guard(layout, options.settings, options.port, superuser=options.superuser).run()
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
