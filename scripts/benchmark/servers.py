"""The server under load: gunicorn as an operator runs it, with the benchmark's route added."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import requests

from booking.cli import supervise
from booking.config import DATABASE_VARIABLES, PROJECT_ROOT
from scripts.benchmark.records import NotRun

APPLICATION = "scripts.benchmark.application:create()"
START_SECONDS = 60
STOP_SECONDS = 60
QUIET_SECONDS = 30
POLL_SECONDS = 0.05
_ACCESS = re.compile(rb"\[[^\]]+\] [A-Z]+ \S+ (\d{3}) [\d.]+ms$", re.MULTILINE)


class Server:
    """One gunicorn. Its log is read for the statuses of all that it answered."""

    def __init__(self, port: int, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self._port = port
        self._log = log
        self._process = process
        self._read_to = 0

    def take_statuses(self) -> Counter[int]:
        """Return how often each status was answered since the last call."""
        with self._log.open("rb") as log:
            log.seek(self._read_to)
            text = log.read()
        whole = text.rfind(b"\n") + 1
        self._read_to += whole
        return Counter(int(status) for status in _ACCESS.findall(text[:whole]))

    def wait_until_quiet(self) -> None:
        """Wait until what the load generator left in flight is answered. Raises NotRun.

        A connection that was closed at its other end stays until its request has been served.
        """
        deadline = time.monotonic() + QUIET_SECONDS
        while self._has_connections():
            if time.monotonic() > deadline:
                raise NotRun(f"the server is not done {QUIET_SECONDS} seconds after the load ended")
            time.sleep(POLL_SECONDS)

    def _has_connections(self) -> bool:
        found: list[Any]
        try:
            # Those that no worker has accepted yet are here alone.
            found = psutil.net_connections("tcp")
        except psutil.AccessDenied:
            # macOS shows them to root.
            found = [each for worker in self.workers() for each in worker.net_connections("tcp")]
        return any(
            each.laddr
            and each.laddr.port == self._port
            and each.status in (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT)
            for each in found
        )

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes, the oldest first. Raises NotRun where the server ended."""
        if self._process.poll() is not None:
            raise NotRun(f"the server ended by itself:\n{self.last_words()}")
        found: list[psutil.Process] = psutil.Process(self._process.pid).children()
        return sorted(found, key=lambda worker: worker.pid)

    def last_words(self) -> str:
        """Return the end of the log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])

    def stop(self) -> None:
        """End it gracefully: what is in flight is finished. Raises NotRun where it does not end."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise NotRun(f"the server did not end within {STOP_SECONDS} seconds") from error
        if code != 0:
            raise NotRun(f"the server ended with {code}:\n{self.last_words()}")


@contextmanager
def running_server(database_url: str, log: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    """Run the server with its own settings where ``settings`` says nothing else.

    Raises NotRun where it does not become ready.
    """
    port = _free_port()
    inherited = {
        name: value for name, value in os.environ.items() if name not in DATABASE_VARIABLES
    }
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - this Python
            [
                # Tied to this process: it ends when this one is killed.
                *(sys.executable, "-I", "-S", str(Path(supervise.__file__)), str(os.getpid())),
                *(sys.executable, "-m", "gunicorn", APPLICATION),
                *("--config", str(PROJECT_ROOT / "gunicorn.conf.py")),
            ],
            cwd=PROJECT_ROOT,
            env={**inherited, **settings, "DATABASE_URL": database_url, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(port, log, process)
    try:
        _wait_until_ready(server, process)
        server.wait_until_quiet()
        server.take_statuses()
        yield server
    finally:
        if process.poll() is None:
            with suppress(NotRun):
                server.stop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(requests.ConnectionError, requests.Timeout):
            if requests.get(f"{server.base_url}/ready", timeout=2).ok:
                return
        time.sleep(POLL_SECONDS)
    raise NotRun(f"the server does not become ready:\n{server.last_words()}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
