"""Starts and stops the server process; only its guard does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping

from booking.embedded import pidfile
from booking.embedded.binaries import Installation
from booking.embedded.errors import EmbeddedPostgresUnavailable
from booking.embedded.layout import ADDRESS, Layout
from booking.embedded.programs import Programs

# Recovery after a crash replays at most max_wal_size (1 GB by default) or little more.
_READY_TIMEOUT_SECONDS = 100
_RETRY_SECONDS = 20
_RETRY_PAUSE_SECONDS = 0.2
_POLL_SECONDS = 0.02
_FAST_SECONDS = 20
_IMMEDIATE_SECONDS = 5

_PORT_TAKEN = "could not create any TCP/IP sockets"
# What a server that was killed leaves for a moment: backends that have not yet noticed.
_PASSING = ("pre-existing shared memory block", "lock file", _PORT_TAKEN)


class Server:
    """The ``postgres`` of one data directory."""

    def __init__(
        self,
        layout: Layout,
        installation: Installation,
        programs: Programs,
        settings: Mapping[str, str],
    ) -> None:
        self._layout = layout
        self._postgres = installation.program("postgres")
        self._programs = programs
        self._settings = {
            **settings,
            "listen_addresses": ADDRESS,
            "unix_socket_directories": "",
            "logging_collector": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, port: int | None, *, keep_port: bool = False) -> int:
        """Start the server and wait until it accepts connections; return its port.

        A server that an earlier guard left behind is stopped first. The port is the given one if
        it is free, else any; with ``keep_port`` only the given one will do.

        Raises:
            EmbeddedPostgresUnavailable: it does not start; its last lines are in the message.
            NobodyLeft: nobody waits for it any more. The server is to be stopped in either case.

        """
        deadline = time.monotonic() + _RETRY_SECONDS
        while True:
            self.clear_the_way()
            if port is None or not (keep_port or _is_free(port)):
                port = _free_port()
            self._programs.log.forget_recent()
            if self._becomes_ready(port):
                return port
            said = self._programs.log.recent()
            if time.monotonic() > deadline or not any(text in said for text in _PASSING):
                raise EmbeddedPostgresUnavailable(f"PostgreSQL does not start:\n{said}")
            if _PORT_TAKEN in said and not keep_port:
                port = None
            self._programs.attend(_RETRY_PAUSE_SECONDS)

    def clear_the_way(self) -> None:
        """Stop a server that an earlier guard left behind, and make its stale file harmless.

        Raises:
            NobodyLeft: nobody waits for it any more.

        """
        for signal_number, seconds in (
            (signal.SIGINT, _FAST_SECONDS),
            (signal.SIGQUIT, _IMMEDIATE_SECONDS),
            (signal.SIGKILL, _IMMEDIATE_SECONDS),
        ):
            deadline = time.monotonic() + seconds
            if not pidfile.signal_server(self._layout.data, signal_number):
                break
            while pidfile.running_server(self._layout.data) and time.monotonic() < deadline:
                self._programs.attend(_POLL_SECONDS)
        pidfile.disarm(self._layout.data, os.getpid())

    def exit_code(self) -> int | None:
        """Return the exit code of a server that has ended, None while it runs."""
        return self._process.poll() if self._process else None

    def stop(self) -> None:
        """Stop the server: fast, which writes a checkpoint, and ever less gently."""
        process = self._process
        if process is None:
            return
        # PostgreSQL documentation, "Shutting Down the Server".
        for signal_number, seconds in (
            (signal.SIGINT, _FAST_SECONDS),
            (signal.SIGQUIT, _IMMEDIATE_SECONDS),
        ):
            process.send_signal(signal_number)
            deadline = time.monotonic() + seconds
            while process.poll() is None and time.monotonic() < deadline:
                self._programs.listen(_POLL_SECONDS)
            if process.poll() is not None:
                break
        else:
            process.kill()
            process.wait()
        self._programs.drain()

    def _becomes_ready(self, port: int) -> bool:
        options = [f"{name}={value}" for name, value in {**self._settings, "port": port}.items()]
        switches = [word for option in options for word in ("-c", option)]
        # Should the guard be killed, the server shuts down by itself, where the system has a way.
        process = self._programs.start(
            [self._postgres, "-D", self._layout.data, *switches],
            signal.SIGINT,
            data=self._layout.data,
        )
        self._process = process
        deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
        while process.poll() is None:
            if pidfile.is_ready(self._layout.data, process.pid):
                return True
            if time.monotonic() > deadline:
                raise EmbeddedPostgresUnavailable(
                    f"PostgreSQL is not ready after {_READY_TIMEOUT_SECONDS} seconds:\n"
                    + self._programs.log.recent()
                )
            self._programs.attend(_POLL_SECONDS)
        self._programs.drain()
        return False


def _is_free(port: int) -> bool:
    try:
        _bind(port)
    except OSError:
        return False
    return True


def _free_port() -> int:
    return _bind(0)


def _bind(port: int) -> int:
    with socket.socket() as probe:
        # As the server does: connections of the time before, closed but remembered, do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((ADDRESS, port))
        bound: int = probe.getsockname()[1]
        return bound
